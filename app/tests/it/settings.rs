//! Settings: what is wrong with one is said in one line, with exit code 2 and without repeating a password.

use std::net::TcpListener;

use crate::process::{Finished, Home, Process, Server};

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
    for setting in ["API_ADDR", "COMMAND_ADDR", "METRICS_ADDR"] {
        let home = Home::new();
        let ended = Process::start(home.command(&[]).env(setting, &address)).finish();
        assert_refused(&ended, &[setting, &address, "in use"]);
        assert!(!home.data().exists(), "nothing was made before that was found");
    }
}

#[test]
fn a_folder_that_cannot_be_written() {
    let home = Home::new();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    // A folder below a file cannot be made, whoever one is (tests often run as root).
    let ended = Process::start(home.command(&[]).env("DATA_DIR", file.join("data"))).finish();
    assert_refused(&ended, &["file/data", "directory"]);
    let read_model = format!("sqlite:{}/read_model.db", file.display());
    for command in [&[][..], &["write-side"], &["migrate"]] {
        let ended = Process::start(home.command(command).env("READ_MODEL", &read_model)).finish();
        assert_refused(&ended, &["file"]);
    }
    let ended = Process::start(&mut home.command(&["produce", "--file", "none.ndjson"])).finish();
    assert_refused(&ended, &["none.ndjson"]);
}

#[test]
fn a_schema_is_left_alone_when_nobody_shall_change_it() {
    let home = Home::new();
    let mut refused = home.command(&["write-side"]);
    let ended = Process::start(refused.env("MIGRATE", "off")).finish();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("millrace migrate"), "{}", ended.stderr);
    std::fs::create_dir_all(home.data()).unwrap();
    Process::start(&mut home.command(&["migrate"])).finish().ok();
    let server = home.start(&[("MIGRATE", "off"), ("SAMPLE", "off")]);
    server.accept("/api/v1/users", r#"{"userId":"u","name":"Ada","email":"ada@example.com"}"#);
    home.until_projected(1);
}

#[test]
fn arguments_that_do_not_exist() {
    let home = Home::new();
    for (arguments, part) in [
        (&["--nope"][..], "--nope"),
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
fn a_command_says_that_it_speaks_no_tls() {
    let home = Home::new();
    let mut produce = home.command(&["produce", "--rate", "1"]);
    let ended = Process::start(produce.env("TLS_CERT", "cert.pem").env("TLS_KEY", "key.pem")).finish();
    assert_refused(&ended, &["TLS_CERT", "/api/v1/events"]);
}

#[test]
fn values_that_are_not_understood() {
    let home = Home::new();
    for (setting, value) in [
        ("API_ADDR", "localhost"),
        ("COMMAND_ADDR", "127.0.0.1:65536"),
        ("METRICS_ADDR", "on"),
        ("EVENT_RATE", "-1"),
        ("SAMPLE", "maybe"),
        ("LOG_LEVEL", "info,write_side=loud"),
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
        let argument = format!("--{}", setting.to_ascii_lowercase().replace('_', "-"));
        let named = ended.stderr.contains(setting) || ended.stderr.contains(&argument);
        assert!(named, "{setting} is not named: {}", ended.stderr);
        assert_refused(&ended, &[]);
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
        (&["--help"][..], "[env: DATA_DIR]"),
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
fn help_never_shows_what_is_set() {
    let home = Home::new();
    let ended = Process::start(
        home.bare(&["--help"])
            .env("READ_MODEL", "sqlite:hunter2")
            .env("KAFKA_PROPERTIES", "sasl.password=hunter2"),
    )
    .finish();
    assert!(!ended.ok().contains("hunter2"));
}

/// A mark that no other text holds.
const SECRET: &str = "hunter2-9f3c-0b7f7a5d-4e21";

#[test]
fn no_secret_is_ever_said() {
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
    let mut said = String::new();
    for url in [&server.queries, &server.commands, &server.metrics] {
        for path in
            ["/", "/ready", "/health", "/metrics", "/api/v1/dlq/stats", "/api/v1/circuit-breaker/status"]
        {
            said.push_str(&server.client.get(&format!("{url}{path}")).unwrap().1);
        }
    }
    server.process.logged("no Kafka broker available");
    server.process.signal("TERM");
    let ended = server.process.finish();
    said.extend([ended.stdout, ended.stderr]);
    for command in
        [&["produce", "--rate", "0"][..], &["dead-letters", "list"], &["migrate"], &["--help"], &["nonsense"]]
    {
        let ended = Process::start(home.command(command).envs(settings)).finish();
        said.extend([ended.stdout, ended.stderr]);
    }
    assert!(said.len() > 10_000, "it said something at all");
    let told = said.lines().find(|line| line.contains(SECRET));
    assert_eq!(told, None);
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
    // Whatever is loaded is in the log before the banner is shown.
    assert_eq!(home.records(), 0);
    let url = format!("{}/users/customer-2", server.queries);
    let (status, body) = server.client.get(&url).unwrap();
    assert_eq!(status, 404, "{body}");
}

#[test]
fn a_file_of_settings_is_read_and_variables_weigh_more() {
    let home = Home::new();
    let lines = [
        "# a comment",
        "DATA_DIR=elsewhere",
        "SAMPLE=off",
        "EVENT_RATE=",
        "API_PORT=0",
        "HTTP_PORT=0",
        "METRICS_ADDR=127.0.0.1:0",
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
    let url = format!("{}/users/customer-2", server.queries);
    assert_eq!(server.client.get(&url).unwrap().0, 404);
}

#[test]
fn a_file_of_settings_that_cannot_be_read() {
    let home = Home::new();
    std::fs::write(home.path().join(".env"), "READ_MODEL \"hunter2\n").unwrap();
    let ended = Process::start(&mut home.command(&[])).finish();
    assert_refused(&ended, &[".env"]);
}

#[test]
fn a_log_that_does_not_belong_to_the_tables_is_refused() {
    let home = Home::new();
    let server = home.start(&[]);
    home.until_projected(crate::store::SAMPLE_EVENTS);
    server.process.kill();
    for file in ["events.db", "events.db-wal", "events.db-shm"] {
        let _absent = std::fs::remove_file(home.data().join(file));
    }
    let ended = Process::start(home.command(&[]).env("SAMPLE", "off")).finish();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("does not belong to this log"), "{}", ended.stderr);
}
