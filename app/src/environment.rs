//! Environment variables, the file `.env`, and the names that older systems use for the same settings.

mod names;
mod older_names;
mod redis;
mod value;

use std::collections::HashMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use older_names::{
    ALIASES, KAFKA_BROKERS, KAFKA_TOPIC, MSSQL_CONNECTION, MSSQL_PARTS, PORTS, is_service_url,
};
pub use value::Value;

/// Variables of the process take precedence over `.env`. An empty value counts as not set.
#[derive(Debug, Default)]
pub struct Environment {
    process: HashMap<String, String>,
    file: HashMap<String, String>,
    /// Why `.env` cannot be read.
    file_error: Option<String>,
}

impl Environment {
    /// The variables of this process, and `.env` in the working directory if there is one.
    pub fn read() -> Self {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let mut environment: Self = std::env::vars_os().filter_map(utf8).collect();
        match read_file() {
            Ok(file) => environment.file = file,
            Err(error) => environment.file_error = Some(error),
        }
        environment
    }

    /// The value of a variable. A port that is a service URL of Kubernetes counts as not set.
    fn get(&self, name: &str) -> Option<&str> {
        let value = self.process.get(name).or_else(|| self.file.get(name))?;
        (!is_service_url(name, value)).then_some(value)
    }

    /// The first of these names that is set, and its value.
    fn first<'a>(&self, names: &[&'a str]) -> Option<(&'a str, &str)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    /// The value of a setting, under its own name or an older one.
    pub fn value(&self, setting: &str) -> Option<Value> {
        if let Some(text) = self.get(setting) {
            return Some(Value::new(text, &[setting]));
        }
        match setting {
            "EVENT_LOG" => self.kafka(),
            "READ_MODEL" => match self.first(&MSSQL_CONNECTION) {
                Some((name, text)) => Some(Value::new(text, &[name])),
                None => self.mssql_parts(),
            },
            "REDIS_URL" => redis::url(|name| self.get(name)),
            _ => {
                let mut aliases = ALIASES.iter().filter(|alias| alias.setting == setting);
                aliases
                    .find_map(|alias| Some(Value::new((alias.convert)(self.get(alias.name)?), &[alias.name])))
            }
        }
    }

    fn kafka(&self) -> Option<Value> {
        let (name, brokers) = self.first(&KAFKA_BROKERS)?;
        Some(match self.first(&KAFKA_TOPIC) {
            Some((topic_name, topic)) => {
                Value::new(format!("kafka://{brokers}/{topic}"), &[name, topic_name])
            }
            None => Value::new(format!("kafka://{brokers}/{}", millrace_event_log::DEFAULT_TOPIC), &[name]),
        })
    }

    /// `MSSQL_SERVER` and the variables beside it, as a URL. The password is a setting of its own.
    fn mssql_parts(&self) -> Option<Value> {
        let server = self.get("MSSQL_SERVER")?;
        let part = |name: &str, default: &str| {
            utf8_percent_encode(self.get(name).unwrap_or(default), NON_ALPHANUMERIC).to_string()
        };
        let (user, database) = (part("MSSQL_USER", "sa"), part("MSSQL_DATABASE", "millrace"));
        let port = self.get("MSSQL_PORT").unwrap_or("1433");
        let used: Vec<_> = MSSQL_PARTS.into_iter().filter(|name| self.get(name).is_some()).collect();
        Some(Value::new(format!("mssql://{user}@{server}:{port}/{database}"), &used))
    }

    /// A warning if the value of a setting would come from a port that is a service URL of Kubernetes.
    pub fn ignored_port(&self, setting: &str) -> Option<String> {
        let (port, ..) = PORTS.iter().find(|(port, of, with)| {
            let value = self.process.get(*port).or_else(|| self.file.get(*port));
            *of == setting
                && value.is_some_and(|value| is_service_url(port, value))
                && with.is_none_or(|with| self.get(with).is_some())
        })?;
        if self.get(setting).is_some() {
            return None;
        }
        Some(format!(
            "{port} ignored: it is a service URL, as Kubernetes sets it, and no port; set {setting}"
        ))
    }

    /// Looks for misspelt settings. `settings` are the variables of all settings.
    ///
    /// Returns warnings about variables of the process. Other programs set variables too, so there the names must be very
    /// similar.
    ///
    /// # Errors
    /// One line about `.env`, which belongs to this program.
    pub fn check(&self, settings: &[&str]) -> Result<Vec<String>, String> {
        if let Some(error) = &self.file_error {
            return Err(error.clone());
        }
        names::check_file(self.file.keys().map(String::as_str), settings)?;
        Ok(names::check_process(self.process.keys().map(String::as_str), settings))
    }
}

/// Variables of the process.
impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(values: I) -> Self {
        let process = values.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        Self { process, ..Self::default() }
    }
}

fn read_file() -> Result<HashMap<String, String>, String> {
    let lines = match dotenvy::from_path_iter(".env") {
        Ok(lines) => lines,
        Err(error) if error.not_found() => return Ok(HashMap::new()),
        Err(error) => return Err(format!(".env: {error}")),
    };
    // The error would repeat the line, which may hold a password.
    let lines = lines.map(|line| line.map_err(|_| ".env: a line is not NAME=value".to_owned()));
    let values: HashMap<_, _> = lines.collect::<Result<_, _>>()?;
    Ok(values.into_iter().filter(|(_, value)| !value.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(setting: &str, variables: &[(&str, &str)]) -> Option<(String, String)> {
        let pairs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let value = pairs.collect::<Environment>().value(setting)?;
        Some((value.text, value.variable))
    }

    #[test]
    fn older_names_are_understood() {
        for (setting, variables, text, variable) in [
            ("EVENT_LOG", &[("KAFKA_BROKER", "k:1")][..], "kafka://k:1/events", "KAFKA_BROKER"),
            (
                "EVENT_LOG",
                &[("KAFKA_BROKERS", "k:1"), ("KAFKA_TOPIC_ORDERS", "orders")],
                "kafka://k:1/orders",
                "KAFKA_BROKERS and KAFKA_TOPIC_ORDERS",
            ),
            ("EVENT_LOG", &[("KAFKA_BROKER", "k:1"), ("EVENT_LOG", "embedded:x")], "embedded:x", "EVENT_LOG"),
            ("KAFKA_GROUP_ID", &[("KAFKA_CONSUMER_GROUP", "g")], "g", "KAFKA_CONSUMER_GROUP"),
            ("DLQ_LIST", &[("REDIS_DLQ_KEY", "letters")], "letters", "REDIS_DLQ_KEY"),
            ("API_ADDR", &[("API_PORT", "81")], "127.0.0.1:81", "API_PORT"),
            ("COMMAND_ADDR", &[("HTTP_PORT", ":82")], ":82", "HTTP_PORT"),
            ("METRICS_ADDR", &[("METRICS_PORT", "83")], "127.0.0.1:83", "METRICS_PORT"),
            ("READ_MODEL", &[("SQL_CONNECTION", "Server=s")], "Server=s", "SQL_CONNECTION"),
            (
                "READ_MODEL",
                &[("MSSQL_SERVER", "s"), ("MSSQL_USER", "a@b")],
                "mssql://a%40b@s:1433/millrace",
                "MSSQL_SERVER and MSSQL_USER",
            ),
            ("REDIS_URL", &[("REDIS_ADDR", "r:1")], "redis://r:1/0", "REDIS_ADDR"),
        ] {
            assert_eq!(value(setting, variables), Some((text.to_owned(), variable.to_owned())));
        }
        assert_eq!(value("EVENT_RATE", &[("EVENT_RATE", "")]), None, "empty is not set");
    }

    #[test]
    fn a_service_url_of_kubernetes_is_no_port() {
        for (setting, variables) in [
            ("METRICS_ADDR", &[("METRICS_PORT", "tcp://10.0.0.1:80")][..]),
            ("API_ADDR", &[("API_PORT", "tcp://10.0.0.1:80")]),
            ("COMMAND_ADDR", &[("HTTP_PORT", "tcp://10.0.0.1:80")]),
            ("REDIS_URL", &[("REDIS_PORT", "tcp://10.0.0.1:6379"), ("REDIS_HOST", "redis")]),
            ("READ_MODEL", &[("MSSQL_PORT", "tcp://10.0.0.1:1433"), ("MSSQL_SERVER", "s")]),
        ] {
            let pairs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let environment: Environment = pairs.collect();
            let warning = environment.ignored_port(setting).unwrap();
            assert!(warning.starts_with(variables[0].0), "{warning}");
            assert!(environment.value(setting).is_none_or(|value| !value.text.contains("tcp:")), "{setting}");
        }
        let redis = value("REDIS_URL", &[("REDIS_PORT", "tcp://10.0.0.1:6379"), ("REDIS_HOST", "redis")]);
        assert_eq!(redis.unwrap().0, "redis://redis:6379/0");
    }
}
