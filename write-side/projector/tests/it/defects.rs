//! Where the five older systems failed, and this one does not: the defects that need a log, a store and a projector.
//!
//! The others are tested where they belong: B6, B8, B9 and B12 with the wire shapes (`shared/src/envelope/tests.rs`),
//! B1, B4, B7 and B10 with the projection, B2 with the dead letter, B3 with the projector, B17 over HTTP.

use std::collections::BTreeMap;

use millrace_domain::event::PaymentStatus::Settled;
use millrace_domain::record::Headers;
use millrace_domain::{Envelope, NewRecord};
use millrace_event_log::kafka::KafkaSettings;
use millrace_event_log::{EventLog, LogSettings};
use millrace_projector::dead_letter::REFUSED;
use millrace_projector::projection::{ApplyError, Batch, Projection, Span};
use millrace_projector::projector::{Projector, Step};
use millrace_testkit::kafka::{Topic, brokers};
use millrace_testkit::oracle::{expected_tables, order, payment, stock, user};
use rusqlite::TransactionBehavior;

use crate::world::{World, drain, rows, tables};

fn no_event(payload: &str) -> NewRecord {
    NewRecord { key: Some(b"k".to_vec()), payload: payload.into(), headers: Headers::EMPTY }
}

/// A full stock: the store refuses any event that adds to it.
fn full_stock(world: &World, projector: &mut Projector) {
    world.append_events([&stock("e-full", 0, "full", 1, None)]);
    drain(projector);
    world.sql().execute("UPDATE inventory SET quantity = 9223372036854775807", []).unwrap();
}

fn checkpoints(world: &World) -> i64 {
    let sum = rows(&world.sql(), "SELECT SUM(next_offset) FROM checkpoints");
    sum[0].parse().unwrap()
}

#[test]
fn b05_what_cannot_be_kept_as_a_dead_letter_is_not_moved_past() {
    let world = World::new();
    let mut projector = world.projector();
    drain(&mut projector);
    world.append(vec![no_event("never an event")]);
    let blocker = world.sql();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(
        matches!(projector.step().unwrap(), Step::Waiting(_)),
        "the projector waits for an unavailable store"
    );
    blocker.execute_batch("ROLLBACK").unwrap();
    assert_eq!(checkpoints(&world), 0);

    // A store that refuses nothing but the letter: that is a bug of ours, and must neither be skipped nor go on for ever.
    blocker
        .execute_batch(
            "CREATE TRIGGER no_letters BEFORE INSERT ON dead_letters BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    projector.step().unwrap_err();
    assert_eq!(checkpoints(&world), 0);
    blocker.execute_batch("DROP TRIGGER no_letters").unwrap();
    drain(&mut world.projector());
    assert_eq!(checkpoints(&world), 1);
    assert_eq!(world.open_letters()[0].payload.as_deref(), Some(&b"never an event"[..]));
}

/// Two that project into the same rows at the same time, as fast as they can, each from a partition of its own.
#[test]
fn b11_concurrent_projectors_never_meet_a_duplicate_key() {
    const ROUNDS: i64 = 150;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("read_model.db");
    let url = millrace_mssql::ReadModelUrl::Sqlite(file.clone());
    drop(Projection::open(&url).unwrap());
    let round = |partition: i32, n: i64| {
        let (at, id) = (2 * n + i64::from(partition), format!("{partition}-{n}"));
        let (who, what) = (format!("u{n}"), format!("o{n}"));
        [
            user(&format!("u-{id}"), at, &who, &id),
            order(&format!("o-{id}"), at, &what, &who, at),
            payment(&format!("p-{id}"), at, &what, at, Settled),
            stock(&format!("s-{id}"), at, &format!("s{n}"), 1, None),
        ]
    };
    let project = |partition: i32| {
        let (mut projection, _) = Projection::open(&url).unwrap();
        for n in 0..ROUNDS {
            let events = round(partition, n);
            let spans = [Span { partition, from: (n > 0).then_some(n), next: n + 1 }];
            let batch = Batch {
                topic: "events",
                spans: &spans,
                events: events.iter().collect(),
                letters: Vec::new(),
            };
            // The store's one write lock may be the other's for longer than it is waited for.
            while let Err(error) = projection.apply(&batch) {
                assert!(matches!(error, ApplyError::Transient(_)), "{error:?}");
            }
        }
    };
    std::thread::scope(|scope| {
        for partition in 0..2 {
            let project = &project;
            scope.spawn(move || project(partition));
        }
    });
    let all: Vec<_> = (0..2).flat_map(|p| (0..ROUNDS).flat_map(move |n| round(p, n))).collect();
    assert_eq!(tables(&file), expected_tables(&all));
}

#[test]
fn b13_a_crash_at_any_step_neither_skips_nor_repeats_the_event() {
    let world = World::new();
    let events: Vec<Envelope> = (0..20).map(|n| stock(&format!("e{n}"), n, "s", 1, None)).collect();
    drain(&mut world.projector());
    for (n, event) in events.iter().enumerate() {
        world.append_events([event]);
        let mut dies = world.projector();
        let blocker = world.sql();
        for _ in 0..n % 4 {
            dies.step().unwrap();
        }
        // Every second one dies with the batch in hand, refused by a store that was busy.
        blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
        if n % 2 == 0 {
            dies.step().unwrap();
        }
        blocker.execute_batch("ROLLBACK").unwrap();
    }
    drain(&mut world.projector());
    assert_eq!(world.tables(), expected_tables(&events));
    assert_eq!(
        world.count("InventoryAdjusted", "duplicate"),
        0,
        "there is no state between done and not done"
    );
}

#[test]
fn b14_a_letter_that_is_sent_again_is_consumed_by_the_projector() {
    let world = World::new();
    let mut projector = world.projector();
    full_stock(&world, &mut projector);
    let late = stock("e-late", 1, "full", 1, None);
    world.append_events([&late]);
    drain(&mut projector);
    let letter = world.open_letters().remove(0);
    assert_eq!((letter.reason.as_str(), letter.event_id.as_deref()), (REFUSED, Some("e-late")));
    world.append_events([&stock("e-room", 2, "full", -10, None)]);
    drain(&mut projector);
    world.redrive(&letter);
    drain(&mut projector);
    assert!(world.open_letters().is_empty());
    let quantity = rows(&world.sql(), "SELECT quantity FROM inventory");
    assert_eq!(quantity, [(i64::MAX - 9).to_string()]);
}

#[test]
fn b15_the_log_keeps_the_history_that_a_read_model_is_built_from() {
    let world = World::new();
    let events: Vec<Envelope> = (0..30)
        .flat_map(|n| [order(&format!("o{n}"), n, "o", "u", n), stock(&format!("s{n}"), n, "s", 1, None)])
        .collect();
    world.append_events(&events);
    drain(&mut world.projector());
    let first = world.tables();
    assert_eq!(first, expected_tables(&events));
    for file in ["read_model.db", "read_model.db-wal", "read_model.db-shm"] {
        // The write-ahead log is gone already when the last connection was closed.
        let _gone = std::fs::remove_file(world.dir.path().join(file));
    }
    drain(&mut world.projector());
    assert_eq!(world.tables(), first, "rebuilt from the log");
}

#[test]
fn b15_a_topic_of_ours_is_not_compacted() {
    let Some(brokers) = brokers() else { return };
    let topic = Topic::missing(&brokers);
    let kafka = KafkaSettings { group: topic.name().to_owned(), properties: "".parse().unwrap() };
    let log = EventLog::open(&topic.url().parse().unwrap(), &LogSettings { partitions: 1, kafka }).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(log.append(vec![no_event("x")])).unwrap();
    assert_eq!(topic.setting("cleanup.policy").as_deref(), Some("delete"));
}

#[test]
fn b16_a_later_success_does_not_commit_past_a_failure() {
    let world = World::new();
    let mut projector = world.projector();
    full_stock(&world, &mut projector);
    let poison = stock("e-poison", 1, "full", 1, None);
    // Enough that each partition has some, also the one with the failing event before them.
    let behind: Vec<Envelope> =
        (2..32).map(|n| order(&format!("e{n}"), n, &format!("o{n}"), "u", n)).collect();
    world.append_events(std::iter::once(&poison).chain(&behind));
    let blocker = world.sql();
    let lock = rusqlite::Transaction::new_unchecked(&blocker, TransactionBehavior::Immediate).unwrap();
    for _ in 0..5 {
        assert!(matches!(projector.step().unwrap(), Step::Waiting(_)));
    }
    drop(lock);
    assert_eq!(checkpoints(&world), 1, "nothing behind a failure of the store is moved past");
    drain(&mut projector);
    assert_eq!(checkpoints(&world), 32);
    let letters: BTreeMap<_, _> =
        world.open_letters().into_iter().map(|letter| (letter.event_id, letter.causes)).collect();
    let causes = &letters[&Some("e-poison".to_owned())];
    assert_eq!(letters.len(), 1, "what failed is kept, what came behind it is projected");
    let tries = causes.iter().filter(|cause| cause.starts_with("attempt ")).count();
    assert_eq!(tries, 2, "three attempts: the errors of two beside the last one: {causes:?}");
    assert_eq!(world.count("OrderPlaced", "applied"), 30);
}

#[test]
fn b18_the_latency_of_the_database_is_that_of_the_database() {
    let world = World::new();
    let mut projector = world.projector();
    drain(&mut projector);
    let before = world.metrics.store.operations("apply");
    projector.step().unwrap();
    assert_eq!(
        world.metrics.store.operations("apply"),
        before,
        "waiting for records is no time in the database"
    );
    let events: Vec<Envelope> = (0..50).map(|n| stock(&format!("e{n}"), n, "s", 1, None)).collect();
    world.append_events(&events);
    world.append(vec![no_event("not an event")]);
    drain(&mut projector);
    assert_eq!(
        world.metrics.store.operations("apply"),
        before + 1,
        "one batch is one call, for any number of records"
    );
    let text = world.registry.render();
    let sum = r#"db_latency_seconds_sum{operation="apply"} "#;
    let in_store = text.lines().find_map(|line| line.strip_prefix(sum)?.parse::<f64>().ok());
    assert!(in_store.is_some_and(|seconds| seconds > 0.0), "{text}");
}
