//! Ten minutes at 2,000 events a second with a restart each minute: memory, freshness, and every row.
//!
//!     cargo test --release -p millrace --test it -- soak --ignored --nocapture
//!
//! `MILLRACE_SOAK_MINUTES` sets another length.

use std::time::{Duration, Instant};

use millrace_domain::Envelope;
use millrace_testkit::oracle::expected_tables;

use crate::process::{Home, Process, Server, until};

const RATE: u64 = 2_000;
const RUN: Duration = Duration::from_secs(60);
/// Before this age of a process its caches fill.
const SETTLED: Duration = Duration::from_secs(30);

/// Measurements of one process.
#[derive(Default)]
struct Run {
    /// Seconds since the start, and megabytes.
    rss: Vec<(f64, f64)>,
    /// The last freshness histogram: upper bounds in seconds, cumulative counts.
    freshness: Vec<(f64, f64)>,
}

impl Run {
    fn sample(&mut self, server: &Server, age: Duration) {
        let Some((200, text)) = server.client.get(&format!("{}/metrics", server.metrics)) else { return };
        self.freshness.clear();
        for line in text.lines() {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let value: f64 = value.parse().unwrap_or(f64::NAN);
            if name == "process_resident_memory_bytes" {
                self.rss.push((age.as_secs_f64(), value / 1e6));
            }
            let bound = name.strip_prefix("projection_freshness_seconds_bucket{le=\"");
            if let Some(bound) = bound.and_then(|bound| bound.strip_suffix("\"}")) {
                self.freshness.push((bound.parse().unwrap_or(f64::INFINITY), value));
            }
        }
    }

    fn last_mb(&self) -> f64 {
        self.rss.last().map_or(0.0, |(_, mb)| *mb)
    }

    /// Growth of memory in MB per hour, by least squares over the samples after the caches have filled.
    fn slope(&self) -> f64 {
        let samples: Vec<_> = self.rss.iter().filter(|(age, _)| *age >= SETTLED.as_secs_f64()).collect();
        let count = samples.len() as f64;
        let (x, y) = (
            samples.iter().map(|s| s.0).sum::<f64>() / count,
            samples.iter().map(|s| s.1).sum::<f64>() / count,
        );
        let over: f64 = samples.iter().map(|s| (s.0 - x) * (s.1 - y)).sum();
        let under: f64 = samples.iter().map(|s| (s.0 - x).powi(2)).sum();
        3600.0 * over / under
    }
}

/// The bound within which this share of all records was readable.
fn quantile_ms(runs: &[Run], share: f64) -> f64 {
    let bounds = runs.iter().find(|run| !run.freshness.is_empty()).map(|run| &run.freshness).unwrap();
    let count = |at: usize| runs.iter().filter_map(|run| Some(run.freshness.get(at)?.1)).sum::<f64>();
    let total = count(bounds.len() - 1);
    let at = (0..bounds.len()).find(|at| count(*at) >= share * total).unwrap();
    bounds[at].0 * 1e3
}

#[test]
#[ignore = "takes ten minutes; its last result is in docs/reliability.md"]
fn soak() {
    let minutes: u64 = std::env::var("MILLRACE_SOAK_MINUTES").map_or(10, |minutes| minutes.parse().unwrap());
    let count = RATE * 60 * minutes;
    let home = Home::new();
    let mut server = home.start(&[("SAMPLE", "off")]);
    let address = server.commands_addr().to_owned();
    let mut load = Process::start(
        home.command(&["produce", "--rate", &RATE.to_string(), "--count", &count.to_string()])
            .env("COMMAND_ADDR", &address),
    );
    let mut runs = Vec::new();
    while !load.has_ended() {
        let mut run = Run::default();
        let started = Instant::now();
        until("the run is over", || {
            std::thread::sleep(Duration::from_secs(1));
            run.sample(&server, started.elapsed());
            (started.elapsed() >= RUN || load.has_ended()).then_some(())
        });
        println!(
            "run {}: {:.0} MB at the end, {:+.0} MB/h once settled, {} records in the log",
            runs.len() + 1,
            run.last_mb(),
            run.slope(),
            home.records()
        );
        runs.push(run);
        server.process.signal("TERM");
        assert_eq!(server.process.finish().code, Some(0));
        server = home.start(&[("SAMPLE", "off"), ("COMMAND_ADDR", &address)]);
    }
    assert_eq!(load.finish().ok(), format!("{count} events sent"));
    let records = home.records();
    home.until_projected(records);
    println!(
        "{count} events sent, {records} in the log, {} restarts, freshness p50 ≤ {} ms, p99 ≤ {} ms, dead letters {}",
        runs.len(),
        quantile_ms(&runs, 0.5),
        quantile_ms(&runs, 0.99),
        home.count("SELECT COUNT(*) FROM dead_letters")
    );
    assert_eq!(home.count("SELECT COUNT(*) FROM dead_letters"), 0);
    assert_eq!(home.different_events().unsigned_abs(), count, "nothing lost");
    let events: Vec<Envelope> = home.events();
    let (tables, expected) = (home.tables(), expected_tables(&events));
    assert_eq!(tables.len(), expected.len());
    for (row, expected) in tables.iter().zip(&expected) {
        assert_eq!(row, expected);
    }
    println!("{} rows agree with the oracle", tables.len());
    if runs.len() > 2 {
        let (second, last) = (runs[1].last_mb(), runs[runs.len() - 2].last_mb());
        assert!(last < 1.5 * second, "memory grew from {second} to {last} MB");
    }
}
