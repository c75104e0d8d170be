//! A thousand clients, each with a subscription over a WebSocket of its own, while 500 events a second change what they
//! watch: from the moment a command is sent to the moment a client has been shown it, or something newer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use millrace_testkit::graphql::{UPGRADE, frame};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

use crate::load::percentile;
use crate::server::{Server, pinned};

const CLIENTS: usize = 1_000;
const RATE: usize = 500;
const EVENTS: usize = 5_000;
/// Connections that commands are sent over.
const SENDERS: usize = 10;
/// A masked pong without text.
const PONG: [u8; 6] = [0x8A, 0x80, 0, 0, 0, 0];

pub(crate) fn run() {
    println!("\nSubscriptions: {CLIENTS} clients, {RATE} events/s, server and clients on one core each");
    println!(
        "{:<32} {:>10} {:>9} {:>9} {:>9} {:>11} {:>8} {:>8}",
        "", "delivered", "messages", "p50 ms", "p99 ms", "statements", "CPU %", "RSS MB"
    );
    for (what, skus) in [("each watches a row of its own", CLIENTS), ("all watch the same row", 1)] {
        let server = Server::start(&[("SAMPLE", "off")]);
        let (idle_s, begun) = (server.cpu_seconds(), Instant::now());
        let part = format!("part:subscribe-{skus}-{}-{}", server.queries, server.commands);
        let program = std::env::current_exe().unwrap();
        let output = pinned("1", program).arg(part).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let numbers: Option<Vec<f64>> = text.trim().split(' ').map(|n| n.parse().ok()).collect();
        let [delivered, messages, p50, p99, statements] = numbers.as_deref().unwrap_or_default() else {
            panic!("{text}{}", String::from_utf8_lossy(&output.stderr));
        };
        let cpu = (server.cpu_seconds() - idle_s) / begun.elapsed().as_secs_f64() * 100.0;
        println!(
            "{what:<32} {delivered:>10} {messages:>9} {p50:>9.1} {p99:>9.1} {statements:>11} {cpu:>8.0} {:>8.0}",
            server.rss_mb()
        );
    }
}

/// The clients and the commands, in a process of their own: `SKUS-QUERIES-COMMANDS`.
pub(crate) fn part(part: &str) {
    let parts: Vec<_> = part.splitn(3, '-').collect();
    let [skus, queries, commands] = parts[..] else { panic!("{part}") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure(skus.parse().unwrap(), queries, commands));
}

async fn measure(skus: usize, queries: &str, commands: &str) {
    let ready = Arc::new(Barrier::new(CLIENTS + 1));
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let wanted = EVENTS / skus;
        let client = watch(queries.to_owned(), number % skus, wanted, ready.clone(), over.clone());
        clients.push(tokio::spawn(client));
    }
    ready.wait().await;
    until_subscribed(queries).await;
    let sent = send_all(skus, commands).await;
    let mut times_ms = Vec::new();
    let mut messages = 0;
    for (number, client) in clients.into_iter().enumerate() {
        let shown = client.await.unwrap();
        messages += shown.len();
        let mut shown = shown.iter().peekable();
        // The n-th change of a row has been shown with the first answer of n or more.
        for (n, at) in sent[number % skus].iter().enumerate() {
            while shown.peek().is_some_and(|(quantity, _)| *quantity <= n) {
                shown.next();
            }
            let (_, seen) = shown.peek().expect("every change is shown in the end");
            times_ms.push(seen.saturating_duration_since(*at).as_secs_f64() * 1e3);
        }
    }
    over.store(true, Ordering::Relaxed);
    let statements = metric(queries, "db_latency_seconds_count{operation=\"inventory\"}").await;
    let delivered = times_ms.len();
    let (p50, p99) = (percentile(&mut times_ms, 0.5), percentile(&mut times_ms, 0.99));
    println!("{delivered} {messages} {p50} {p99} {statements}");
}

/// Quantities as they were shown, and when, until `wanted` has been.
async fn watch(
    address: String,
    sku: usize,
    wanted: usize,
    ready: Arc<Barrier>,
    over: Arc<AtomicBool>,
) -> Vec<(usize, Instant)> {
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(UPGRADE.as_bytes()).await.unwrap();
    let mut head = [0; 1];
    let mut last = [0; 4];
    while last != *b"\r\n\r\n" {
        stream.read_exact(&mut head).await.unwrap();
        last.rotate_left(1);
        last[3] = head[0];
    }
    stream.write_all(&frame(&json!({ "type": "connection_init" }))).await.unwrap();
    let query = format!("subscription {{ inventoryChanged(sku: \"sku-{sku}\") {{ quantity }} }}");
    let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": query } });
    stream.write_all(&frame(&subscribe)).await.unwrap();
    ready.wait().await;
    let mut shown = Vec::new();
    let mut text = vec![0; 256];
    while !over.load(Ordering::Relaxed) {
        let mut begin = [0; 2];
        stream.read_exact(&mut begin).await.unwrap();
        let length = usize::from(begin[1]);
        assert!(length < 126, "messages are short");
        stream.read_exact(&mut text[..length]).await.unwrap();
        if begin[0] == 0x89 {
            stream.write_all(&PONG).await.unwrap();
            continue;
        }
        let text = std::str::from_utf8(&text[..length]).unwrap();
        let Some((_, rest)) = text.split_once("\"quantity\":") else { continue };
        let quantity = rest.trim_end_matches('}').parse().unwrap();
        shown.push((quantity, Instant::now()));
        if quantity >= wanted {
            break;
        }
    }
    shown
}

async fn until_subscribed(queries: &str) {
    while metric(queries, "millrace_graphql_subscriptions_open").await < CLIENTS as f64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn metric(queries: &str, name: &str) -> f64 {
    let text = reqwest::get(format!("http://{queries}/metrics")).await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// One change after the other at a steady rate; when each was sent, by row.
async fn send_all(skus: usize, commands: &str) -> Vec<Vec<Instant>> {
    let client = reqwest::Client::new();
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let senders = (0..SENDERS).map(|_| {
        let (client, next, url) =
            (client.clone(), next.clone(), format!("http://{commands}/api/v1/inventory-adjustments"));
        tokio::spawn(async move {
            let mut sent = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= EVENTS {
                    return sent;
                }
                let due = begun
                    + Duration::from_secs(1) * u32::try_from(number).unwrap() / u32::try_from(RATE).unwrap();
                tokio::time::sleep_until(due.into()).await;
                let body = json!({ "sku": format!("sku-{}", number % skus), "delta": 1 }).to_string();
                sent.push((number % skus, Instant::now()));
                let request = client.post(&url).header("content-type", "application/json").body(body);
                assert_eq!(request.send().await.unwrap().status(), 202);
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    let mut sent = vec![Vec::new(); skus];
    for sender in senders {
        for (sku, at) in sender.await.unwrap() {
            sent[sku].push(at);
        }
    }
    sent.iter_mut().for_each(|times| times.sort());
    sent
}
