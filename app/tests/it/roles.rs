//! The roles as processes of their own: what each needs, what each goes on without, and what its ports report meanwhile.

use millrace_testkit::tds::{Reply, TdsPeer};
use rdkafka::mocking::MockCluster;
use rusqlite::Connection;

use crate::process::{Client, Home, Process, until};

const ORDER: &str = r#"{"orderId":"order-1","userId":"user-1","amount":149.99}"#;

/// A process of one role or two, and the addresses of its ports by their names in the banner.
struct Role {
    process: Process,
    client: Client,
}

impl Role {
    fn start(home: &Home, role: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = home.command(&[role]);
        command.env("ADMIN_ADDR", "127.0.0.1:0").envs(settings.iter().copied());
        Self { process: Process::start(&mut command), client: Client::new() }
    }

    fn url(&mut self, port: &str, path: &str) -> String {
        let line = self.process.printed(&format!("  {port}"));
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        format!("{}{path}", url.trim_end_matches("/metrics"))
    }

    fn get(&mut self, port: &str, path: &str) -> (u16, String) {
        let url = self.url(port, path);
        self.client.get(&url).unwrap()
    }

    #[track_caller]
    fn accept_order(&mut self) {
        let url = self.url("commands", "/api/v1/orders");
        let (status, body) = self.client.post(&url, ORDER).unwrap();
        assert_eq!(status, 202, "{body}");
    }

    /// Waits until `/ready` of that port is 503 with a reason that contains `reason`.
    #[track_caller]
    fn until_not_ready(&mut self, port: &str, reason: &str) {
        let url = self.url(port, "/ready");
        until(reason, || match self.client.get(&url).unwrap() {
            (503, body) if body.contains(reason) => Some(()),
            _ => None,
        });
    }

    #[track_caller]
    fn until_ready(&mut self, port: &str) -> String {
        let url = self.url(port, "/ready");
        until("it is ready", || match self.client.get(&url).unwrap() {
            (200, body) => Some(body),
            _ => None,
        })
    }
}

fn read_model(home: &Home) -> String {
    format!("sqlite:{}", home.path().join("read_model.db").display())
}

fn orders(home: &Home) -> i64 {
    let connection = Connection::open(home.path().join("read_model.db")).unwrap();
    // The table may not exist yet.
    connection.query_row("SELECT COUNT(*) FROM orders", [], |row| row.get(0)).unwrap_or_default()
}

/// Commands are accepted and the command port is ready; the admin port reports the reason, on both its addresses.
#[track_caller]
fn accepts_without_a_read_model(role: &mut Role, reason: &str) {
    role.accept_order();
    assert_eq!(role.get("commands", "/ready"), (200, r#"{"status":"ready"}"#.to_owned()));
    role.until_not_ready("admin", reason);
    role.until_not_ready("metrics", reason);
    assert_eq!(role.get("admin", "/health").0, 200);
    role.accept_order();
}

#[test]
fn commands_are_accepted_while_the_read_model_is_locked() {
    let home = Home::new();
    let lock = Connection::open(home.path().join("read_model.db")).unwrap();
    lock.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE t (x)").unwrap();
    let mut role = Role::start(&home, "write-side", &[("READ_MODEL", &read_model(&home))]);
    accepts_without_a_read_model(&mut role, "locked");
    lock.execute_batch("ROLLBACK").unwrap();
    drop(lock);
    role.until_ready("admin");
    until("the order is projected", || (orders(&home) == 1).then_some(()));
}

#[test]
fn commands_are_accepted_while_the_read_model_is_missing() {
    let home = Home::new();
    let url = read_model(&home);
    let mut role = Role::start(&home, "write-side", &[("READ_MODEL", &url), ("MIGRATE", "off")]);
    accepts_without_a_read_model(&mut role, "millrace migrate");
    let migrated = Process::start(home.command(&["migrate"]).env("READ_MODEL", &url)).finish();
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    role.until_ready("admin");
    until("the order is projected", || (orders(&home) == 1).then_some(()));
}

#[test]
fn commands_are_accepted_while_sql_server_is_unreachable() {
    let home = Home::new();
    // A port that is taken and never listened on.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("mssql://sa:secret@{closed}/millrace");
    let mut role = Role::start(&home, "write-side", &[("READ_MODEL", &url)]);
    accepts_without_a_read_model(&mut role, "SQL Server");
    let mut role = Role::start(&home, "read-side", &[("READ_MODEL", &url)]);
    assert_eq!(role.get("read side", "/health").0, 200);
    role.until_not_ready("read side", "SQL Server");
    let (status, body) = role.get("read side", "/users/user-1");
    assert_eq!(status, 503, "{body}");
    assert!(!body.contains("secret"), "{body}");
}

#[test]
fn a_refused_login_stops_the_projector_and_nothing_else() {
    let refuse = |_: &_| vec![Reply::error(18456, "Login failed for user 'sa'.")];
    let peer = TdsPeer::builder().logins(refuse).start(|_| vec![]);
    let url = format!("mssql://sa:secret@{}/millrace?trust-server-certificate=true", peer.addr());
    let home = Home::new();
    let mut role = Role::start(&home, "write-side", &[("READ_MODEL", &url)]);
    accepts_without_a_read_model(&mut role, "projector stopped");
    assert!(role.get("metrics", "/metrics").1.contains("millrace_projector_running 0"));
    assert!(!role.process.has_ended());
    let other = Home::new();
    let alone = Role::start(&other, "projector", &[("READ_MODEL", &url)]).process.finish();
    assert_eq!(alone.code, Some(1), "{alone:?}");
    assert!(alone.stderr.contains("Login failed"), "{alone:?}");
}

#[test]
fn a_newer_schema_stops_the_projector_and_nothing_else() {
    let home = Home::new();
    let file = Connection::open(home.path().join("read_model.db")).unwrap();
    file.pragma_update(None, "user_version", 1_000).unwrap();
    let url = read_model(&home);
    let mut role = Role::start(&home, "write-side", &[("READ_MODEL", &url)]);
    accepts_without_a_read_model(&mut role, "newer than version");
    drop(role);
    for (role, code) in [("projector", 1), ("read-side", 2)] {
        let ended = Role::start(&home, role, &[("READ_MODEL", &url)]).process.finish();
        assert_eq!(ended.code, Some(code), "{role}: {ended:?}");
        assert!(ended.stderr.contains("newer than version"), "{role}: {ended:?}");
    }
}

#[test]
fn an_embedded_log_belongs_to_one_process() {
    let home = Home::new();
    let mut commands = Role::start(&home, "commands", &[]);
    commands.accept_order();
    let second = Role::start(&home, "projector", &[]).process.finish();
    assert_eq!(second.code, Some(2), "{second:?}");
    assert!(second.stderr.contains("EVENT_LOG=kafka://"), "{second:?}");
    commands.accept_order();
}

#[test]
fn beyond_this_machine_the_admin_port_needs_a_token() {
    let home = Home::new();
    let open = [("ADMIN_ADDR", "0.0.0.0:0")];
    let refused = Role::start(&home, "projector", &open).process.finish();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("ADMIN_TOKEN"), "{refused:?}");
    let token = ("ADMIN_TOKEN", "a-token-of-some-length");
    let mut role = Role::start(&home, "projector", &[open[0], token]);
    assert_eq!(role.get("admin", "/api/v1/dlq/stats").0, 401);
    assert_eq!(role.get("admin", "/health").0, 200);
}

#[test]
fn each_role_exports_its_own_metrics() {
    let home = Home::new();
    let series = |role: &mut Role| role.get("metrics", "/metrics").1;
    let mut commands = Role::start(&home, "commands", &[]);
    let text = series(&mut commands);
    assert!(
        text.contains("millrace_append_duration_seconds") && text.contains("kafka_produce_duration"),
        "{text}"
    );
    for other in ["dead_letters", "dlq_", "consumer_lag", "millrace_store", "db_latency", "graphql"] {
        assert!(!text.contains(other), "commands export {other}");
    }
    drop(commands);
    let mut projector = Role::start(&home, "projector", &[]);
    projector.until_ready("admin");
    let text = series(&mut projector);
    assert!(text.contains("millrace_projector_running 1") && text.contains("dlq_depth 0"), "{text}");
    for other in ["append_duration", "kafka_produce", "graphql", "mirror"] {
        assert!(!text.contains(other), "a projector exports {other}");
    }
    drop(projector);
    let mut read_side = Role::start(&home, "read-side", &[]);
    read_side.until_ready("read side");
    let text = series(&mut read_side);
    for other in
        ["append_duration", "dead_letters", "dlq_", "consumer_lag", "mirror", "change_feed", "projector"]
    {
        assert!(!text.contains(other), "a read side exports {other}");
    }
}

#[test]
fn commands_and_projectors_share_a_topic_and_one_is_a_standby() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("events", 1, 1).unwrap();
    let log = format!("kafka://{}/events", cluster.bootstrap_servers());
    let home = Home::new();
    let url = read_model(&home);
    let settings = [("EVENT_LOG", log.as_str()), ("READ_MODEL", url.as_str())];
    let mut commands = Role::start(&home, "commands", &settings);
    commands.until_ready("commands");
    let mut projectors = [0, 1].map(|_| Role::start(&home, "projector", &settings));
    commands.accept_order();
    until("the order is projected", || (orders(&home) == 1).then_some(()));
    let mut states = projectors.each_mut().map(|projector| {
        let body = projector.until_ready("admin");
        let state: serde_json::Value = serde_json::from_str(&body).unwrap();
        state["projector"].as_str().unwrap().to_owned()
    });
    states.sort();
    assert_eq!(states, ["running", "standby"]);
}
