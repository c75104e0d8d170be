//! Which commands read which settings. Help texts, the check of flags, and the use of environment variables follow from
//! this table.

/// A part of the program that reads settings. A command consists of one or more parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Commands,
    Projector,
    ReadSide,
    /// The sample shop and the simulator of the process that runs all roles.
    SampleShop,
    Produce,
    /// Every command of `dead-letters`.
    Letters,
    /// `dead-letters` commands that close letters and update the mirror in Redis.
    Mirror,
    Redrive,
    Migrate,
    Ready,
}

use Part::{Commands, Letters, Migrate, Mirror, Produce, Projector, ReadSide, Ready, Redrive, SampleShop};

const SERVERS: &[Part] = &[Commands, Projector, ReadSide];

/// The commands that a message names, in the order of the help text.
pub(super) const COMMANDS: [&str; 9] = [
    "all",
    "write-side",
    "commands",
    "projector",
    "read-side",
    "produce",
    "dead-letters",
    "migrate",
    "ready",
];

fn parts(path: &[&str]) -> &'static [Part] {
    match path {
        [] | ["all"] => &[Commands, Projector, ReadSide, SampleShop],
        ["write-side"] => &[Commands, Projector],
        ["commands"] => &[Commands],
        ["projector"] => &[Projector],
        ["read-side"] => &[ReadSide],
        ["produce"] => &[Produce],
        ["dead-letters"] => &[Letters, Mirror, Redrive],
        ["dead-letters", "redrive"] => &[Letters, Mirror, Redrive],
        ["dead-letters", "discard" | "clear" | "mirror"] => &[Letters, Mirror],
        ["dead-letters", _] => &[Letters],
        ["migrate"] => &[Migrate],
        ["ready"] => &[Ready],
        _ => &[],
    }
}

/// The parts that read a setting, by the setting's id (`http_header_timeout`).
fn readers(setting: &str) -> &'static [Part] {
    match setting {
        "log_level" => &[Commands, Projector, ReadSide, Produce, Letters, Migrate, Ready],
        "metrics_addr" | "cors_origins" => SERVERS,
        "data_dir" => &[Commands, Projector, ReadSide, Letters, Migrate],
        "event_log" => &[Commands, Projector, Produce, Letters],
        "partitions" | "kafka_properties" => &[Commands, Projector, Produce, Redrive],
        "read_model" | "mssql_password" => &[Projector, ReadSide, Letters, Migrate],
        "redis_url" => &[Commands, Projector, ReadSide, Mirror],
        "dlq_list" => &[Projector, Mirror],
        "wait_for" => &[Migrate],
        "sample" | "no_sample" => &[SampleShop],
        "event_rate" => &[SampleShop, Produce],
        "command_addr" => &[Commands, Produce],
        "admin_addr" | "admin_token" => &[Projector, Redrive],
        // The clients report that they do not support TLS.
        "tls_cert" | "tls_key" => &[Commands, Projector, ReadSide, Produce, Redrive],
        "migrate" | "kafka_group_id" | "inbox_retention" => &[Projector],
        "api_addr" | "consistency_wait" | "read_tokens_file" => &[ReadSide],
        _ if setting.starts_with("http_") => SERVERS,
        _ if setting.starts_with("graphql_") => &[ReadSide],
        _ if ["batch_", "retry_", "circuit_breaker_"].iter().any(|family| setting.starts_with(family)) => {
            &[Projector]
        }
        _ => &[],
    }
}

/// Whether the command at this path (`["dead-letters", "list"]`; `[]` is `millrace` alone) reads a setting.
pub(super) fn reads(path: &[&str], setting: &str) -> bool {
    parts(path).iter().any(|part| readers(setting).contains(part))
}

/// The commands that read a setting.
pub(super) fn commands_that_read(setting: &str) -> Vec<&'static str> {
    COMMANDS.into_iter().filter(|command| reads(&[command], setting)).collect()
}

/// Settings in the help text of `millrace` alone.
const COMMON: [&str; 11] = [
    "data_dir",
    "event_log",
    "read_model",
    "redis_url",
    "no_sample",
    "event_rate",
    "command_addr",
    "admin_addr",
    "api_addr",
    "metrics_addr",
    "log_level",
];

/// Whether the help text of a command shows a setting that the command reads. The other settings are limits with defaults
/// that few installations change; `millrace settings` lists them.
pub(super) fn is_basic(path: &[&str], setting: &str) -> bool {
    let families = ["http_", "graphql_", "retry_", "circuit_breaker_"];
    match setting {
        // The list of commands leaves less room; `millrace all --help` shows more.
        _ if path.is_empty() => COMMON.contains(&setting),
        "batch_bytes_max" => false,
        "tls_cert" | "tls_key" => !matches!(path, ["produce"] | ["dead-letters", ..]),
        _ => !families.iter().any(|family| setting.starts_with(family)),
    }
}

/// Whether a flag states what holds for a command anyway. Such a flag is accepted, so that one set of arguments serves a
/// process with all roles as well as one with a single role.
pub(super) fn has_no_effect(setting: &str, value: &str) -> bool {
    matches!((setting, value), ("event_rate", "0") | ("sample", "off") | ("no_sample", "true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_read_the_settings_of_their_parts() {
        for setting in ["wait_for", "data_dir", "read_model"] {
            assert!(reads(&["migrate"], setting), "{setting}");
        }
        assert_eq!(commands_that_read("wait_for"), ["migrate"]);
        assert_eq!(commands_that_read("api_addr"), ["all", "read-side"]);
        assert_eq!(commands_that_read("admin_token"), ["all", "write-side", "projector", "dead-letters"]);
        assert!(!reads(&["commands"], "read_model"), "commands depend on the event log alone");
        assert!(!reads(&["dead-letters", "list"], "admin_token"));
    }
}
