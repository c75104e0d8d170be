//! Names that look like settings and are none. Pure.

use super::older_names;
use crate::similar::closest;

/// Names of programs that share `.env` or the environment with Millrace: docker-compose.yml, SQL Server, Kafka and Redis in
/// containers, and HTTP clients.
const OTHER_PROGRAMS: [&str; 14] = [
    "HTTP_PROXY",
    "KAFKA_HEAP_OPTS",
    "KAFKA_HOME",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_OPTS",
    "KAFKA_VERSION",
    "MSSQL_COLLATION",
    "MSSQL_MEMORY_LIMIT_MB",
    "MSSQL_PID",
    "MSSQL_SA_PASSWORD",
    "MSSQL_TEST_URL",
    "REDIS_VERSION",
    "SSL_CERT_FILE",
];

/// In `.env`, a name that begins like these is meant for Millrace.
const FAMILIES: [&str; 9] =
    ["TLS_", "HTTP_", "GRAPHQL_", "KAFKA_", "CIRCUIT_BREAKER_", "RETRY_", "BATCH_", "MSSQL_", "REDIS_"];

/// A name this short is similar to many others.
const SHORT: usize = 8;

fn is_known(name: &str, settings: &[&str]) -> bool {
    settings.contains(&name)
        || OTHER_PROGRAMS.contains(&name)
        || older_names::all().any(|older| older == name)
}

/// Reports the first name, in alphabetical order, that is most likely a misspelt setting.
pub(super) fn check_file<'a>(names: impl Iterator<Item = &'a str>, settings: &[&str]) -> Result<(), String> {
    let mut names: Vec<_> = names.filter(|name| !is_known(name, settings)).collect();
    names.sort_unstable();
    for name in names {
        // Lower case is a typing error as well: names are compared in upper case.
        let upper = name.to_ascii_uppercase();
        let candidates = settings.iter().copied().chain(older_names::all());
        if let Some(meant) = closest(&upper, candidates, 2) {
            return Err(format!("unknown setting {name} in .env; did you mean {meant}?"));
        }
        if FAMILIES.iter().any(|family| upper.starts_with(family)) {
            return Err(format!("unknown setting {name} in .env; millrace settings lists all settings"));
        }
    }
    Ok(())
}

/// A warning for each name that is almost a setting. Older names are left out: they are common words such as HTTP_PORT.
pub(super) fn check_process<'a>(names: impl Iterator<Item = &'a str>, settings: &[&str]) -> Vec<String> {
    let unknown = names.filter(|name| !is_known(name, settings));
    let mut warnings: Vec<_> = unknown
        .filter_map(|name| {
            let distance_max = if name.len() < SHORT { 1 } else { 2 };
            let meant = closest(name, settings.iter().copied(), distance_max)?;
            Some(format!("unknown setting {name} in the environment; did you mean {meant}?"))
        })
        .collect();
    warnings.sort_unstable();
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: [&str; 6] =
        ["TLS_KEY", "TLS_CERT", "LOG_LEVEL", "EVENT_LOG", "KAFKA_GROUP_ID", "HTTP_BODY_TIMEOUT"];

    #[test]
    fn a_misspelt_setting_in_the_file_is_an_error_with_the_near_name() {
        for (name, meant) in [
            ("TLS_KEYS", "did you mean TLS_KEY?"),
            ("LOGLEVEL", "did you mean LOG_LEVEL?"),
            ("event_log", "did you mean EVENT_LOG?"),
            ("KAFKA_BROKR", "did you mean KAFKA_BROKER?"),
            ("KAFKA_ACKS", "millrace settings"),
            ("HTTP_READ_TIMEOUT", "millrace settings"),
        ] {
            let error = check_file([name].into_iter(), &SETTINGS).unwrap_err();
            assert!(error.starts_with(&format!("unknown setting {name} in .env; ")), "{error}");
            assert!(error.contains(meant), "{error}");
        }
    }

    #[test]
    fn names_of_other_programs_are_no_error() {
        let names =
            ["COMPOSE_PROJECT_NAME", "TZ", "POSTGRES_PASSWORD", "HTTP_PROXY", "MSSQL_MEMORY_LIMIT_MB"];
        assert_eq!(
            check_file(names.into_iter().chain(SETTINGS).chain(older_names::all()), &SETTINGS),
            Ok(())
        );
    }

    #[test]
    fn only_very_similar_names_in_the_environment_are_reported() {
        let names =
            ["KAFKA_HOME", "REDIS_VERSION", "HTTP_PROXY", "HTTPS_PROXY", "KAFKA_ACKS", "HTTPS_PORT", "PATH"];
        assert_eq!(check_process(names.into_iter(), &SETTINGS), [""; 0]);
        assert_eq!(
            check_process(["TLS_KEYS", "LOG_LEVLE"].into_iter(), &SETTINGS),
            [
                "unknown setting LOG_LEVLE in the environment; did you mean LOG_LEVEL?",
                "unknown setting TLS_KEYS in the environment; did you mean TLS_KEY?",
            ]
        );
    }
}
