//! Settings of the projector and of its admin API.

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

/// The address of the admin API and access to it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Admin API")]
pub struct AdminConfig {
    /// Address of the admin API
    ///
    /// It serves dead letters and the circuit breaker. An address other than loopback requires ADMIN_TOKEN.
    #[arg(long, env = "ADMIN_ADDR", value_name = "ADDR", default_value = "127.0.0.1:8091", value_parser = listen_addr)]
    pub admin_addr: SocketAddr,

    /// Bearer token of the admin API, 16 to 256 characters [default: none]
    ///
    /// Without a token, only clients on this machine have access.
    #[arg(long, env = "ADMIN_TOKEN", value_name = "TOKEN", value_parser = admin_token)]
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
    Err(InvalidSetting("expected 16 to 256 visible ASCII characters without spaces".to_owned()))
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Projector")]
pub struct ProjectorConfig {
    /// Most events in one transaction [default: 50000, SQL Server 1000]
    ///
    /// Above about 1000 SQL Server locks whole tables instead of rows, and readers wait.
    #[arg(long, env = "BATCH_EVENTS_MAX", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch_events_max: Option<u32>,

    /// Most bytes of events in one transaction
    #[arg(long, env = "BATCH_BYTES_MAX", value_name = "BYTES", default_value_t = 32 * 1024 * 1024, value_parser = clap::value_parser!(u32).range(1024..))]
    pub batch_bytes_max: u32,

    /// Attempts to store an event that the read model refuses before it becomes a dead letter
    #[arg(long, env = "RETRY_MAX_ATTEMPTS", value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub retry_max_attempts: u32,

    /// Longest wait before the first retry while the read model or the event log is unavailable
    #[arg(long, env = "RETRY_INITIAL_INTERVAL", value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub retry_initial_interval: Duration,

    /// Longest wait between two retries; the waits double up to it
    #[arg(long, env = "RETRY_MAX_INTERVAL", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub retry_max_interval: Duration,

    /// Consecutive failures of the read model that open the circuit breaker
    #[arg(long, env = "CIRCUIT_BREAKER_MAX_FAILURES", value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub circuit_breaker_max_failures: u32,

    /// Time that the circuit breaker stays open
    #[arg(long, env = "CIRCUIT_BREAKER_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub circuit_breaker_timeout: Duration,

    /// Longest time between two failures that count as consecutive
    #[arg(long, env = "CIRCUIT_BREAKER_INTERVAL", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub circuit_breaker_interval: Duration,

    /// Successful trial calls that close the circuit breaker
    #[arg(long, env = "CIRCUIT_BREAKER_MAX_REQUESTS", value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub circuit_breaker_max_requests: u32,

    /// Time that ids of inventory events are kept, or off for no limit
    ///
    /// The ids detect duplicates. A duplicate that arrives later counts twice: choose more than the topic's retention and than the longest time after
    /// which a producer may repeat an event. An id takes about 100 bytes.
    #[arg(long, env = "INBOX_RETENTION", value_name = "TIME", default_value = "off", value_parser = inbox_retention)]
    pub inbox_retention: InboxRetention,
}

/// How long the inbox keeps ids; `None` is forever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxRetention(pub Option<Duration>);

/// A shorter time is most likely a wrong unit.
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

/// Default for SQLite: larger batches are not faster.
const BATCH_EVENTS_SQLITE: u32 = 50_000;
/// Default for SQL Server. A statement that holds 5,000 locks escalates to a lock of the whole table, and a row takes a
/// lock in each index of its table.
const BATCH_EVENTS_MSSQL: u32 = 1_000;

/// How long one step waits for a record. A stop signal is seen after at most this time.
const STEP_WAIT: Duration = Duration::from_millis(250);

impl ProjectorConfig {
    /// `store` decides the default size of a batch.
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
