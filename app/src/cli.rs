//! What can be said on the command line. Its `--help` is the reference of all settings.

pub mod letters;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
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

use crate::environment::Environment;
use letters::LettersCommand;

/// Commands become events, events become tables, tables answer queries.
///
/// Without a command everything runs in one process on embedded parts in ./data.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, propagate_version = true, args_override_self = true)]
pub struct Cli {
    /// What every command knows.
    #[command(flatten)]
    pub settings: Settings,
    /// What to do; everything when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Settings of every command. Each can be given as an argument, as an environment variable, or in a file `.env`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Parts, for every command")]
pub struct Settings {
    /// Folder of the embedded event log and read model
    #[arg(long, env = "DATA_DIR", value_name = "DIR", default_value = "./data", global = true)]
    pub data_dir: PathBuf,

    /// Event log: embedded:DIR or kafka://host:port,…/topic [default: embedded:DATA_DIR]
    #[arg(long, env = "EVENT_LOG", value_name = "URL", global = true)]
    pub event_log: Option<EventLogUrl>,

    /// Read model: sqlite:FILE, mssql://user:password@host:port/database?encrypt=…&trust-server-certificate=…&ca=FILE, or
    /// an ADO.NET connection string [default: sqlite:DATA_DIR/read_model.db]
    #[arg(long, env = "READ_MODEL", value_name = "URL", hide_env_values = true, global = true)]
    pub read_model: Option<ReadModelUrl>,

    /// Password of SQL Server, when READ_MODEL has none
    #[arg(long, env = "MSSQL_PASSWORD", value_name = "PASSWORD", value_parser = secret, hide_env_values = true, global = true)]
    pub mssql_password: Option<Secret>,

    /// How long to wait at start for a SQL Server that does not answer yet
    #[arg(long, env = "WAIT_FOR", value_name = "TIME", default_value = "60s", value_parser = duration, global = true)]
    pub wait_for: Duration,

    /// Whether the write side brings the read model's schema up to date at start; if not, `millrace migrate` must have
    #[arg(long, env = "MIGRATE", value_name = "on|off", hide_possible_values = true, value_enum, default_value_t = Switch::On, global = true)]
    pub migrate: Switch,

    /// Redis, where dead letters are mirrored and changes are told: redis://user:password@host:port/db, or
    /// rediss:// for TLS, with SSL_CERT_FILE for an authority of one's own [default: none, and everything works without]
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true, global = true)]
    pub redis_url: Option<RedisUrl>,

    /// Name of the list in Redis that shows the open dead letters
    #[arg(long, env = "DLQ_LIST", value_name = "NAME", default_value = "dlq", value_parser = clap::builder::NonEmptyStringValueParser::new(), global = true)]
    pub dlq_list: String,

    /// Address that answers /metrics for Prometheus, or off
    #[arg(long, env = "METRICS_ADDR", value_name = "ADDR", default_value = "127.0.0.1:2112", value_parser = metrics_addr, global = true)]
    pub metrics_addr: MetricsAddr,

    /// What is logged: error, warn, info, debug, trace, or a filter such as info,write_side=debug
    #[arg(long, env = "LOG_LEVEL", value_name = "LEVEL", default_value = "info", global = true)]
    pub log_level: String,

    /// Whether a new, empty data folder is filled with the sample shop
    #[arg(long, env = "SAMPLE", value_name = "on|off", hide_possible_values = true, value_enum, default_value_t = Switch::On, global = true)]
    pub sample: Switch,

    /// The same as --sample off
    #[arg(long, global = true)]
    pub no_sample: bool,

    /// Events per second that the simulator makes (0: none)
    #[arg(long, env = "EVENT_RATE", value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1_000_000), global = true)]
    pub event_rate: u32,

    /// What every HTTP port bears.
    #[command(flatten)]
    pub http: HttpConfig,
    /// Where commands are taken.
    #[command(flatten)]
    pub commands: CommandConfig,
    /// How the log is used.
    #[command(flatten)]
    pub log: LogConfig,
    /// Where dead letters are reviewed.
    #[command(flatten)]
    pub admin: AdminConfig,
    /// How records are projected.
    #[command(flatten)]
    pub projector: ProjectorConfig,
    /// Where queries are answered.
    #[command(flatten)]
    pub read: ReadConfig,
}

impl Settings {
    /// The log, by setting or by default.
    pub fn event_log(&self) -> EventLogUrl {
        self.event_log.clone().unwrap_or_else(|| EventLogUrl::Embedded(self.data_dir.clone()))
    }

    /// A URL of the command port on this machine.
    ///
    /// # Errors
    /// One line when that port speaks TLS, which this program's client does not.
    pub fn command_url(&self, path: &str) -> Result<String, InvalidSetting> {
        self.local_url(self.commands.command_addr, path)
    }

    /// A URL of the projector's admin port on this machine.
    ///
    /// # Errors
    /// As [`Settings::command_url`].
    pub fn admin_url(&self, path: &str) -> Result<String, InvalidSetting> {
        self.local_url(self.admin.admin_addr, path)
    }

    fn local_url(&self, address: SocketAddr, path: &str) -> Result<String, InvalidSetting> {
        match self.http.tls_cert {
            None => Ok(format!("http://{address}{path}")),
            Some(_) => Err(InvalidSetting(format!(
                "{address} speaks TLS (TLS_CERT), and this command does not: send POST https://{address}{path} with another client"
            ))),
        }
    }

    /// The read model, by setting or by default.
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
}

fn secret(text: &str) -> Result<Secret, InvalidSetting> {
    Ok(Secret::new(text))
}

/// An address, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricsAddr(pub Option<SocketAddr>);

fn metrics_addr(text: &str) -> Result<MetricsAddr, InvalidSetting> {
    if text == "off" { Ok(MetricsAddr(None)) } else { listen_addr(text).map(|addr| MetricsAddr(Some(addr))) }
}

/// What `millrace` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process (the default)
    All,
    /// Accept commands and project events, in one process
    WriteSide,
    /// Accept commands: append them to the event log, whatever the read model does
    Commands,
    /// Project events into the read model; review dead letters
    Projector,
    /// Answer queries
    ReadSide,
    /// Send events: from a file, made up at a steady rate, or by a menu
    Produce(ProduceArgs),
    /// Review what could not be projected
    #[command(subcommand, after_help = letters::EXAMPLES)]
    DeadLetters(LettersCommand),
    /// Bring the read model's schema up to date
    Migrate,
    /// Ask a running service whether it is ready (exit code 0 or 1)
    Ready {
        /// Its /ready
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8090/ready")]
        url: String,
    },
}

/// Arguments of `produce`.
#[derive(Debug, Args)]
pub struct ProduceArgs {
    /// Send the lines of this file, one event of any known shape each, instead of made-up events
    #[arg(long, value_name = "FILE.ndjson", conflicts_with_all = ["rate", "count"])]
    pub file: Option<PathBuf>,

    /// Made-up events per second [default: EVENT_RATE]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: Option<u32>,

    /// Made-up events in all [default: until stopped]
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,

    /// Ask what to send, by a menu
    #[arg(long, conflicts_with_all = ["file", "rate", "count"])]
    pub interactive: bool,
}

/// Why there is nothing to run: help was asked for, or an argument is wrong.
#[derive(Debug)]
pub struct Exit(clap::Error);

impl Exit {
    /// Prints help as it is, and an error as one line.
    #[expect(clippy::print_stderr, reason = "the last word of a command, for a person")]
    pub fn end(self) -> ExitCode {
        if matches!(self.0.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            // Whoever asked for help and closed the pipe does not want it any more.
            let _closed = self.0.print();
            return ExitCode::SUCCESS;
        }
        eprintln!("millrace: {}; see millrace --help", self.line());
        ExitCode::from(2)
    }

    /// What is wrong, in one line. A value that was refused is not repeated: it may hold a password.
    fn line(&self) -> String {
        let argument = match self.0.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(argument)) => argument.as_str(),
            _ => "",
        };
        if let (ErrorKind::ValueValidation, Some(cause)) = (self.0.kind(), std::error::Error::source(&self.0))
        {
            return format!("{argument}: {cause}");
        }
        let text = self.0.to_string();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let said: Vec<_> = lines.take_while(|line| !line.starts_with("Usage:")).collect();
        let said = said.join(" ");
        let said = said.strip_prefix("error: ").unwrap_or(&said);
        said.trim_end_matches("For more information, try '--help'.").trim_end().to_owned()
    }
}

impl Cli {
    /// Reads arguments, environment variables and `.env`, in this order of weight.
    ///
    /// # Errors
    /// [`Exit`] when there is nothing to run.
    pub fn from_surroundings() -> Result<Self, Exit> {
        let environment = Environment::read()
            .map_err(|error| Exit(Self::command().error(ErrorKind::InvalidValue, error)))?;
        Self::from_arguments(std::env::args_os(), &environment)
    }

    /// As [`Cli::from_surroundings`], the surroundings being given.
    ///
    /// # Errors
    /// [`Exit`] when there is nothing to run.
    pub fn from_arguments(
        arguments: impl IntoIterator<Item = std::ffi::OsString>,
        environment: &Environment,
    ) -> Result<Self, Exit> {
        let matches =
            environment.defaults_for(Self::command()).try_get_matches_from(arguments).map_err(Exit)?;
        Self::from_arg_matches(&matches).map_err(Exit)
    }
}
