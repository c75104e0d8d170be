//! Harmful clients, on purpose or by accident: expensive requests are refused, slow clients are disconnected, and other
//! clients are served meanwhile.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use millrace_testkit::graphql::{HostileDocument, UPGRADE, frame, hostile_documents};
use serde_json::{Value, json};

use crate::process::{Client, Home, Server, until};

/// Growth of resident memory over a test, far below the cost of any of these requests if it were executed.
const RSS_GROWTH_MB_MAX: f64 = 64.0;
/// Requests per document.
const TIMES: usize = 50;
/// Sockets and subscriptions per socket: 2,000 in total.
const SOCKETS: usize = 20;
const PER_SOCKET: usize = 100;
/// Clients of each kind.
const SLOW: usize = 50;
const DISCONNECTING: usize = 1_000;
/// Much longer than the time-outs of the server.
const PATIENCE: Duration = Duration::from_secs(60);

const NESTED: &str =
    r#"{"query":"{ user(id: \"customer-2\") { recentOrders { orderId payment { status } } } }"}"#;

/// A client that sends queries all the time and must receive each response.
struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Bystander {
    fn of(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (url, stopped) = (format!("{}/graphql", server.queries), stop.clone());
        let thread = std::thread::spawn(move || {
            let client = Client::new();
            let mut served = 0;
            while !stopped.load(Ordering::Relaxed) {
                let (status, text) = client.post(&url, NESTED).unwrap();
                assert!(status == 200 && text.contains("invoice-293"), "{status} {text}");
                served += 1;
            }
            served
        });
        Self { stop, thread }
    }

    /// Stops it. Its thread has panicked if a response was missing or wrong.
    #[track_caller]
    fn was_served(self) {
        self.stop.store(true, Ordering::Relaxed);
        let served = self.thread.join().unwrap();
        assert!(served > 0);
    }
}

fn graphql(home: &Home, settings: &[(&str, &str)]) -> Server {
    let server = home.start(settings);
    // The sample shop is projected.
    server.query("/users/customer-2");
    server.query("/inventory/track-2");
    server
}

/// A value of the server's metrics; 0 if there is none yet.
fn metric(server: &Server, name: &str) -> f64 {
    let (_, text) = server.client.get(&format!("{}/metrics", server.metrics)).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

fn statements(server: &Server, operation: &str) -> f64 {
    metric(server, &format!(r#"db_latency_seconds_count{{operation="{operation}"}}"#))
}

fn rss_mb(server: &Server) -> f64 {
    metric(server, "process_resident_memory_bytes") / 1e6
}

#[track_caller]
fn assert_flat(server: &Server, before_mb: f64) {
    let now_mb = rss_mb(server);
    println!("resident memory: {before_mb:.0} MB before, {now_mb:.0} MB after");
    assert!(now_mb < before_mb + RSS_GROWTH_MB_MAX, "{before_mb} MB before, {now_mb} MB after");
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.queries.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn documents_that_are_bombs_are_refused_before_they_cost_anything() {
    let home = Home::new();
    let server = graphql(&home, &[]);
    let before_mb = rss_mb(&server);
    let bystander = Bystander::of(&server);
    let url = format!("{}/graphql", server.queries);
    for HostileDocument { what, document, code } in hostile_documents() {
        let body = json!({ "query": document }).to_string();
        for _ in 0..TIMES {
            let (status, answer) = server.client.post(&url, &body).unwrap();
            assert_eq!(status, 200, "{answer}");
            let answer: Value = serde_json::from_str(&answer).unwrap();
            assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{what}: {answer}");
        }
    }
    bystander.was_served();
    for operation in ["orders_page", "users_page", "orders", "orders_of_users"] {
        assert!(statements(&server, operation) < 0.5, "{operation}: a refused document reads nothing");
    }
    assert_flat(&server, before_mb);
}

/// A WebSocket before connection_init.
fn socket(server: &Server) -> TcpStream {
    let mut stream = connect(server);
    stream.write_all(UPGRADE.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Reads until `part` was received so many times.
#[track_caller]
fn receive(stream: &mut TcpStream, part: &str, times: usize) {
    let (mut received, mut piece) = (String::new(), [0; 4096]);
    while received.matches(part).count() < times {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "closed after {received}");
        received += &String::from_utf8_lossy(&piece[..read]);
    }
}

#[test]
fn one_statement_serves_two_thousand_subscriptions_after_a_change() {
    let home = Home::new();
    let server = graphql(&home, &[("GRAPHQL_SOCKETS_MAX", "21"), ("GRAPHQL_SUBSCRIPTIONS_MAX", "100")]);
    let before_mb = rss_mb(&server);
    let bystander = Bystander::of(&server);
    let mut sockets: Vec<_> = (0..SOCKETS).map(|_| socket(&server)).collect();
    for stream in &mut sockets {
        stream.write_all(&frame(&json!({ "type": "connection_init" }))).unwrap();
        receive(stream, "connection_ack", 1);
        // One more than the limit.
        for id in 0..=PER_SOCKET {
            let query =
                format!("subscription {{ inventoryChanged(sku: \"track-{}\") {{ quantity }} }}", id + 1);
            let subscribe =
                json!({ "type": "subscribe", "id": id.to_string(), "payload": { "query": query } });
            stream.write_all(&frame(&subscribe)).unwrap();
        }
        receive(stream, "TOO_MANY_SUBSCRIPTIONS", 1);
    }
    let all = (SOCKETS * PER_SOCKET) as f64;
    until("all are open", || (metric(&server, "millrace_graphql_subscriptions_open") == all).then_some(()));
    let _last = socket(&server);
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")];
    let upgrade = [&upgrade[..], &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]].concat();
    let refused = server.client.exchange("GET", &format!("{}/graphql", server.queries), &upgrade, "");
    assert_eq!(refused.unwrap().0, 503, "one socket too many");

    let read_before = statements(&server, "inventory");
    server.accept("/api/v1/inventory-adjustments", r#"{"sku":"track-2","delta":1}"#);
    for stream in &mut sockets {
        receive(stream, "\"inventoryChanged\"", 1);
    }
    assert_eq!(statements(&server, "inventory") - read_before, 1.0);
    bystander.was_served();
    assert_flat(&server, before_mb);
    drop(sockets);
    until("all are closed", || (metric(&server, "millrace_graphql_subscriptions_open") == 0.0).then_some(()));
}

/// Waits until the server closes the connection.
#[track_caller]
fn is_disconnected(mut stream: TcpStream) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
}

#[test]
fn slow_clients_are_disconnected() {
    let home = Home::new();
    let times = ["HTTP_HEADER_TIMEOUT", "HTTP_BODY_TIMEOUT", "HTTP_WRITE_TIMEOUT", "GRAPHQL_SOCKET_INIT"];
    let server = graphql(&home, &times.map(|name| (name, "300ms")));
    let (before_mb, before_fds) = (rss_mb(&server), metric(&server, "process_open_fds"));
    let bystander = Bystander::of(&server);
    let post = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"que";
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(connect(&server));
        for begun in ["POST /graphql HTTP/1.1\r\nhost: x\r\nx-slow: y", post] {
            let mut stream = connect(&server);
            stream.write_all(begun.as_bytes()).unwrap();
            slow.push(stream);
        }
        slow.push(socket(&server));
    }
    slow.into_iter().for_each(is_disconnected);
    // Clients that send requests and read no response.
    let ask = "GET /orders?limit=100 HTTP/1.1\r\nhost: x\r\n\r\n".repeat(16);
    for _ in 0..4 {
        let mut silent = connect(&server);
        silent.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        until("a client that does not read is disconnected", || match silent.write(ask.as_bytes()) {
            Ok(_) => None,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
            Err(_) => Some(()),
        });
    }
    bystander.was_served();
    until("their connections are closed", || {
        (metric(&server, "process_open_fds") < before_fds + 10.0).then_some(())
    });
    assert_flat(&server, before_mb);
}

#[test]
fn a_thousand_clients_disconnect_while_their_query_runs() {
    let home = Home::new();
    let server = graphql(&home, &[]);
    let (before_mb, before_fds) = (rss_mb(&server), metric(&server, "process_open_fds"));
    let bystander = Bystander::of(&server);
    let ask = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{NESTED}",
        NESTED.len()
    );
    for number in 0..DISCONNECTING {
        let mut client = connect(&server);
        client.write_all(ask.as_bytes()).unwrap();
        // Half of them shut the connection down, the others only drop it.
        if number % 2 == 0 {
            client.shutdown(Shutdown::Both).unwrap();
        }
    }
    bystander.was_served();
    until("their connections are closed", || {
        (metric(&server, "process_open_fds") < before_fds + 10.0).then_some(())
    });
    assert_flat(&server, before_mb);
    assert_eq!(metric(&server, "millrace_graphql_sockets_open"), 0.0);
}
