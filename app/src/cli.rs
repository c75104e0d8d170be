//! The command line: commands, settings, and where the value of a setting comes from.
//!
//! A value comes from an argument, an environment variable or `.env`, in this order of precedence. Environment variables
//! are not left to clap: it reads neither `.env` nor older names, takes an empty value for a value, and skips checks of
//! values that do not come from arguments.

mod exit;
pub mod letters;
mod log_level;
mod readers;
pub mod reference;
mod settings;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::environment::{Environment, Value};
pub use exit::Exit;
use letters::LettersCommand;
pub use settings::{MetricsAddr, Settings};

/// CQRS pipeline: commands become events, events are projected into tables, tables answer queries.
#[derive(Debug, Parser)]
#[command(
    name = "millrace",
    version,
    propagate_version = true,
    args_override_self = true,
    about = "CQRS pipeline: commands become events, events are projected into tables, tables answer queries.\n\
             Without a command, all roles run in one process with embedded storage in ./data."
)]
pub struct Cli {
    #[command(flatten)]
    pub settings: Settings,
    #[command(subcommand)]
    pub command: Option<Command>,
    /// About the environment, to be logged once logging has started.
    #[arg(skip)]
    pub warnings: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run all roles in one process (the default)
    All,
    /// Run the roles commands and projector in one process
    WriteSide,
    /// Accept commands and append their events to the event log
    Commands,
    /// Project events into the read model and serve the admin API
    Projector,
    /// Answer queries by REST and GraphQL
    ReadSide,
    /// Send events: from a file, simulated, or from a menu
    Produce(ProduceArgs),
    /// Review, redrive and discard dead letters
    #[command(subcommand)]
    DeadLetters(LettersCommand),
    /// Update the schema of the read model
    Migrate,
    /// Check whether a running process is ready; exit code 0 or 1
    Ready {
        /// Readiness route of the process
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8090/ready")]
        url: String,
    },
    /// List all settings with their variables and defaults
    Settings {
        /// Only the settings that this command reads
        #[arg(value_name = "COMMAND", value_parser = readers::COMMANDS)]
        command: Option<String>,
    },
}

/// Arguments of `produce`.
#[derive(Debug, Args)]
pub struct ProduceArgs {
    /// Send the lines of a file, one event per line, instead of simulated events
    #[arg(long, value_name = "FILE.ndjson", conflicts_with_all = ["rate", "count"])]
    pub file: Option<PathBuf>,

    /// Simulated events per second [default: EVENT_RATE]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: Option<u32>,

    /// Number of simulated events [default: no limit]
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,

    /// Choose the events from a menu
    #[arg(long, conflicts_with_all = ["file", "rate", "count"])]
    pub interactive: bool,
}

/// Settings that are valid only together.
const PAIRS: [(&str, &str); 2] = [("tls_cert", "tls_key"), ("tls_key", "tls_cert")];

/// Values from the environment, by the id of their setting. They replace the defaults of the arguments.
type Defaults = BTreeMap<String, Value>;

impl Cli {
    /// Reads the arguments, variables and `.env` of this process.
    ///
    /// # Errors
    /// [`Exit`] if there is nothing to run.
    pub fn from_process() -> Result<Self, Exit> {
        Self::new(std::env::args_os(), &Environment::read())
    }

    /// # Errors
    /// [`Exit`] if there is nothing to run.
    pub fn new(
        arguments: impl IntoIterator<Item = OsString>,
        environment: &Environment,
    ) -> Result<Self, Exit> {
        let arguments: Vec<_> = arguments.into_iter().collect();
        // Without the environment first: a help text does not depend on it, and the command decides which variables count.
        let matches =
            command(&Defaults::new()).try_get_matches_from(&arguments).map_err(Exit::from_arguments)?;
        let (path, arguments_of_path) = leaf(&matches);
        check_flags(&path, arguments_of_path).map_err(Exit::Invalid)?;
        if path == ["settings"] {
            return Self::from_arg_matches(&matches).map_err(Exit::from_arguments);
        }
        let (defaults, warnings) =
            from_environment(environment, &path, arguments_of_path).map_err(Exit::Invalid)?;
        check_pairs(&path, arguments_of_path, &defaults).map_err(Exit::Invalid)?;
        let variable = |flag: &str| match defaults.get(&id(flag)) {
            Some(value) => value.variable.clone(),
            None => flag.to_owned(),
        };
        let matches = command(&defaults)
            .try_get_matches_from(&arguments)
            .map_err(|error| Exit::new(error, variable))?;
        let cli = Self::from_arg_matches(&matches).map_err(Exit::from_arguments)?;
        Ok(Self { warnings, ..cli })
    }
}

/// All commands, each with all settings: an argument is accepted before and after the command. The help text of a command
/// shows only the settings that the command reads.
fn command(defaults: &Defaults) -> clap::Command {
    let root = Cli::command().mut_args(|setting| {
        let default = defaults.get(setting.get_id().as_str());
        let setting = setting.global(true).env(Resettable::Reset).long_help(Resettable::Reset);
        match default {
            Some(value) => setting.default_value(value.text.clone()),
            None => setting,
        }
    });
    let settings: Vec<Arg> = root.get_arguments().cloned().collect();
    let root = root.mut_args(|setting| shown_for(&[], setting)).after_help(footer(&[], &settings));
    add_settings(root, &[], &settings)
}

fn add_settings(command: clap::Command, path: &[&str], settings: &[Arg]) -> clap::Command {
    command.mut_subcommands(|command| {
        let name = command.get_name().to_owned();
        let path = [path, &[name.as_str()]].concat();
        let examples = if path == ["dead-letters"] { letters::EXAMPLES } else { "" };
        let command = command
            .args(settings.iter().map(|setting| shown_for(&path, setting.clone())))
            .after_help(format!("{examples}{}", footer(&path, settings)));
        add_settings(command, &path, settings)
    })
}

fn shown_for(path: &[&str], setting: Arg) -> Arg {
    let id = setting.get_id().as_str();
    let shown = readers::reads(path, id) && readers::is_basic(path, id);
    setting.hide(!shown)
}

/// The end of a help text.
fn footer(path: &[&str], settings: &[Arg]) -> String {
    let ids = settings.iter().map(|setting| setting.get_id().as_str());
    let (shown, hidden): (Vec<_>, Vec<_>) =
        ids.filter(|id| readers::reads(path, id)).partition(|id| readers::is_basic(path, id));
    let list = match (path, hidden.len()) {
        ([], _) => "`millrace settings` lists them all with variables and defaults; COMMAND --help shows those of a command."
            .to_owned(),
        _ if shown.is_empty() => return String::new(),
        ([command, ..], 0) => format!("`millrace settings {command}` lists them with variables and defaults."),
        ([command, ..], more) => {
            format!("`millrace settings {command}` lists them all ({more} more) with variables and defaults.")
        }
    };
    format!(
        "A setting is an argument, an environment variable or a line of .env: --log-level is LOG_LEVEL.\n{list}"
    )
}

/// The names of the chosen command and its parents, and its arguments.
fn leaf(matches: &ArgMatches) -> (Vec<&str>, &ArgMatches) {
    let (mut path, mut leaf) = (Vec::new(), matches);
    while let Some((name, matches)) = leaf.subcommand() {
        path.push(name);
        leaf = matches;
    }
    (path, leaf)
}

/// `event_log` for `--event-log`.
fn id(flag: &str) -> String {
    flag.trim_start_matches('-').replace('-', "_")
}

/// `--event-log` for `event_log`.
fn flag(id: &str) -> String {
    format!("--{}", id.replace('_', "-"))
}

fn is_argument(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
}

/// Refuses the flag of a setting that the command does not read.
fn check_flags(path: &[&str], matches: &ArgMatches) -> Result<(), String> {
    for setting in Cli::command().get_arguments() {
        let id = setting.get_id().as_str();
        if readers::reads(path, id) || !is_argument(matches, id) {
            continue;
        }
        let mut values = matches.get_raw(id).into_iter().flatten().filter_map(|value| value.to_str());
        if values.any(|value| readers::has_no_effect(id, value)) {
            continue;
        }
        let command = ["millrace"].iter().chain(path).copied().collect::<Vec<_>>().join(" ");
        let readers = readers::commands_that_read(id).join(", ");
        return Err(format!("{}: {command} does not read this setting; read by: {readers}", flag(id)));
    }
    Ok(())
}

/// The values of the settings that the command reads and that are not arguments, and warnings.
fn from_environment(
    environment: &Environment,
    path: &[&str],
    matches: &ArgMatches,
) -> Result<(Defaults, Vec<String>), String> {
    let root = Cli::command();
    let variables = root.get_arguments().filter_map(|setting| {
        let variable = setting.get_env()?.to_str()?;
        Some((setting.get_id().as_str(), variable))
    });
    let variables: Vec<_> = variables.collect();
    let names: Vec<_> = variables.iter().map(|(_, variable)| *variable).collect();
    let mut warnings = environment.check(&names)?;
    let mut defaults = Defaults::new();
    for (id, variable) in variables {
        if !readers::reads(path, id) || is_argument(matches, id) {
            continue;
        }
        warnings.extend(environment.ignored_port(variable));
        if let Some(value) = environment.value(variable) {
            defaults.insert(id.to_owned(), value);
        }
    }
    Ok((defaults, warnings))
}

/// clap would check this too, but only for arguments, and not if one is before and one after the command.
fn check_pairs(path: &[&str], matches: &ArgMatches, defaults: &Defaults) -> Result<(), String> {
    let source = |id: &str| match defaults.get(id) {
        _ if is_argument(matches, id) => Some(flag(id)),
        Some(value) => Some(value.variable.clone()),
        None => None,
    };
    for (setting, required) in PAIRS {
        if let (true, Some(name), None) = (readers::reads(path, setting), source(setting), source(required)) {
            return Err(format!("{name}: requires {} as well", required.to_uppercase()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
