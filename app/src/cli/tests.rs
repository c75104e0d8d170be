//! Arguments and variables together: precedence, checks and messages.

use super::*;

fn environment(values: &[(&str, &str)]) -> Environment {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn try_parse(arguments: &[&str], values: &[(&str, &str)]) -> Result<Cli, String> {
    let arguments = std::iter::once("millrace").chain(arguments.iter().copied()).map(Into::into);
    Cli::new(arguments, &environment(values)).map_err(|exit| match exit {
        Exit::Invalid(line) => line,
        Exit::Help(text) => panic!("{text}"),
    })
}

fn parse(arguments: &[&str], values: &[(&str, &str)]) -> Settings {
    try_parse(arguments, values).unwrap().settings
}

fn error(arguments: &[&str], values: &[(&str, &str)]) -> String {
    try_parse(arguments, values).unwrap_err()
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
    command(&Defaults::new()).debug_assert();
    for setting in Cli::command().get_arguments() {
        let id = setting.get_id().as_str();
        assert!(!readers::commands_that_read(id).is_empty(), "no command reads {id}");
        if let Some(variable) = setting.get_env() {
            assert_eq!(
                variable.to_str(),
                Some(id.to_uppercase().as_str()),
                "flag and variable have one name"
            );
        }
    }
}

#[test]
fn arguments_take_precedence_over_variables_and_variables_over_defaults() {
    assert_eq!(parse(&[], &[]).event_rate, 5);
    assert_eq!(parse(&[], &[("EVENT_RATE", "7")]).event_rate, 7);
    assert_eq!(parse(&["--event-rate", "9"], &[("EVENT_RATE", "7")]).event_rate, 9);
    assert_eq!(parse(&["all", "--event-rate", "9"], &[("EVENT_RATE", "x")]).event_rate, 9);
    assert_eq!(parse(&[], &[("EVENT_RATE", "")]).event_rate, 5, "empty is not set");
}

#[test]
fn an_argument_is_accepted_before_and_after_the_command() {
    for arguments in [
        &["--data-dir", "x", "dead-letters", "list"][..],
        &["dead-letters", "--data-dir", "x", "list"],
        &["dead-letters", "list", "--data-dir", "x"],
        &["--data-dir", "y", "dead-letters", "list", "--data-dir", "x"],
    ] {
        assert_eq!(parse(arguments, &[("DATA_DIR", "z")]).data_dir, PathBuf::from("x"), "{arguments:?}");
    }
    let tls = parse(&["--tls-cert", "c", "write-side", "--tls-key", "k"], &[]);
    assert!(tls.http.tls_cert.is_some() && tls.http.tls_key.is_some());
}

#[test]
fn a_flag_that_the_command_does_not_read_is_refused() {
    assert_eq!(
        error(&["projector", "--wait-for", "5s"], &[]),
        "--wait-for: millrace projector does not read this setting; read by: migrate"
    );
    assert!(error(&["--api-addr", ":1", "dead-letters", "list"], &[]).contains("all, read-side"));
    assert!(error(&["write-side", "--event-rate", "5"], &[]).contains("all, produce"));
    for arguments in [
        &["--event-rate", "0", "write-side"][..],
        &["write-side", "--event-rate", "0"],
        &["read-side", "--no-sample"],
        &["commands", "--sample", "off"],
    ] {
        assert!(try_parse(arguments, &[]).is_ok(), "{arguments:?}");
    }
}

#[test]
fn a_variable_that_the_command_does_not_read_is_ignored() {
    let settings = parse(&["read-side"], &[("EVENT_LOG", "nonsense"), ("COMMAND_ADDR", "nonsense")]);
    assert_eq!(settings.event_log, None);
}

#[test]
fn half_of_a_pair_is_refused_wherever_it_comes_from() {
    assert_eq!(error(&[], &[("TLS_CERT", "c")]), "TLS_CERT: requires TLS_KEY as well");
    assert_eq!(error(&["commands"], &[("TLS_KEY", "k")]), "TLS_KEY: requires TLS_CERT as well");
    assert_eq!(error(&["--tls-key", "k"], &[]), "--tls-key: requires TLS_CERT as well");
    assert_eq!(error(&["--tls-cert", "c"], &[("TLS_KEY", "")]), "--tls-cert: requires TLS_KEY as well");
    assert!(try_parse(&["--tls-cert", "c"], &[("TLS_KEY", "k")]).is_ok());
    assert!(try_parse(&["migrate"], &[("TLS_CERT", "c")]).is_ok(), "migrate serves nothing");
}

#[test]
fn an_error_names_the_argument_or_the_variable_that_was_used() {
    for (arguments, values, name) in [
        (&["--api-addr", "x"][..], &[][..], "--api-addr: expected an address"),
        (&["read-side"], &[("API_ADDR", "x")], "API_ADDR: expected an address"),
        (&[], &[("API_PORT", "x")], "API_PORT: expected an address"),
        (&[], &[("KAFKA_BROKER", "hunter2/"), ("KAFKA_TOPIC", "")], "KAFKA_BROKER: expected "),
        (&[], &[("SQL_CONNECTION", "hunter2")], "SQL_CONNECTION: "),
        (&[], &[("REDIS_HOST", "h"), ("REDIS_PORT", "hunter2")], "REDIS_HOST and REDIS_PORT: expected "),
        (&[], &[("SAMPLE", "maybe")], "SAMPLE: expected on or off"),
        (&["--sample", "maybe"], &[], "--sample: expected on or off"),
        (&[], &[("EVENT_RATE", "many")], "EVENT_RATE: expected a whole number"),
        (&[], &[("EVENT_RATE", "-1")], "EVENT_RATE: -1 is not in 0..=1000000"),
        (&[], &[("ADMIN_TOKEN", "hunter2")], "ADMIN_TOKEN: expected 16 to 256"),
        (&["produce", "--rate", "0"], &[], "--rate: 0 is not in 1..="),
        (&["ready"], &[("LOG_LEVEL", "inof")], "LOG_LEVEL: unknown level \"inof\"; did you mean info?"),
    ] {
        let line = error(arguments, values);
        assert!(line.starts_with(name), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
}

#[test]
fn warnings_are_kept_for_the_log() {
    let warnings = |arguments: &[&str], values| try_parse(arguments, values).unwrap().warnings;
    let port = [("METRICS_PORT", "tcp://10.0.0.1:80")];
    assert_eq!(warnings(&[], &port).len(), 1);
    assert_eq!(parse(&[], &port).metrics_addr.0.unwrap().port(), 2112);
    assert_eq!(warnings(&["migrate"], &port), [""; 0], "migrate does not read it");
    assert_eq!(warnings(&[], &[("METRICS_PORT", "tcp://10.0.0.1:80"), ("METRICS_ADDR", "off")]), [""; 0]);
    assert!(warnings(&[], &[("TLS_KEYS", "x")])[0].contains("TLS_KEY?"));
}

#[test]
fn the_reference_lists_every_setting_once() {
    let text = reference::text(None);
    for setting in Cli::command().get_arguments() {
        let flag = format!("--{}", setting.get_long().unwrap());
        let entries = text.lines().filter(|line| {
            line.starts_with("  ")
                && !line.starts_with("   ")
                && line.split_whitespace().any(|word| word == flag)
        });
        assert_eq!(entries.count(), 1, "{flag}");
    }
    assert!(text.contains("  DATA_DIR  --data-dir <DIR>  [default: ./data]\n"), "{text}");
    let one = reference::text(Some("migrate"));
    assert!(one.contains("WAIT_FOR") && !one.contains("HTTP_"), "{one}");
}
