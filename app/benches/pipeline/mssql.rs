//! The projection into SQL Server as far as this program goes: building the parameter of a batch, and sending batches to a
//! scripted peer that answers each after two milliseconds. What the server does with them is not measured.

use std::time::{Duration, Instant};

use millrace::simulator::Simulator;
use millrace_domain::Envelope;
use millrace_mssql::MssqlUrl;
use millrace_projector::projection::changes::Changes;
use millrace_projector::projection::mssql::MssqlProjection;
use millrace_projector::projection::mssql::document::Document;
use millrace_projector::projection::{Batch, Projection, Span};
use millrace_testkit::tds::{Kind, Reply, TdsPeer};

use crate::{child, events, peak_rss_mb};

/// Events of a batch: one, the default, and beyond it.
const BATCHES: [usize; 3] = [1, 1_000, 5_000];
const ANSWER_AFTER: Duration = Duration::from_millis(2);

pub(crate) fn run() {
    println!(
        "\nSQL Server: building the parameter on one core, and a peer that answers after {ANSWER_AFTER:?}"
    );
    println!("{:<52} {:>10} {:>16} {:>9}", "", "events/s", "requests/batch", "peak MB");
    for batch in &BATCHES[1..] {
        let result = child(&format!("mssql-document-{batch}"));
        println!("{:<52} {:>10.0}", format!("the parameter, batches of {batch}"), result[0]);
        let result = child(&format!("mssql-changes-{batch}"));
        println!("{:<52} {:>10.0}", format!("the same with coalescing, batches of {batch}"), result[0]);
    }
    for (encrypt, name) in [("plaintext", "in plain text"), ("true", "by TLS")] {
        for batch in BATCHES {
            let result = child(&format!("mssql-{encrypt}-{batch}"));
            let what = format!("through the adapter {name}, batches of {batch}");
            println!("{what:<52} {:>10.0} {:>16.3} {:>9.0}", result[0], result[1], result[2]);
        }
    }
}

pub(crate) fn part(part: &str) {
    let (what, batch) = part.split_once('-').unwrap();
    let batch = batch.parse().unwrap();
    match what {
        "document" => println!("{}", parameter(batch, false)),
        "changes" => println!("{}", parameter(batch, true)),
        encrypt => {
            let (rate, requests) = adapter(batch, encrypt);
            println!("{rate} {requests} {}", peak_rss_mb());
        }
    }
}

/// Batches of so many events, made beforehand: a few, which are sent again and again.
fn made(size: usize) -> Vec<Vec<Envelope>> {
    let mut simulator = Simulator::new(1);
    (0..8).map(|_| (0..size).map(|_| simulator.next_event()).collect()).collect()
}

fn batch(events: &[Envelope]) -> Batch<'_> {
    const SPANS: &[Span] = &[Span { partition: 0, from: Some(5), next: 6 }];
    Batch { topic: "events", spans: SPANS, events: events.iter().collect(), letters: Vec::new() }
}

fn rate(events: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(events).unwrap()) / time.as_secs_f64()
}

fn parameter(size: usize, coalescing: bool) -> f64 {
    let made = made(size);
    let batches: Vec<_> = made.iter().map(|events| batch(events)).collect();
    let changes: Vec<_> = batches.iter().map(|batch| Changes::of(&batch.events)).collect();
    let (mut done, mut length) = (0, 0);
    let started = Instant::now();
    while done < events() {
        for (batch, changes) in batches.iter().zip(&changes) {
            let document = match coalescing {
                true => Document::of(batch, &Changes::of(&batch.events), length),
                false => Document::of(batch, changes, length),
            };
            length = document.json.len();
            done += batch.events.len();
        }
    }
    rate(done, started.elapsed())
}

/// Events per second, and requests for each batch.
fn adapter(size: usize, encrypt: &str) -> (f64, f64) {
    let peer = TdsPeer::builder().without_requests().start(|_| {
        let counted = Reply::rows([("counted", Kind::Int)], [vec![0.into()]]);
        vec![Reply::Delay(ANSWER_AFTER), counted]
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let url = format!("mssql://sa:x@{}/d?encrypt={encrypt}&trust-server-certificate=true", peer.addr());
    let url = MssqlUrl::parse_url(&url).unwrap();
    let mut projection = Projection::Mssql(MssqlProjection::over(&url, runtime.handle().clone()));
    let made = made(size);
    // The first one connects.
    projection.apply(&batch(&made[0])).unwrap();
    let before = peer.requested();
    let (mut done, mut batches) = (0, 0);
    let enough = if size == 1 { 1_000 } else { events() };
    let started = Instant::now();
    while done < enough {
        for events in &made {
            projection.apply(&batch(events)).unwrap();
            done += events.len();
            batches += 1;
        }
    }
    let rate = rate(done, started.elapsed());
    (rate, f64::from(u32::try_from(peer.requested() - before).unwrap()) / f64::from(batches))
}
