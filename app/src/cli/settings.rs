//! All settings of the program in one struct. `readers` lists which commands read which of them.
//!
//! The first paragraph of a doc comment is the help text. `millrace settings` also shows the paragraphs after it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use millrace_commands::config::CommandConfig;
use millrace_event_log::EventLogUrl;
use millrace_event_log::config::LogConfig;
use millrace_mssql::ReadModelUrl;
use millrace_platform::http::config::HttpConfig;
use millrace_platform::redis::RedisUrl;
use millrace_platform::secret::Secret;
use millrace_platform::settings::{InvalidSetting, Switch, duration, listen_addr};
use millrace_projector::config::{AdminConfig, ProjectorConfig};
use millrace_read_side::config::ReadConfig;

use super::log_level::log_level;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Storage")]
pub struct Settings {
    /// Folder of the embedded event log and read model
    #[arg(long, env = "DATA_DIR", value_name = "DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// Event log: embedded:DIR or kafka://host:port,…/topic [default: embedded:DATA_DIR]
    #[arg(long, env = "EVENT_LOG", value_name = "URL")]
    pub event_log: Option<EventLogUrl>,

    /// Read model: sqlite:FILE, mssql://… or an ADO.NET connection string [default: sqlite:DATA_DIR/read_model.db]
    ///
    /// mssql://user:password@host:port/database?encrypt=true&trust-server-certificate=false&ca=FILE
    #[arg(long, env = "READ_MODEL", value_name = "URL")]
    pub read_model: Option<ReadModelUrl>,

    /// Password for SQL Server, if READ_MODEL has none
    #[arg(long, env = "MSSQL_PASSWORD", value_name = "PASSWORD", value_parser = secret)]
    pub mssql_password: Option<Secret>,

    /// Longest wait for SQL Server to become available
    #[arg(long, env = "WAIT_FOR", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub wait_for: Duration,

    /// Update the schema of the read model at start
    ///
    /// If off, run `millrace migrate` before a new version of the program.
    #[arg(long, env = "MIGRATE", value_name = "on|off", hide_possible_values = true, value_enum, default_value_t = Switch::On)]
    pub migrate: Switch,

    /// Redis: redis://user:password@host:port/db [default: none]
    ///
    /// Redis holds the mirror of the dead letters and the idempotency keys, and carries the change feed between processes.
    /// rediss:// uses TLS; SSL_CERT_FILE names the certificate of a private authority.
    #[arg(long, env = "REDIS_URL", value_name = "URL")]
    pub redis_url: Option<RedisUrl>,

    /// Redis list that mirrors the open dead letters
    #[arg(long, env = "DLQ_LIST", value_name = "NAME", default_value = "dlq", value_parser = NonEmptyStringValueParser::new())]
    pub dlq_list: String,

    /// Load the sample shop into a new data folder
    #[arg(long, env = "SAMPLE", value_name = "on|off", hide_possible_values = true, value_enum, default_value_t = Switch::On, help_heading = "Sample shop")]
    pub sample: Switch,

    /// Same as --sample off
    #[arg(long, help_heading = "Sample shop")]
    pub no_sample: bool,

    /// Simulated events per second; 0 for none
    #[arg(long, env = "EVENT_RATE", value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1_000_000), help_heading = "Sample shop")]
    pub event_rate: u32,

    #[command(flatten)]
    pub commands: CommandConfig,
    #[command(flatten)]
    pub log: LogConfig,
    #[command(flatten)]
    pub projector: ProjectorConfig,
    #[command(flatten)]
    pub admin: AdminConfig,
    #[command(flatten)]
    pub read: ReadConfig,
    #[command(flatten)]
    pub http: HttpConfig,

    /// Address of /metrics for Prometheus, or off
    ///
    /// /health and /ready of the projector are at this address too. It never uses TLS.
    #[arg(long, env = "METRICS_ADDR", value_name = "ADDR", default_value = "127.0.0.1:2112", value_parser = metrics_addr, help_heading = "Monitoring")]
    pub metrics_addr: MetricsAddr,

    /// Log level: error, warn, info, debug, trace or off
    ///
    /// Targets can have levels of their own: info,millrace::projector=debug. Logs are JSON on stderr, and text on a terminal.
    #[arg(long, env = "LOG_LEVEL", value_name = "LEVEL", default_value = "info", value_parser = log_level, help_heading = "Monitoring")]
    pub log_level: String,
}

impl Settings {
    pub fn event_log(&self) -> EventLogUrl {
        self.event_log.clone().unwrap_or_else(|| EventLogUrl::Embedded(self.data_dir.clone()))
    }

    /// The read model, with the password of `MSSQL_PASSWORD` if its URL has none.
    pub fn read_model(&self) -> ReadModelUrl {
        let default = || ReadModelUrl::Sqlite(self.data_dir.join("read_model.db"));
        let mut url = self.read_model.clone().unwrap_or_else(default);
        if let (ReadModelUrl::Mssql(url), Some(password)) = (&mut url, &self.mssql_password)
            && url.password.reveal().is_empty()
        {
            url.password = password.clone();
        }
        url
    }

    /// A URL of the command API, for a client on this machine.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the API uses TLS, which this program's client does not support.
    pub fn command_url(&self, path: &str) -> Result<String, InvalidSetting> {
        self.local_url(self.commands.command_addr, path)
    }

    /// A URL of the admin API, for a client on this machine.
    ///
    /// # Errors
    /// As [`Settings::command_url`].
    pub fn admin_url(&self, path: &str) -> Result<String, InvalidSetting> {
        self.local_url(self.admin.admin_addr, path)
    }

    fn local_url(&self, address: SocketAddr, path: &str) -> Result<String, InvalidSetting> {
        let address = reachable(address);
        match self.http.tls_cert {
            None => Ok(format!("http://{address}{path}")),
            Some(_) => Err(InvalidSetting(format!(
                "TLS_CERT: this command does not support TLS; send POST https://{address}{path} with another client"
            ))),
        }
    }
}

/// A server that listens on all interfaces is reached through the loopback interface.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Never fails, but a value parser of clap must return a `Result`.
fn secret(text: &str) -> Result<Secret, InvalidSetting> {
    Ok(Secret::new(text))
}

/// `None` for `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricsAddr(pub Option<SocketAddr>);

fn metrics_addr(text: &str) -> Result<MetricsAddr, InvalidSetting> {
    match text {
        "off" => Ok(MetricsAddr(None)),
        text => listen_addr(text)
            .map(|address| MetricsAddr(Some(address)))
            .map_err(|error| InvalidSetting(format!("{error}, or off"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_reaches_a_server_on_all_interfaces() {
        for (address, expected) in [
            ("0.0.0.0:8090", "127.0.0.1:8090"),
            ("[::]:8090", "[::1]:8090"),
            ("10.0.0.1:8090", "10.0.0.1:8090"),
        ] {
            assert_eq!(reachable(address.parse().unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn metrics_can_be_switched_off() {
        assert_eq!(metrics_addr("off"), Ok(MetricsAddr(None)));
        assert_eq!(metrics_addr(":2112").unwrap().0.unwrap().to_string(), "0.0.0.0:2112");
        assert!(metrics_addr("on").unwrap_err().to_string().ends_with("or off"));
    }
}
