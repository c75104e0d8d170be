//! What an outage and a poisoned event cost: catching up against projecting undisturbed, a batch with one event that
//! the store refuses against a clean one.

use std::path::Path;
use std::time::Instant;

use millrace::simulator::Simulator;
use millrace_domain::event::{Event, InventoryAdjusted};
use millrace_domain::id::Sku;
use millrace_domain::{Envelope, NewRecord, Timestamp};
use millrace_event_log::embedded::EmbeddedLog;
use millrace_event_log::{EventLog, PollLimits};
use millrace_platform::sqlite::Synchronous;
use millrace_projector::projection::Projection;
use millrace_projector::projector::{ProjectorSettings, Step};

use crate::load::percentile;
use crate::projecting::{self, SETTINGS, new_projector};
use crate::{child, events};

const CATCH_UP_ROUNDS: usize = 3;
const POISON_BATCH: usize = 1_000;
const POISON_ROUNDS: usize = 31;

pub(crate) fn run() {
    println!("\nCatching up with {} events after an outage of the store", events());
    // In turn, since a machine has better and worse minutes.
    let (mut undisturbed, mut after): (Vec<_>, Vec<_>) =
        (0..CATCH_UP_ROUNDS).map(|_| (child("outage-none")[0], child("outage-store")[0])).unzip();
    let (undisturbed, after) = (percentile(&mut undisturbed, 0.5), percentile(&mut after, 0.5));
    println!(
        "undisturbed {undisturbed:.0} events/s, after an outage {after:.0} events/s: × {:.2} (medians of {CATCH_UP_ROUNDS})",
        after / undisturbed
    );
    let times = child("outage-poison");
    println!(
        "a batch of {POISON_BATCH}: clean {:.2} ms, with one poisoned event {:.2} ms: × {:.1} (medians of {POISON_ROUNDS})",
        times[0],
        times[1],
        times[1] / times[0]
    );
}

pub(crate) fn part(what: &str) {
    let dir = tempfile::tempdir().unwrap();
    match what {
        "none" => println!("{}", catch_up(dir.path(), false)),
        "store" => println!("{}", catch_up(dir.path(), true)),
        "poison" => {
            let (clean, poisoned) = poison(dir.path());
            println!("{clean} {poisoned}");
        }
        other => panic!("no part {other}"),
    }
}

/// Events a second from the moment the store is there.
fn catch_up(dir: &Path, outage: bool) -> f64 {
    let log = projecting::filled_log(dir);
    let projection = Projection::Sqlite(projecting::store(dir, Synchronous::Normal));
    let mut projector = new_projector(&log, projection, SETTINGS);
    while projector.partitions().is_empty() {
        projector.step().unwrap();
    }
    if outage {
        let blocker = rusqlite::Connection::open(dir.join("read_model.db")).unwrap();
        blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
        // It has a batch in hand, and its breaker is open.
        while !matches!(projector.step().unwrap(), Step::Waiting(wait) if wait >= SETTINGS.breaker.timeout / 2)
        {
        }
        blocker.execute_batch("ROLLBACK").unwrap();
        while let Step::Waiting(wait) = projector.step().unwrap() {
            std::thread::sleep(wait);
        }
    }
    let already = projector.progress().records();
    let started = Instant::now();
    while projector.progress().records() < events() as u64 {
        projector.step().unwrap();
    }
    (events() as u64 - already) as f64 / started.elapsed().as_secs_f64()
}

/// Milliseconds for a clean batch, and for one with an event that the store refuses: medians.
fn poison(dir: &Path) -> (f64, f64) {
    let log = EventLog::Embedded(EmbeddedLog::open(dir, 1).unwrap());
    let limits = PollLimits { events_max: POISON_BATCH, bytes_max: 32 * 1024 * 1024 };
    let projection = Projection::Sqlite(projecting::store(dir, Synchronous::Normal));
    let settings = ProjectorSettings { limits, ..SETTINGS };
    let mut projector = new_projector(&log, projection, settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut simulator = Simulator::new(1);
    let full = || {
        let sku = Sku::parse("full").unwrap();
        let full = InventoryAdjusted { sku, delta: 1, reason: None, reported_quantity: None };
        Envelope::new(Event::InventoryAdjusted(full), Timestamp::now(), None).to_record()
    };
    let mut project = |records: Vec<NewRecord>| {
        let target = projector.progress().records() + records.len() as u64;
        runtime.block_on(log.append(records)).unwrap();
        let started = Instant::now();
        while projector.progress().records() < target {
            projector.step().unwrap();
        }
        started.elapsed().as_secs_f64() * 1e3
    };
    project(vec![full()]);
    let sql = rusqlite::Connection::open(dir.join("read_model.db")).unwrap();
    sql.execute("UPDATE inventory SET quantity = 9223372036854775807 WHERE sku = 'full'", []).unwrap();
    let (mut clean, mut poisoned) = (Vec::new(), Vec::new());
    for round in 0..POISON_ROUNDS {
        let mut batch = || (0..POISON_BATCH).map(|_| simulator.next_event().to_record()).collect::<Vec<_>>();
        clean.push(project(batch()));
        let mut with_poison = batch();
        // In a different place each time.
        with_poison[round * 37 % POISON_BATCH] = full();
        poisoned.push(project(with_poison));
    }
    let letters: i64 = sql.query_row("SELECT COUNT(*) FROM dead_letters", [], |row| row.get(0)).unwrap();
    assert_eq!(usize::try_from(letters).unwrap(), POISON_ROUNDS, "each was found");
    (percentile(&mut clean, 0.5), percentile(&mut poisoned, 0.5))
}
