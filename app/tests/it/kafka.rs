//! Processes with a real Kafka: a projector that lost its partitions, and brokers that are disconnected, stalled and killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millrace_domain::Envelope;
use millrace_testkit::kafka::{Broker, Topic, brokers};
use millrace_testkit::oracle::{expected_tables, stock};
use millrace_testkit::proxy::{Fault, Proxy};

use crate::process::{Client, Home, Process, Server, until};

/// A member without a heartbeat for two seconds leaves the group.
const QUICK_GROUP: &str = "session.timeout.ms=2000;heartbeat.interval.ms=200";

fn events(numbers: std::ops::Range<i64>) -> Vec<Envelope> {
    numbers.map(|n| stock(&format!("e{n}"), n, &format!("s{}", n % 97), n, None)).collect()
}

fn lines(events: &[Envelope]) -> Vec<u8> {
    events.iter().map(|event| event.to_record().payload).collect::<Vec<_>>().join(&b'\n')
}

fn post(server: &Server, events: &[Envelope]) {
    let url = format!("{}/api/v1/events", server.commands);
    let (status, answer) = server.client.post_lines(&url, &lines(events)).unwrap();
    assert_eq!(status, 202, "{answer}");
}

fn start(home: &Home, topic: &Topic, properties: &str) -> Server {
    start_on(home, &topic.url(), topic, properties)
}

fn start_on(home: &Home, url: &str, topic: &Topic, properties: &str) -> Server {
    home.start(&settings(url, topic.name(), properties))
}

/// Listens for commands at the address of an earlier server.
fn start_at(home: &Home, topic: &Topic, address: &str) -> Server {
    let at = [("COMMAND_ADDR", address)];
    home.start(&[&settings(&topic.url(), topic.name(), QUICK_GROUP)[..], &at].concat())
}

fn settings<'a>(url: &'a str, group: &'a str, properties: &'a str) -> [(&'a str, &'a str); 8] {
    [
        ("SAMPLE", "off"),
        ("PARTITIONS", "3"),
        ("EVENT_LOG", url),
        ("KAFKA_GROUP_ID", group),
        ("KAFKA_PROPERTIES", properties),
        ("RETRY_INITIAL_INTERVAL", "100ms"),
        ("RETRY_MAX_INTERVAL", "200ms"),
        ("CIRCUIT_BREAKER_MAX_FAILURES", "1000"),
    ]
}

#[track_caller]
fn assert_tables(home: &Home, events: &[Envelope]) {
    let tables = home.tables();
    let expected = expected_tables(events);
    assert_eq!(tables.len(), expected.len());
    for (row, expected) in tables.iter().zip(&expected) {
        assert_eq!(row, expected);
    }
}

#[test]
fn promise_5_a_projector_that_slept_past_its_session_is_refused() {
    let Some(brokers) = brokers() else { return };
    let topic = Topic::new(&brokers, 3);
    let home = Home::new();
    let events = events(0..900);
    let sleeper = start(&home, &topic, QUICK_GROUP);
    until("it projects", || sleeper.is_ready().then_some(()));
    // It polls a batch while the store is locked, and is stopped before its next attempt.
    let blocker = home.locked(&home.read_model());
    post(&sleeper, &events[..300]);
    sleeper.process.logged("read model unavailable");
    sleeper.process.signal("STOP");
    drop(blocker);
    let other = start(&home, &topic, QUICK_GROUP);
    post(&other, &events[300..600]);
    home.until_projected(600);
    let tables = home.tables();
    sleeper.process.signal("CONT");
    sleeper.process.logged("dropping the batch and restarting from the checkpoints");
    assert_eq!(home.tables(), tables, "nothing of its batch is projected");
    post(&other, &events[600..]);
    home.until_projected(900);
    assert_tables(&home, &events);
}

#[test]
fn tls_and_passwords_are_used_and_wrong_ones_are_retried() {
    let Some(broker) = Broker::start(None) else { return };
    let (secure, properties) = broker.secure();
    let topic = Topic::new(broker.address(), 3);
    let url = format!("kafka://{secure}/{}", topic.name());
    let home = Home::new();
    let events = events(0..200);
    for (mechanism, share) in [("SCRAM-SHA-512", 0..100), ("PLAIN", 100..200)] {
        let properties = format!("{};{QUICK_GROUP}", properties.replace("SCRAM-SHA-512", mechanism));
        let server = start_on(&home, &url, &topic, &properties);
        until("the brokers accept the login", || server.is_ready().then_some(()));
        post(&server, &events[share.clone()]);
        home.until_projected(i64::try_from(share.end).unwrap());
    }
    assert_tables(&home, &events);
    let (trusting, authority) = properties.split_once(";ssl.ca.location=").unwrap();
    for (properties, cause) in [
        (properties.replace("sasl.password=", "sasl.password=n0t-"), "authentication"),
        (format!("{trusting};ssl.ca.location={authority}.none"), "ssl.ca.location"),
        (trusting.to_owned(), "certificate"),
    ] {
        let mut command = home.command(&["write-side"]);
        let settings = [("EVENT_LOG", url.as_str()), ("KAFKA_PROPERTIES", properties.as_str())];
        let process = Process::start(command.envs(settings));
        process.logged(cause);
        process.signal("TERM");
        let ended = process.finish();
        let password = properties.split(';').find_map(|item| item.strip_prefix("sasl.password=")).unwrap();
        assert!(!ended.stderr.contains(password) && !ended.stdout.contains(password), "{ended:?}");
    }
}

#[test]
fn sigterm_under_load_loses_nothing_and_ends_in_time() {
    let Some(brokers) = brokers() else { return };
    let topic = Topic::new(&brokers, 3);
    let home = Home::new();
    let server = start(&home, &topic, QUICK_GROUP);
    let url = format!("{}/api/v1/events", server.commands);
    let (sent, took) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let client = Client::new();
            let mut sent = 0;
            while let Some((202, _)) = client.post_lines(&url, &lines(&events(sent..sent + 10))) {
                sent += 10;
            }
            sent
        });
        until("it is under load", || (home.projected() > 500).then_some(()));
        let signalled = Instant::now();
        server.process.signal("TERM");
        assert_eq!(server.process.finish().code, Some(0));
        (sender.join().unwrap(), signalled.elapsed())
    });
    assert!(took < Duration::from_secs(5), "{took:?}");
    let records: i64 = topic.ends().iter().sum();
    assert!((sent..=sent + 10).contains(&records), "{sent} accepted, {records} in the log");
    let _next = start(&home, &topic, QUICK_GROUP);
    home.until_projected(records);
    assert_tables(&home, &events(0..records));
}

#[test]
fn killed_again_and_again_over_kafka() {
    const KILLS: u32 = 6;
    let Some(brokers) = brokers() else { return };
    let topic = Topic::new(&brokers, 3);
    let home = Home::new();
    let mut server = start(&home, &topic, QUICK_GROUP);
    let (url, address) = (format!("{}/api/v1/events", server.commands), server.commands_addr().to_owned());
    let stop = AtomicBool::new(false);
    let (sent, _last) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send_until(&url, &stop));
        for _ in 0..KILLS {
            let before = home.projected();
            until("more is projected", || (home.projected() > before).then_some(()));
            server.process.kill();
            // The group misses it after a while; until then its successor is given nothing to read.
            server = start_at(&home, &topic, &address);
        }
        stop.store(true, Ordering::Relaxed);
        (sender.join().unwrap(), server)
    });
    let records: i64 = topic.ends().iter().sum();
    assert!(records >= sent, "{sent} accepted, {records} in the log");
    home.until_projected(records);
    assert_tables(&home, &events(0..sent));
    assert_eq!(home.count("SELECT COUNT(*) FROM dead_letters"), 0);
}

#[test]
fn brokers_that_are_cut_off_stalled_and_killed_lose_nothing() {
    let wire = Proxy::without_server();
    let Some(broker) = Broker::start(Some(&wire.address())) else { return };
    wire.connect_to(broker.address());
    let topic = Topic::missing(&wire.address());
    let home = Home::new();
    let server =
        start(&home, &topic, &format!("{QUICK_GROUP};message.timeout.ms=2000;reconnect.backoff.max.ms=200"));
    let stop = AtomicBool::new(false);
    let url = format!("{}/api/v1/events", server.commands);
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send_until(&url, &stop));
        let projected_more = || {
            let before = home.projected();
            until("more is projected", || (home.projected() > before + 100).then_some(()));
        };
        let not_ready = || until("it is not ready", || (!server.is_ready()).then_some(()));
        projected_more();
        wire.set(Fault::Cut);
        not_ready();
        wire.set(Fault::None);
        projected_more();
        wire.set(Fault::Stall);
        not_ready();
        wire.set(Fault::None);
        projected_more();
        wire.set(Fault::Delay(Duration::from_millis(20)));
        projected_more();
        for bytes in [100, 5_000, 50_000] {
            wire.set(Fault::CutAfter(bytes));
            projected_more();
        }
        broker.kill();
        not_ready();
        broker.restart();
        projected_more();
        stop.store(true, Ordering::Relaxed);
        sender.join().unwrap()
    });
    let records: i64 = topic.ends().iter().sum();
    home.until_projected(records);
    assert_tables(&home, &events(0..sent));
    assert_eq!(home.count("SELECT COUNT(*) FROM dead_letters"), 0, "an outage causes no dead letter");
}

/// Sends events, ten at a time, each until it is accepted. Returns how many.
fn send_until(url: &str, stop: &AtomicBool) -> i64 {
    let client = Client::new();
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let body = lines(&events(sent..sent + 10));
        until("it is accepted", || match client.post_lines(url, &body) {
            Some((202, _)) => Some(()),
            Some((503, _)) | None => None,
            Some(other) => panic!("{other:?}"),
        });
        sent += 10;
    }
    sent
}
