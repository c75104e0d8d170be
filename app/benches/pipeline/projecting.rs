//! From the log into the tables: against what the tables alone can take, and against one transaction per event.

mod kafka;

use std::path::Path;
use std::time::{Duration, Instant};

use millrace::simulator::Simulator;
use millrace_domain::record::RecordParts;
use millrace_domain::{Envelope, Position, RecordBatch, Timestamp};
use millrace_event_log::embedded::EmbeddedLog;
use millrace_event_log::{EventLog, PollLimits};
use millrace_platform::metrics::{MetricsRegistry, StoreMetrics};
use millrace_platform::sqlite::Synchronous;
use millrace_projector::breaker::BreakerSettings;
use millrace_projector::metrics::ProjectorMetrics;
use millrace_projector::projection::changes::Changes;
use millrace_projector::projection::sqlite::SqliteProjection;
use millrace_projector::projection::{Batch, Projection, Span};
use millrace_projector::projector::{Progress, Projector, ProjectorSettings, Step};
use millrace_projector::retry::Backoff;

use crate::{child, events, peak_rss_mb};

const BATCH_EVENTS: usize = 50_000;
const SINGLE_EVENTS: usize = 5_000;
const PARTITIONS: i32 = 6;

pub(crate) const SETTINGS: ProjectorSettings = ProjectorSettings {
    limits: PollLimits { events_max: BATCH_EVENTS, bytes_max: 32 * 1024 * 1024 },
    wait: Duration::ZERO,
    backoff: Backoff { initial: Duration::from_millis(10), max: Duration::from_secs(1) },
    breaker: BreakerSettings {
        failures_max: 5,
        timeout: Duration::from_secs(1),
        probes: 1,
        interval: Duration::from_secs(60),
    },
    attempts_max: 3,
    inbox_retention: None,
};

/// A projector whose metrics no one reads.
pub(crate) fn new_projector(
    log: &EventLog,
    projection: Projection,
    settings: ProjectorSettings,
) -> Projector {
    let registry = MetricsRegistry::new();
    let metrics = ProjectorMetrics::register(&registry, StoreMetrics::register(&registry));
    let progress = Progress::new(log.topic(), settings.breaker);
    Projector::new(log, projection, settings, metrics, progress).unwrap()
}

pub(crate) fn run() {
    println!("\nProjecting {} events, batches of {BATCH_EVENTS}, SQLite", events());
    println!("{:<52} {:>10} {:>8} {:>9}", "", "events/s", "× (a)", "peak MB");
    println!("{:<52} {:>10.0}", "decoding alone, one core", child("decode-alone")[0]);
    for (name, level) in [("NORMAL", "normal"), ("FULL", "full")] {
        let parts = [
            ("(a) the same upserts from memory", "raw"),
            ("(b) projector from the embedded log", "projector"),
            ("(c) projector from Kafka's mock cluster", "kafka"),
            ("(d) one transaction per event", "single"),
        ];
        let results = parts.map(|(_, part)| child(&format!("{part}-{level}")));
        for ((what, _), result) in parts.iter().zip(&results) {
            let ratio = result[0] / results[0][0];
            println!(
                "{:<52} {:>10.0} {:>8.2} {:>9.0}",
                format!("{what}, {name}"),
                result[0],
                ratio,
                result[1]
            );
        }
        println!("{:<52} {:>19.1}", "    b / d", results[1][0] / results[3][0]);
    }
}

pub(crate) fn part(part: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (what, level) = part.split_once('-').unwrap();
    let synchronous = if level == "full" { Synchronous::Full } else { Synchronous::Normal };
    let rate = match what {
        "raw" => raw(dir.path(), synchronous),
        "projector" => projector(dir.path(), synchronous),
        "kafka" => kafka::rate(dir.path(), synchronous),
        "coalesce" => coalesce(),
        "decode" => decode(),
        "single" => single(dir.path(), synchronous),
        other => panic!("no part {other}"),
    };
    println!("{rate} {}", peak_rss_mb());
}

pub(crate) fn store(dir: &Path, synchronous: Synchronous) -> SqliteProjection {
    SqliteProjection::open_with(&dir.join("read_model.db"), synchronous).unwrap().0
}

fn span(from: &mut i64, count: usize) -> Span {
    let before = *from;
    *from += i64::try_from(count).unwrap();
    Span { partition: 0, from: (before > 0).then_some(before), next: *from }
}

fn per_second(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / time.as_secs_f64()
}

/// Changes made beforehand, nothing decoded, nothing fetched: what the store alone takes.
fn raw(dir: &Path, synchronous: Synchronous) -> f64 {
    let mut store = store(dir, synchronous);
    let mut simulator = Simulator::new(1);
    let mut from = 0;
    let mut time = Duration::ZERO;
    for _ in 0..events() / BATCH_EVENTS {
        let batch: Vec<Envelope> = (0..BATCH_EVENTS).map(|_| simulator.next_event()).collect();
        let changes = Changes::of(&batch.iter().collect::<Vec<_>>());
        let spans = [span(&mut from, batch.len())];
        let started = Instant::now();
        store.write("events", &spans, &changes, &[]).unwrap();
        time += started.elapsed();
    }
    per_second(events(), time)
}

pub(crate) fn filled_log(dir: &Path) -> EventLog {
    let log = EventLog::Embedded(EmbeddedLog::open(dir, PARTITIONS).unwrap());
    let mut simulator = Simulator::new(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut left = events();
    while left > 0 {
        let count = left.min(10_000);
        let records = (0..count).map(|_| simulator.next_event().to_record()).collect();
        runtime.block_on(log.append(records)).unwrap();
        left -= count;
    }
    log
}

fn projector(dir: &Path, synchronous: Synchronous) -> f64 {
    let log = filled_log(dir);
    let projection = Projection::Sqlite(store(dir, synchronous));
    let mut projector = new_projector(&log, projection, SETTINGS);
    let started = Instant::now();
    let mut done = 0;
    while done < events() {
        if let Step::Projected(records) = projector.step().unwrap() {
            done += records;
        }
    }
    per_second(done, started.elapsed())
}

/// Coalescing alone.
fn coalesce() -> f64 {
    let mut simulator = Simulator::new(1);
    let batch: Vec<Envelope> = (0..BATCH_EVENTS).map(|_| simulator.next_event()).collect();
    let started = Instant::now();
    let rounds = events() / BATCH_EVENTS;
    for _ in 0..rounds {
        let changes = Changes::of(&batch.iter().collect::<Vec<_>>());
        assert!(!changes.orders.is_empty());
    }
    per_second(rounds * batch.len(), started.elapsed())
}

/// Decoding alone, from a batch in memory.
fn decode() -> f64 {
    let mut simulator = Simulator::new(1);
    let mut records = RecordBatch::new("events");
    for offset in 0..i64::try_from(BATCH_EVENTS).unwrap() {
        let record = simulator.next_event().to_record();
        let parts = RecordParts {
            key: record.key.as_deref(),
            payload: Some(&record.payload),
            headers: record.headers.view(),
        };
        records.push(Position { partition: 0, offset }, Timestamp::now(), parts);
    }
    let started = Instant::now();
    let rounds = events() / BATCH_EVENTS;
    let mut envelopes = Vec::new();
    for _ in 0..rounds {
        envelopes.clear();
        envelopes.extend(records.iter().map(|record| millrace_domain::decode(&record).unwrap()));
    }
    per_second(rounds * envelopes.len(), started.elapsed())
}

fn single(dir: &Path, synchronous: Synchronous) -> f64 {
    let mut projection = Projection::Sqlite(store(dir, synchronous));
    let mut simulator = Simulator::new(1);
    let envelopes: Vec<Envelope> = (0..SINGLE_EVENTS).map(|_| simulator.next_event()).collect();
    let mut from = 0;
    let started = Instant::now();
    for envelope in &envelopes {
        let spans = [span(&mut from, 1)];
        let batch = Batch { topic: "events", spans: &spans, events: vec![envelope], letters: Vec::new() };
        projection.apply(&batch).unwrap();
    }
    per_second(SINGLE_EVENTS, started.elapsed())
}
