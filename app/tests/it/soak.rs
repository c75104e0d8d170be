//! Ten minutes at 2,000 events a second with a restart each minute: memory, freshness, and every row.
//!
//!     cargo test --release -p app --test it -- soak --ignored --nocapture
//!
//! `MILLRACE_SOAK_MINUTES` sets another length.

use std::time::{Duration, Instant};

use millrace_domain::Envelope;
use millrace_testkit::oracle::expected_tables;

use crate::process::{Home, Process, Server, until};

const RATE: u64 = 2_000;
const LIFE: Duration = Duration::from_secs(60);
/// Samples of memory before this age of a process are of its caches filling.
const SETTLED: Duration = Duration::from_secs(30);

/// What one process, from its start to its end, was seen to do.
#[derive(Default)]
struct Life {
    /// Seconds since the start, and megabytes.
    rss: Vec<(f64, f64)>,
    /// The freshness histogram as it was last seen: upper bounds in seconds, cumulative counts.
    freshness: Vec<(f64, f64)>,
}

impl Life {
    fn look(&mut self, server: &Server, age: Duration) {
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

    /// Megabytes an hour, by least squares over what was seen once it had settled.
    fn slope(&self) -> f64 {
        let seen: Vec<_> = self.rss.iter().filter(|(age, _)| *age >= SETTLED.as_secs_f64()).collect();
        let count = seen.len() as f64;
        let (x, y) =
            (seen.iter().map(|s| s.0).sum::<f64>() / count, seen.iter().map(|s| s.1).sum::<f64>() / count);
        let over: f64 = seen.iter().map(|s| (s.0 - x) * (s.1 - y)).sum();
        let under: f64 = seen.iter().map(|s| (s.0 - x).powi(2)).sum();
        3600.0 * over / under
    }
}

/// The upper bound below which that share of all records was fresh.
fn quantile_ms(lives: &[Life], share: f64) -> f64 {
    let bounds = lives.iter().find(|life| !life.freshness.is_empty()).map(|life| &life.freshness).unwrap();
    let count = |at: usize| lives.iter().filter_map(|life| Some(life.freshness.get(at)?.1)).sum::<f64>();
    let total = count(bounds.len() - 1);
    let at = (0..bounds.len()).find(|at| count(*at) >= share * total).unwrap();
    bounds[at].0 * 1e3
}

#[test]
#[ignore = "takes ten minutes; its last result stands in docs/reliability.md"]
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
    let mut lives = Vec::new();
    while !load.has_ended() {
        let mut life = Life::default();
        let born = Instant::now();
        until("a life is over", || {
            std::thread::sleep(Duration::from_secs(1));
            life.look(&server, born.elapsed());
            (born.elapsed() >= LIFE || load.has_ended()).then_some(())
        });
        println!(
            "life {}: {:.0} MB at the end, {:+.0} MB/h once settled, {} records in the log",
            lives.len() + 1,
            life.last_mb(),
            life.slope(),
            home.records()
        );
        lives.push(life);
        server.process.signal("TERM");
        assert_eq!(server.process.finish().code, Some(0));
        server = home.start(&[("SAMPLE", "off"), ("COMMAND_ADDR", &address)]);
    }
    assert_eq!(load.finish().ok(), format!("{count} events sent"));
    let records = home.records();
    home.until_projected(records);
    println!(
        "{count} events sent, {records} in the log, {} restarts, freshness p50 ≤ {} ms, p99 ≤ {} ms, dead letters {}",
        lives.len(),
        quantile_ms(&lives, 0.5),
        quantile_ms(&lives, 0.99),
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
    println!("{} rows are as the oracle has them", tables.len());
    if lives.len() > 2 {
        let (second, last) = (lives[1].last_mb(), lives[lives.len() - 2].last_mb());
        assert!(last < 1.5 * second, "memory grew from {second} to {last} MB");
    }
}
