//! SIGTERM and Ctrl-C: every accepted command is in the log, and the process exits in time with code 0.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use millrace_testkit::graphql::{UPGRADE, frame};
use serde_json::json;

use crate::process::{Client, Home, Process, until};

const NO_SAMPLE: &[(&str, &str)] = &[("SAMPLE", "off")];
/// Longest time from the signal to the exit.
const EXIT_MAX: Duration = Duration::from_secs(5);
/// Orders accepted before the signal is sent.
const ANSWERED_MIN: usize = 100;

/// Places orders until the server stops accepting them; returns the ids of the accepted ones.
fn place_orders(commands: &str, answered: &AtomicUsize) -> Vec<String> {
    let client = Client::new();
    let url = format!("{commands}/api/v1/orders");
    let mut ids = Vec::new();
    loop {
        let id = format!("answered-{}", ids.len());
        let body = format!(r#"{{"orderId":"{id}","userId":"u","amount":1}}"#);
        match client.post(&url, &body) {
            Some((202, _)) => {
                ids.push(id);
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Some((503, _)) | None => return ids,
            Some(other) => panic!("{other:?}"),
        }
    }
}

fn stop_under_load(signal: &str) {
    let home = Home::new();
    let server = home.start(NO_SAMPLE);
    let load = Process::start(
        home.command(&["produce", "--rate", "2000"]).env("COMMAND_ADDR", server.commands_addr()),
    );
    let answered = AtomicUsize::new(0);
    let commands = server.commands.clone();
    let (code, took, ids) = std::thread::scope(|scope| {
        let client = scope.spawn(|| place_orders(&commands, &answered));
        until("enough orders are answered", || {
            (answered.load(Ordering::Relaxed) >= ANSWERED_MIN && server.events_processed() >= 500)
                .then_some(())
        });
        let signalled = Instant::now();
        server.process.signal(signal);
        let ended = server.process.finish();
        (ended.code, signalled.elapsed(), client.join().unwrap())
    });
    load.kill();
    assert_eq!(code, Some(0));
    assert!(took < EXIT_MAX, "{took:?}");
    assert!(ids.len() >= ANSWERED_MIN);
    let keys = home.keys();
    let lost: Vec<_> = ids.iter().filter(|id| !keys.contains(*id)).collect();
    assert!(lost.is_empty(), "accepted, but not in the log: {lost:?}");
    let records = home.records();
    let _server = home.start(NO_SAMPLE);
    home.until_projected(records);
    assert_eq!(
        home.count("SELECT COUNT(*) FROM orders WHERE order_id LIKE 'answered-%'"),
        i64::try_from(keys.iter().filter(|key| key.starts_with("answered-")).count()).unwrap()
    );
}

#[test]
fn sigterm_under_load_loses_nothing() {
    stop_under_load("TERM");
}

#[test]
fn sigint_under_load_loses_nothing() {
    stop_under_load("INT");
}

/// A command whose body is never sent. Returns once the server has begun to read it.
fn unfinished_command(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/orders HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: 30\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
    stream
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM")] {
        let home = Home::new();
        let server = home.start(NO_SAMPLE);
        let _stuck = unfinished_command(server.commands_addr());
        server.process.signal(first);
        server.process.logged("a second signal ends the process at once");
        server.process.signal(second);
        assert_eq!(server.process.finish().code, Some(130));
    }
}

#[test]
fn a_stuck_client_does_not_delay_the_exit() {
    let home = Home::new();
    let server = home.start(NO_SAMPLE);
    let _stuck = unfinished_command(server.commands_addr());
    let signalled = Instant::now();
    server.process.signal("TERM");
    let ended = server.process.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(signalled.elapsed() < EXIT_MAX, "{:?}", signalled.elapsed());
}

#[test]
fn produce_stops_at_a_signal() {
    let home = Home::new();
    let server = home.start(NO_SAMPLE);
    let load = Process::start(
        home.command(&["produce", "--rate", "500"]).env("COMMAND_ADDR", server.commands_addr()),
    );
    until("the log has a record", || (home.records() > 0).then_some(()));
    load.signal("INT");
    let ended = load.finish();
    let sent: i64 = ended.ok().trim_end_matches(" events sent").parse().unwrap();
    assert_eq!(home.different_events(), sent, "it counts the events that it sent");
}

/// Payload of the close frame: code 1001 and a text.
const GOING_AWAY: &[u8] = b"\x03\xe9Server shutting down";

#[test]
fn subscriptions_are_closed_and_do_not_delay_the_exit() {
    let home = Home::new();
    let server = home.start(NO_SAMPLE);
    let query = "subscription { inventoryChanged(sku: \"s\") { quantity } }";
    let address = server.queries.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(UPGRADE.as_bytes()).unwrap();
    for message in [
        json!({ "type": "connection_init" }),
        json!({ "type": "subscribe", "id": "1", "payload": { "query": query } }),
    ] {
        socket.write_all(&frame(&message)).unwrap();
    }
    let mut stream = TcpStream::connect(address).unwrap();
    let body = json!({ "query": query }).to_string();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    until("both are open", || {
        let (_, metrics) = server.client.get(&format!("{}/metrics", server.metrics))?;
        metrics.contains("graphql_subscriptions_open 2").then_some(())
    });
    server.process.signal("TERM");
    let mut received = Vec::new();
    socket.read_to_end(&mut received).unwrap();
    assert!(received.ends_with(GOING_AWAY), "{}", String::from_utf8_lossy(&received));
    let mut received = String::new();
    stream.read_to_string(&mut received).unwrap();
    assert!(received.ends_with("0\r\n\r\n"), "the stream is complete: {received}");
    let ended = server.process.finish();
    assert_eq!(ended.code, Some(0));
    assert!(!ended.stderr.contains("aborting connections"), "{}", ended.stderr);
}
