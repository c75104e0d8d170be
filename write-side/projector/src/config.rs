//! Settings of the projector and of its admin port.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use millrace_event_log::PollLimits;
use millrace_mssql::ReadModelUrl;
use millrace_platform::secret::Secret;
use millrace_platform::settings::{InvalidSetting, duration, listen_addr};

use crate::breaker::BreakerSettings;
use crate::projector::ProjectorSettings;
use crate::retry::Backoff;

/// Where dead letters are reviewed, and by whom.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Admin port of the projector")]
pub struct AdminConfig {
    /// Address of the admin API: dead letters, circuit breaker. Beyond this machine only with ADMIN_TOKEN
    #[arg(long, env = "ADMIN_ADDR", value_name = "ADDR", default_value = "127.0.0.1:8091", value_parser = listen_addr, global = true)]
    pub admin_addr: SocketAddr,

    /// Token of the admin API, for the header Authorization: Bearer TOKEN. Without one only clients on this machine
    /// are allowed
    #[arg(long, env = "ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true, value_parser = admin_token, global = true)]
    pub admin_token: Option<Secret>,
}

impl AdminConfig {
    /// Refuses an address that other machines reach, unless a token is set.
    ///
    /// # Errors
    /// [`InvalidSetting`].
    pub fn check(&self) -> Result<(), InvalidSetting> {
        if self.admin_addr.ip().to_canonical().is_loopback() || self.admin_token.is_some() {
            return Ok(());
        }
        Err(InvalidSetting(format!(
            "ADMIN_ADDR {} can be reached from other machines: set ADMIN_TOKEN as well, or use a loopback address",
            self.admin_addr
        )))
    }
}

/// A value for a header, long enough that it cannot be guessed.
fn admin_token(text: &str) -> Result<Secret, InvalidSetting> {
    if (16..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Secret::new(text));
    }
    Err(InvalidSetting("expected 16 to 256 visible ASCII characters without blanks".to_owned()))
}

/// How records are projected.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Projector")]
pub struct ProjectorConfig {
    /// Events projected in one transaction, at most [default: 50000 on SQLite, 1000 on SQL Server, which locks a whole table
    /// rather than many rows]
    #[arg(long, env = "BATCH_EVENTS_MAX", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), global = true)]
    pub batch_events_max: Option<u32>,

    /// Bytes projected in one transaction, at most
    #[arg(long, env = "BATCH_BYTES_MAX", value_name = "BYTES", default_value_t = 32 * 1024 * 1024, value_parser = clap::value_parser!(u32).range(1024..), global = true)]
    pub batch_bytes_max: u32,

    /// How often an event that the read model refuses is tried before it becomes a dead letter
    #[arg(long, env = "RETRY_MAX_ATTEMPTS", value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100), global = true)]
    pub retry_max_attempts: u32,

    /// Longest wait before the first retry of unavailable infrastructure
    #[arg(long, env = "RETRY_INITIAL_INTERVAL", value_name = "TIME", default_value = "1s", value_parser = duration, global = true)]
    pub retry_initial_interval: Duration,

    /// Longest wait between two retries
    #[arg(long, env = "RETRY_MAX_INTERVAL", value_name = "TIME", default_value = "30s", value_parser = duration, global = true)]
    pub retry_max_interval: Duration,

    /// Failures of the read model in a row that open the circuit breaker
    #[arg(long, env = "CIRCUIT_BREAKER_MAX_FAILURES", value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub circuit_breaker_max_failures: u32,

    /// How long the circuit breaker stays open
    #[arg(long, env = "CIRCUIT_BREAKER_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = duration, global = true)]
    pub circuit_breaker_timeout: Duration,

    /// Failures that lie further apart than this do not count together
    #[arg(long, env = "CIRCUIT_BREAKER_INTERVAL", value_name = "TIME", default_value = "60s", value_parser = duration, global = true)]
    pub circuit_breaker_interval: Duration,

    /// Successes that close the circuit breaker again
    #[arg(long, env = "CIRCUIT_BREAKER_MAX_REQUESTS", value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub circuit_breaker_max_requests: u32,

    /// How long the ids of counted stock events are remembered, or off: for ever. An event that is sent again later
    /// counts twice, so choose more than the topic's retention and than any producer may take to repeat itself
    #[arg(long, env = "INBOX_RETENTION", value_name = "TIME", default_value = "off", value_parser = inbox_retention, global = true)]
    pub inbox_retention: InboxRetention,
}

/// How long the inbox remembers; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxRetention(pub Option<Duration>);

/// Below this it is more likely a wrong unit than a wish.
const INBOX_RETENTION_MIN: Duration = Duration::from_secs(3_600);

fn inbox_retention(text: &str) -> Result<InboxRetention, InvalidSetting> {
    if text == "off" {
        return Ok(InboxRetention(None));
    }
    match duration(text) {
        Ok(time) if time >= INBOX_RETENTION_MIN => Ok(InboxRetention(Some(time))),
        _ => Err(InvalidSetting("expected off, or a time of at least 1h such as 30d".to_owned())),
    }
}

/// Default on SQLite: larger batches are not faster.
const BATCH_EVENTS_SQLITE: u32 = 50_000;
/// The same on SQL Server. A statement that holds 5,000 locks trades them for one on the whole table, and a row takes a lock
/// in each of its table's indexes.
const BATCH_EVENTS_MSSQL: u32 = 1_000;

/// How long one step waits for a record, so how late a stop signal may be seen.
const STEP_WAIT: Duration = Duration::from_millis(250);

impl ProjectorConfig {
    /// As the projector takes them for that store.
    pub fn settings(&self, store: &ReadModelUrl) -> ProjectorSettings {
        let events_max = self.batch_events_max.unwrap_or(match store {
            ReadModelUrl::Sqlite(_) => BATCH_EVENTS_SQLITE,
            ReadModelUrl::Mssql(_) => BATCH_EVENTS_MSSQL,
        });
        ProjectorSettings {
            limits: PollLimits { events_max: events_max as usize, bytes_max: self.batch_bytes_max as usize },
            wait: STEP_WAIT,
            backoff: Backoff { initial: self.retry_initial_interval, max: self.retry_max_interval },
            breaker: BreakerSettings {
                failures_max: self.circuit_breaker_max_failures,
                timeout: self.circuit_breaker_timeout,
                probes: self.circuit_breaker_max_requests,
                interval: self.circuit_breaker_interval,
            },
            attempts_max: self.retry_max_attempts,
            inbox_retention: self.inbox_retention.0,
        }
    }
}
