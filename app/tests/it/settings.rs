//! Settings: an invalid one is an error of one line, with exit code 2 and without a password.

use std::net::TcpListener;

use crate::process::{Finished, Home, Process, Server, until};

/// Exit code 2 and one line that holds all of `parts`.
#[track_caller]
fn assert_refused(ended: &Finished, parts: &[&str]) {
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.stdout, "", "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("millrace: "), "{}", ended.stderr);
    for part in parts {
        assert!(ended.stderr.contains(part), "{part:?} in {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("hunter2"), "a password: {}", ended.stderr);
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for setting in ["ADMIN_ADDR", "API_ADDR", "COMMAND_ADDR", "METRICS_ADDR"] {
        let home = Home::new();
        let ended = Process::start(home.command(&[]).env(setting, &address)).finish();
        assert_refused(&ended, &[setting, &address, "in use"]);
        assert!(!home.data().exists(), "nothing is created before the addresses are checked");
    }
}

#[test]
fn a_folder_that_cannot_be_written() {
    let home = Home::new();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    // A folder below a file cannot be created, not even by root.
    let ended = Process::start(home.command(&[]).env("DATA_DIR", file.join("data"))).finish();
    assert_refused(&ended, &["file/data", "directory"]);
    let read_model = format!("sqlite:{}/read_model.db", file.display());
    let ended = Process::start(home.command(&["migrate"]).env("READ_MODEL", &read_model)).finish();
    assert_refused(&ended, &["file"]);
    // A process that serves waits for its read model, and accepts commands meanwhile.
    let server = home.start(&[("READ_MODEL", &read_model), ("SAMPLE", "off")]);
    server.accept("/api/v1/users", r#"{"userId":"u","name":"Ada","email":"ada@example.com"}"#);
    until("the reason is reported", || {
        let (status, reason) = server.ready(&server.admin)?;
        assert_eq!(status, 503, "{reason}");
        reason.contains(file.to_str()?).then_some(())
    });
    assert_eq!(server.ready(&server.commands).unwrap().0, 200);
    assert_eq!(server.ready(&server.queries).unwrap().0, 503);
    let ended = Process::start(&mut home.command(&["produce", "--file", "none.ndjson"])).finish();
    assert_refused(&ended, &["none.ndjson"]);
}

#[test]
fn a_schema_is_not_changed_if_migrate_is_off() {
    let home = Home::new();
    let server = home.start(&[("MIGRATE", "off"), ("SAMPLE", "off")]);
    server.process.logged("millrace migrate");
    assert_eq!(server.ready(&server.admin).unwrap().0, 503);
    assert!(!home.read_model().exists(), "the projector has not created it");
    // The process continues once another one has migrated.
    Process::start(&mut home.command(&["migrate"])).finish().ok();
    server.until_ready();
    server.accept("/api/v1/users", r#"{"userId":"u","name":"Ada","email":"ada@example.com"}"#);
    home.until_projected(1);
}

#[test]
fn arguments_that_do_not_exist() {
    let home = Home::new();
    for (arguments, part) in [
        (&["--nope"][..], "--nope"),
        (&["--event-rat", "0"], "found; a similar argument exists: '--event-rate'"),
        (&["dead-letters"], "a command is missing; see millrace --help"),
        (&["serve"], "serve"),
        (&["produce", "--rate", "0"], "--rate"),
        (&["produce", "--rate", "5", "--file", "x"], "--file"),
        (&["produce"], "EVENT_RATE"),
        (&["dead-letters", "show"], "<ID>"),
        (&["dead-letters", "list"], "no read model"),
    ] {
        let ended = Process::start(&mut home.command(arguments)).finish();
        assert_refused(&ended, &[part]);
    }
}

#[test]
fn a_client_command_reports_that_it_does_not_support_tls() {
    let home = Home::new();
    let mut produce = home.command(&["produce", "--rate", "1"]);
    let ended = Process::start(produce.env("TLS_CERT", "cert.pem").env("TLS_KEY", "key.pem")).finish();
    assert_refused(&ended, &["TLS_CERT", "/api/v1/events"]);
}

#[test]
fn values_that_are_not_valid() {
    let home = Home::new();
    for (setting, value) in [
        ("API_ADDR", "localhost"),
        ("ADMIN_ADDR", "example.com:8091"),
        ("COMMAND_ADDR", "127.0.0.1:65536"),
        ("METRICS_ADDR", "on"),
        ("EVENT_RATE", "-1"),
        ("SAMPLE", "maybe"),
        ("LOG_LEVEL", "info,write_side=loud"),
        ("LOG_LEVEL", "inof"),
        ("BATCH_EVENTS_MAX", "0"),
        ("PARTITIONS", "0"),
        ("RETRY_MAX_INTERVAL", "30"),
        ("EVENT_LOG", "ftp://hunter2@host"),
        ("EVENT_LOG", "kafka://hunter2"),
        ("READ_MODEL", "mysql://root:hunter2@host/shop"),
        ("READ_MODEL", "Host=tcp:host;User Id=sa;Password=hunter2"),
        ("KAFKA_PROPERTIES", "sasl.password:hunter2"),
    ] {
        let ended = Process::start(home.command(&[]).env(setting, value)).finish();
        assert_refused(&ended, &[&format!("millrace: {setting}: ")]);
    }
    assert!(!home.data().exists());
}

#[test]
fn a_second_process_on_the_same_folder() {
    let home = Home::new();
    let _server = home.start(&[("SAMPLE", "off")]);
    for command in [&[][..], &["write-side"]] {
        let ended = Process::start(&mut home.command(command)).finish();
        assert_refused(&ended, &["in use by another millrace"]);
    }
}

#[test]
fn help_and_version() {
    let home = Home::new();
    for (arguments, part) in [
        (&["--help"][..], "millrace settings"),
        (&["settings"], "  DATA_DIR  --data-dir <DIR>  [default: ./data]"),
        (&["help"], "dead-letters"),
        (&["produce", "--help"], "--file"),
        (&["dead-letters", "redrive", "--help"], "[IDS]"),
        (&["--version"], concat!("millrace ", env!("CARGO_PKG_VERSION"))),
        (&["write-side", "--version"], env!("CARGO_PKG_VERSION")),
    ] {
        let ended = Process::start(&mut home.bare(arguments)).finish();
        assert!(ended.ok().contains(part), "{part:?} in {}", ended.stdout);
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn help_never_shows_the_value_of_a_setting() {
    let home = Home::new();
    for arguments in [&["--help"][..], &["help", "all"], &["settings"]] {
        let mut command = home.bare(arguments);
        command.env("READ_MODEL", "sqlite:hunter2").env("KAFKA_PROPERTIES", "sasl.password=hunter2");
        assert!(!Process::start(&mut command).finish().ok().contains("hunter2"));
    }
}

/// A text that occurs nowhere else.
const SECRET: &str = "hunter2-9f3c-0b7f7a5d-4e21";

#[test]
fn no_secret_is_ever_printed() {
    let home = Home::new();
    let kafka = format!(
        "security.protocol=SASL_PLAINTEXT;sasl.mechanism=PLAIN;sasl.username=u;sasl.password={SECRET}"
    );
    let redis = format!("redis://:{SECRET}@127.0.0.1:1");
    let settings = [
        ("SAMPLE", "off"),
        ("LOG_LEVEL", "trace"),
        ("EVENT_LOG", "kafka://127.0.0.1:1/events"),
        ("KAFKA_PROPERTIES", kafka.as_str()),
        ("REDIS_URL", redis.as_str()),
        ("REDIS_PASSWORD", SECRET),
        ("ADMIN_TOKEN", SECRET),
        ("MSSQL_PASSWORD", SECRET),
    ];
    let server = home.start(&settings);
    let mut output = String::new();
    for url in [&server.queries, &server.commands, &server.admin, &server.metrics] {
        for path in
            ["/", "/ready", "/health", "/metrics", "/api/v1/dlq/stats", "/api/v1/circuit-breaker/status"]
        {
            output.push_str(&server.client.get(&format!("{url}{path}")).unwrap().1);
        }
    }
    server.process.logged("no Kafka broker available");
    server.process.signal("TERM");
    let ended = server.process.finish();
    output.extend([ended.stdout, ended.stderr]);
    for command in [
        &["produce", "--rate", "0"][..],
        &["dead-letters", "list"],
        &["migrate"],
        &["--help"],
        &["settings"],
        &["nonsense"],
    ] {
        let ended = Process::start(home.command(command).envs(settings)).finish();
        output.extend([ended.stdout, ended.stderr]);
    }
    assert!(output.len() > 10_000, "there is output to search");
    let line = output.lines().find(|line| line.contains(SECRET));
    assert_eq!(line, None);
}

#[test]
fn the_sample_can_be_switched_off() {
    for arguments in [&["--no-sample"][..], &["--sample", "off"], &["all", "--no-sample"]] {
        let home = Home::new();
        let server = Server::up(&mut home.command(arguments));
        assert_no_sample(&home, &server);
    }
    let home = Home::new();
    let server = home.start(&[("SAMPLE", "off")]);
    assert_no_sample(&home, &server);
}

fn assert_no_sample(home: &Home, server: &Server) {
    // The sample is in the log before the banner is printed.
    assert_eq!(home.records(), 0);
    server.until_ready();
    let url = format!("{}/users/customer-2", server.queries);
    let (status, body) = server.client.get(&url).unwrap();
    assert_eq!(status, 404, "{body}");
}

#[test]
fn a_file_of_settings_is_read_and_variables_take_precedence() {
    let home = Home::new();
    let lines = [
        "# a comment",
        "DATA_DIR=elsewhere",
        "SAMPLE=off",
        "EVENT_RATE=",
        "API_PORT=0",
        "HTTP_PORT=0",
        "METRICS_ADDR=localhost:0",
        "ADMIN_ADDR=127.0.0.1:0",
        "COMPOSE_PROJECT_NAME=shop",
        "LOG_LEVEL=loud=loud",
    ];
    std::fs::write(home.path().join(".env"), lines.join("\n")).unwrap();
    let server = Server::up(home.bare(&["--event-rate", "0"]).env("LOG_LEVEL", "warn"));
    assert!(home.path().join("elsewhere/events.db").exists());
    assert!(!home.data().exists());
    for (address, default) in
        [(&server.queries, ":8080"), (&server.commands, ":8090"), (&server.metrics, ":2112")]
    {
        assert!(!address.ends_with(default), "{address}");
    }
    assert_no_sample(&home, &server);
}

#[test]
fn a_file_of_settings_that_cannot_be_read() {
    let home = Home::new();
    std::fs::write(home.path().join(".env"), "READ_MODEL \"hunter2\n").unwrap();
    let ended = Process::start(&mut home.command(&[])).finish();
    assert_refused(&ended, &[".env"]);
}

#[test]
fn a_misspelt_setting_in_the_file_is_refused() {
    let home = Home::new();
    for (line, meant) in
        [("TLS_KEYS=k", "TLS_KEY"), ("EVENTRATE=1", "EVENT_RATE"), ("KAFKA_ACKS=1", "millrace settings")]
    {
        std::fs::write(home.path().join(".env"), line).unwrap();
        let ended = Process::start(&mut home.command(&[])).finish();
        let name = line.split('=').next().unwrap();
        assert_refused(&ended, &[&format!("unknown setting {name} in .env"), meant]);
    }
}

#[test]
fn names_in_the_environment_that_are_almost_settings_are_warnings() {
    let home = Home::new();
    let settings = [
        ("SAMPLE", "off"),
        ("TLS_KEYS", "k"),
        ("KAFKA_HOME", "/opt/kafka"),
        ("HTTP_PROXY", "http://proxy:3128"),
        ("HTTP_PORT", "tcp://10.0.0.1:80"),
        ("COMMAND_ADDR", ""),
    ];
    // The default address may be in use on this machine: the warnings are logged before that is an error.
    let process = Process::start(home.command(&["commands"]).envs(settings));
    process.logged("unknown setting TLS_KEYS in the environment; did you mean TLS_KEY?");
    process.logged("HTTP_PORT ignored");
    process.signal("TERM");
    let ended = process.finish();
    let warnings =
        ended.stderr.lines().filter(|line| line.contains("WARN") && line.contains("millrace::app"));
    assert_eq!(warnings.count(), 2, "{}", ended.stderr);
}

#[test]
fn half_of_a_certificate_and_key_is_refused() {
    let home = Home::new();
    for (setting, missing) in [("TLS_CERT", "TLS_KEY"), ("TLS_KEY", "TLS_CERT")] {
        let ended = Process::start(home.command(&[]).env(setting, "file.pem").env(missing, "")).finish();
        assert_refused(&ended, &[&format!("millrace: {setting}: requires {missing}")]);
    }
}

#[test]
fn a_log_that_does_not_belong_to_the_read_model_stops_the_projector() {
    let home = Home::new();
    let server = home.start(&[]);
    home.until_projected(crate::store::SAMPLE_EVENTS);
    server.process.kill();
    for file in ["events.db", "events.db-wal", "events.db-shm"] {
        let _absent = std::fs::remove_file(home.data().join(file));
    }
    let ended = Process::start(&mut home.command(&["projector"])).finish();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("does not belong to this log"), "{}", ended.stderr);
    // Beside commands the process continues, and accepts them.
    let server = home.start(&[("SAMPLE", "off")]);
    server.process.logged("does not belong to this log");
    server.accept("/api/v1/users", r#"{"userId":"u","name":"Ada","email":"ada@example.com"}"#);
    until("the reason is reported", || {
        let (status, reason) = server.ready(&server.admin)?;
        (status == 503 && reason.contains("does not belong to this log")).then_some(())
    });
    assert_eq!(server.ready(&server.commands).unwrap().0, 200);
}
