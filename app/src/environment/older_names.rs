//! The variables of older systems that set the same as a setting. Pure.

/// An older name of a setting whose value needs at most a small change.
pub(super) struct Alias {
    pub(super) setting: &'static str,
    pub(super) name: &'static str,
    /// From a value of the older name to a value of the setting.
    pub(super) convert: fn(&str) -> String,
}

/// A port alone is a port of the loopback interface.
fn local_port(value: &str) -> String {
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("127.0.0.1:{value}")
    } else {
        value.to_owned()
    }
}

/// The first one that is set counts.
pub(super) const ALIASES: &[Alias] = &[
    Alias { setting: "KAFKA_GROUP_ID", name: "KAFKA_CONSUMER_GROUP", convert: str::to_owned },
    Alias { setting: "DLQ_LIST", name: "REDIS_DLQ_KEY", convert: str::to_owned },
    Alias { setting: "API_ADDR", name: "API_PORT", convert: local_port },
    Alias { setting: "METRICS_ADDR", name: "METRICS_PORT", convert: local_port },
    Alias { setting: "COMMAND_ADDR", name: "HTTP_PORT", convert: local_port },
];

pub(super) const KAFKA_BROKERS: [&str; 2] = ["KAFKA_BROKERS", "KAFKA_BROKER"];
pub(super) const KAFKA_TOPIC: [&str; 2] = ["KAFKA_TOPIC", "KAFKA_TOPIC_ORDERS"];
pub(super) const MSSQL_CONNECTION: [&str; 2] = ["MSSQL_CONN", "SQL_CONNECTION"];
pub(super) const MSSQL_PARTS: [&str; 4] = ["MSSQL_SERVER", "MSSQL_PORT", "MSSQL_USER", "MSSQL_DATABASE"];

pub(super) const REDIS: [&str; 6] =
    ["REDIS_ADDR", "REDIS_CONNECTION", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "REDIS_DB"];

/// Older names that hold a port, the setting that they belong to, and the name without which the port has no meaning.
///
/// Kubernetes sets a variable `…_PORT=tcp://10.0.0.1:80` for each service, so a service named `metrics` sets METRICS_PORT.
pub(super) const PORTS: [(&str, &str, Option<&str>); 5] = [
    ("API_PORT", "API_ADDR", None),
    ("METRICS_PORT", "METRICS_ADDR", None),
    ("HTTP_PORT", "COMMAND_ADDR", None),
    ("REDIS_PORT", "REDIS_URL", Some("REDIS_HOST")),
    ("MSSQL_PORT", "READ_MODEL", Some("MSSQL_SERVER")),
];

pub(super) fn is_service_url(name: &str, value: &str) -> bool {
    PORTS.iter().any(|(port, ..)| *port == name) && value.contains("://")
}

/// Every older name.
pub(super) fn all<'a>() -> impl Iterator<Item = &'a str> {
    let aliases = ALIASES.iter().map(|alias| alias.name);
    let lists = [&KAFKA_BROKERS[..], &KAFKA_TOPIC, &MSSQL_CONNECTION, &MSSQL_PARTS, &REDIS];
    aliases.chain(lists.into_iter().flatten().copied())
}
