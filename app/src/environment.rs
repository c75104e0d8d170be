//! Environment variables, the file `.env`, and the names that the older systems used for our settings.

mod redis;

use std::collections::HashMap;

use clap::Command;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// An older name for one of ours, as it is or with something around its value.
struct Alias {
    ours: &'static str,
    theirs: &'static str,
    /// What turns their value into ours.
    convert: fn(&str) -> String,
}

fn same(value: &str) -> String {
    value.to_owned()
}

/// A port alone, on this machine only.
fn local_port(port: &str) -> String {
    format!("127.0.0.1:{port}")
}

/// SEEDS.md lists them. The first one that is set counts.
const ALIASES: &[Alias] = &[
    Alias { ours: "KAFKA_GROUP_ID", theirs: "KAFKA_CONSUMER_GROUP", convert: same },
    Alias { ours: "DLQ_LIST", theirs: "REDIS_DLQ_KEY", convert: same },
    Alias { ours: "API_ADDR", theirs: "API_PORT", convert: local_port },
    Alias { ours: "METRICS_ADDR", theirs: "METRICS_PORT", convert: local_port },
    Alias { ours: "COMMAND_ADDR", theirs: "HTTP_PORT", convert: local_port },
];

const KAFKA_BROKERS: [&str; 2] = ["KAFKA_BROKERS", "KAFKA_BROKER"];
const MSSQL_CONNECTION: [&str; 2] = ["MSSQL_CONN", "SQL_CONNECTION"];
const KAFKA_TOPIC: [&str; 2] = ["KAFKA_TOPIC", "KAFKA_TOPIC_ORDERS"];

/// What is set around the program. Process variables weigh more than `.env`; an empty value is not set.
#[derive(Debug, Default)]
pub struct Environment(HashMap<String, String>);

impl Environment {
    /// Reads the process' variables and `.env` in the working directory, when there is one.
    ///
    /// # Errors
    /// One line when `.env` cannot be read.
    pub fn read() -> Result<Self, String> {
        let mut values = HashMap::new();
        match dotenvy::from_path_iter(".env") {
            Ok(file) => {
                for pair in file {
                    // The error would repeat the line, which may hold a password.
                    let (name, value) = pair.map_err(|_| ".env: a line is not NAME=value".to_owned())?;
                    values.insert(name, value);
                }
            }
            Err(error) if error.not_found() => {}
            Err(error) => return Err(format!(".env: {error}")),
        }
        values.extend(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        Ok(Self::from_iter(values))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// The value of one of our settings, under its own name or an older one.
    pub fn value(&self, ours: &str) -> Option<String> {
        if let Some(value) = self.get(ours) {
            return Some(value.to_owned());
        }
        if ours == "EVENT_LOG" {
            let topic = self.first(&KAFKA_TOPIC).unwrap_or(millrace_event_log::DEFAULT_TOPIC);
            return self.first(&KAFKA_BROKERS).map(|brokers| format!("kafka://{brokers}/{topic}"));
        }
        if ours == "READ_MODEL" {
            return self.first(&MSSQL_CONNECTION).map(str::to_owned).or_else(|| self.mssql_parts());
        }
        if ours == "REDIS_URL" {
            return redis::url(|name| self.get(name));
        }
        let aliases = ALIASES.iter().filter(|alias| alias.ours == ours);
        aliases.filter_map(|alias| self.get(alias.theirs).map(alias.convert)).next()
    }

    /// `MSSQL_SERVER` and what belongs to it, as a URL. The password is looked up by itself.
    fn mssql_parts(&self) -> Option<String> {
        let part = |name: &str, default: &str| {
            utf8_percent_encode(self.get(name).unwrap_or(default), NON_ALPHANUMERIC).to_string()
        };
        let (user, database) = (part("MSSQL_USER", "sa"), part("MSSQL_DATABASE", "millrace"));
        let (server, port) = (self.get("MSSQL_SERVER")?, self.get("MSSQL_PORT").unwrap_or("1433"));
        Some(format!("mssql://{user}@{server}:{port}/{database}"))
    }

    /// The same command with what is set here as the defaults of its arguments.
    ///
    /// clap would read variables by itself, but neither `.env` nor older names, and it takes empty values for values.
    pub fn defaults_for(&self, command: Command) -> Command {
        command.mut_args(|arg| {
            let set = arg.get_env().and_then(|name| name.to_str()).and_then(|name| self.value(name));
            let shown = arg.get_env().map(|name| format!("[env: {}]", name.display()));
            let help = match (arg.get_help(), shown) {
                (Some(help), Some(shown)) => format!("{help} {shown}"),
                (help, _) => help.map(ToString::to_string).unwrap_or_default(),
            };
            let arg = arg.help(help).env(clap::builder::Resettable::Reset);
            match set {
                Some(value) => arg.default_value(value).hide_default_value(true),
                None => arg,
            }
        })
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    fn environment(values: &[(&str, &str)]) -> Environment {
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn parse(arguments: &[&str], values: &[(&str, &str)]) -> Cli {
        let arguments = std::iter::once("millrace").chain(arguments.iter().copied()).map(Into::into);
        Cli::from_arguments(arguments, &environment(values)).unwrap()
    }

    #[test]
    fn arguments_weigh_more_than_variables_and_those_more_than_defaults() {
        assert_eq!(parse(&[], &[]).settings.event_rate, 5);
        assert_eq!(parse(&[], &[("EVENT_RATE", "7")]).settings.event_rate, 7);
        assert_eq!(parse(&["--event-rate", "9"], &[("EVENT_RATE", "7")]).settings.event_rate, 9);
        assert_eq!(
            parse(&["write-side", "--event-rate", "9"], &[("EVENT_RATE", "7")]).settings.event_rate,
            9
        );
        assert_eq!(parse(&[], &[("EVENT_RATE", "")]).settings.event_rate, 5, "empty is not set");
    }

    #[test]
    fn older_names_are_understood() {
        let cli = parse(
            &[],
            &[
                ("KAFKA_BROKER", "k:9092"),
                ("KAFKA_TOPIC_ORDERS", "orders"),
                ("API_PORT", "81"),
                ("HTTP_PORT", "82"),
            ],
        );
        assert_eq!(cli.settings.event_log(), "kafka://k:9092/orders".parse().unwrap());
        assert_eq!(cli.settings.read.api_addr.to_string(), "127.0.0.1:81");
        assert_eq!(cli.settings.commands.command_addr.to_string(), "127.0.0.1:82");
        let cli = parse(&[], &[("REDIS_ADDR", "r:1"), ("REDIS_DLQ_KEY", "letters")]);
        assert_eq!(cli.settings.redis_url.unwrap().to_string(), "r:1");
        assert_eq!(cli.settings.dlq_list, "letters");
        let both = environment(&[("KAFKA_BROKERS", "k:9092"), ("EVENT_LOG", "embedded:x")]);
        assert_eq!(both.value("EVENT_LOG").as_deref(), Some("embedded:x"), "our own name weighs more");
    }

    #[test]
    fn help_names_every_variable() {
        let help =
            environment(&[]).defaults_for(<Cli as clap::CommandFactory>::command()).render_help().to_string();
        // Long lines are wrapped wherever there is a space.
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for name in [
            "DATA_DIR",
            "EVENT_LOG",
            "READ_MODEL",
            "API_ADDR",
            "COMMAND_ADDR",
            "METRICS_ADDR",
            "KAFKA_PROPERTIES",
            "EVENT_RATE",
            "SAMPLE",
            "REDIS_URL",
            "DLQ_LIST",
        ] {
            assert!(help.contains(&format!("[env: {name}]")), "{name}");
        }
    }
}
