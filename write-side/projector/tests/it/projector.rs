//! The projector over the embedded log and SQLite: promises 1, 2, 4 and 5.

use millrace_domain::NewRecord;
use millrace_domain::event::PaymentStatus::Settled;
use millrace_domain::record::Headers;
use millrace_event_log::PollLimits;
use millrace_projector::dead_letter::{LetterFilter, REFUSED, Resolution};
use millrace_projector::projector::{ProjectorSettings, ProjectorState, Step};
use proptest::prelude::*;

use crate::oracle::{self, expected_tables, order, payment, stock, user};
use crate::world::{SETTINGS, World, drain, rows};

fn raw(key: Option<&str>, payload: &[u8]) -> NewRecord {
    NewRecord {
        key: key.map(|key| key.as_bytes().to_vec()),
        payload: payload.to_vec(),
        headers: Headers::EMPTY.with("trace", b"t-1"),
    }
}

#[test]
fn projects_and_tells_how_far() {
    let world = World::new();
    let mut projector = world.projector();
    let progress = projector.progress();
    assert_eq!(progress.state(), ProjectorState::Starting);
    let events = [user("e1", 1, "u", "Ada"), order("e2", 2, "o", "u", 5), payment("e3", 3, "o", 5, Settled)];
    let positions = world.append_events(&events);
    assert!(!progress.is_projected(positions[0]));
    drain(&mut projector);
    assert!(positions.iter().all(|position| progress.is_projected(*position)));
    assert_eq!(progress.state(), ProjectorState::Running);
    assert_eq!(world.tables(), expected_tables(&events));
    assert_eq!(world.count("OrderPlaced", "applied"), 1);
}

#[test]
fn when_projected_returns_once_the_position_is_passed() {
    let world = World::new();
    let mut projector = world.projector();
    let progress = projector.progress();
    let position = world.append_events(&[user("e1", 1, "u", "Ada")])[0];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let waiting = runtime.spawn(async move { progress.when_projected(position).await });
    drain(&mut projector);
    assert!(runtime.block_on(waiting).unwrap());
    let never = projector.progress();
    drop(projector);
    let far = millrace_domain::Position { partition: 0, offset: 1_000 };
    assert!(!runtime.block_on(never.when_projected(far)), "false once the projector has ended");
}

#[test]
fn promise_2_a_projector_that_is_killed_between_batches_changes_nothing() {
    let world = World::new();
    let events: Vec<_> =
        (0..100).map(|n| stock(&format!("e{n}"), n, &format!("s{}", n % 7), n, None)).collect();
    world.append_events(&events);
    let small = ProjectorSettings { limits: PollLimits { events_max: 7, bytes_max: 1 << 20 }, ..SETTINGS };
    // A projector that is dropped has fetched, but not committed, what it would have done next.
    for steps in 1..12 {
        let mut projector = world.projector_with(small);
        for _ in 0..steps {
            projector.step().unwrap();
        }
    }
    drain(&mut world.projector());
    assert_eq!(world.tables(), expected_tables(&events));
    assert_eq!(world.count("InventoryAdjusted", "applied"), 100);
    assert_eq!(world.count("InventoryAdjusted", "duplicate"), 0, "checkpoint and rows moved together");
}

#[test]
fn promise_2_the_same_event_id_sent_twice_changes_nothing() {
    let world = World::new();
    let events = [stock("e1", 1, "s", 5, None), order("e2", 2, "o", "u", 5)];
    let mut projector = world.projector();
    world.append_events(&events);
    drain(&mut projector);
    let once = world.tables();
    world.append_events(&events);
    drain(&mut projector);
    assert_eq!(world.tables(), once);
    assert_eq!(world.count("InventoryAdjusted", "duplicate"), 1);
}

#[test]
fn promise_4_broken_records_are_letters_and_their_neighbours_are_projected() {
    let world = World::new();
    let good = [user("e1", 1, "u", "Ada"), stock("e2", 2, "s", 3, None)];
    let broken: [(&str, Option<&str>, &[u8]); 8] = [
        (
            "invalid-json",
            Some("k"),
            b"{\"eventId\": \"invalid\", \"eventType\": \"UserCreated\", \"timestamp\": }",
        ),
        ("invalid-utf8", Some("k"), b"\xff\xfe"),
        ("empty-payload", Some("k"), b""),
        ("unrecognised-shape", Some("k"), b"{}"),
        ("unknown-type", Some("k"), b"{\"eventId\":\"e\",\"eventType\":\"Unknown\",\"timestamp\":\"x\"}"),
        ("missing-key", None, br#"{"id":"o1","user_id":"u","total":1,"timestamp":"2026-10-06T17:00:00Z"}"#),
        (
            "key-mismatch",
            Some("other"),
            br#"{"id":"o1","user_id":"u","total":1,"timestamp":"2026-10-06T17:00:00Z"}"#,
        ),
        (
            "invalid-field",
            Some("o1"),
            br#"{"id":"o1","user_id":"u","total":1e400,"timestamp":"2026-10-06T17:00:00Z"}"#,
        ),
    ];
    world.append_events(&good[..1]);
    world.append(broken.iter().map(|(_, key, payload)| raw(*key, payload)).collect());
    world.append_events(&good[1..]);
    drain(&mut world.projector());
    assert_eq!(world.tables(), expected_tables(&good));
    let letters = world.open_letters();
    for (reason, key, payload) in broken {
        let letter = letters.iter().find(|letter| letter.reason == reason).expect(reason);
        assert_eq!(letter.payload.as_deref(), Some(payload), "the bytes as they came");
        assert_eq!(letter.key.as_deref(), key.map(str::as_bytes));
        assert_eq!(letter.headers.view().get_str("trace"), Some("t-1"));
        assert!(!letter.error.is_empty() && letter.attempts == 1);
    }
    assert_eq!(letters.len(), broken.len());
    assert_eq!(world.metrics.dead_letters.get(), 8);
}

#[test]
fn b03_an_unknown_type_is_not_counted_as_processed() {
    let world = World::new();
    world.append(vec![raw(
        Some("k"),
        br#"{"eventId":"e","eventType":"UnknownEvent","timestamp":"2025-10-20T10:00:00Z"}"#,
    )]);
    drain(&mut world.projector());
    assert_eq!(world.count("unknown", "dead_letter"), 1);
    assert_eq!(world.open_letters()[0].event_type.as_deref(), Some("UnknownEvent"));
}

#[test]
fn promise_4_an_event_that_the_store_refuses_is_found_among_a_thousand() {
    let world = World::new();
    let mut projector = world.projector();
    world.append_events(&[stock("e-full", 0, "full", 1, None)]);
    drain(&mut projector);
    world.sql().execute("UPDATE inventory SET quantity = 9223372036854775807", []).unwrap();
    let mut events: Vec<_> = (0..999).map(|n| order(&format!("o{n}"), n, &format!("o{n}"), "u", n)).collect();
    events.insert(617, stock("e-poison", 1, "full", 1, None));
    world.append_events(&events);
    drain(&mut projector);
    let orders = rows(&world.sql(), "SELECT COUNT(*) FROM orders");
    assert_eq!(orders, ["999"]);
    let letters = world.open_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].reason.as_str(), letters[0].event_id.as_deref()), (REFUSED, Some("e-poison")));
    assert!(!letters[0].causes.is_empty(), "the store's own words are kept");
    assert_eq!(world.count("InventoryAdjusted", "applied"), 1, "the refused one is not counted as applied");
    assert_eq!(world.count("InventoryAdjusted", "dead_letter"), 1, "it is counted by its type");
}

#[test]
fn promise_4_a_store_that_is_away_makes_it_wait_and_no_letter() {
    let world = World::new();
    let mut projector = world.projector();
    drain(&mut projector);
    let events = [stock("e1", 1, "s", 5, None)];
    world.append_events(&events);
    let blocker = world.sql();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..3 {
        assert!(matches!(projector.step().unwrap(), Step::Waiting(_)));
    }
    let reason = projector.progress().state().not_ready_reason().unwrap();
    assert!(reason.contains("read model unavailable") && reason.contains("locked"), "{reason}");
    blocker.execute_batch("ROLLBACK").unwrap();
    drain(&mut projector);
    assert_eq!(projector.progress().state().not_ready_reason(), None);
    assert_eq!(world.tables(), expected_tables(&events));
    assert!(world.open_letters().is_empty());
}

#[test]
fn promise_4_the_breaker_opens_and_is_seen() {
    let world = World::new();
    let mut settings = SETTINGS;
    settings.breaker.failures_max = 2;
    let mut projector = world.projector_with(settings);
    drain(&mut projector);
    world.append_events(&[stock("e1", 1, "s", 5, None)]);
    let blocker = world.sql();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    projector.step().unwrap();
    let Step::Waiting(wait) = projector.step().unwrap() else { panic!("the store is locked") };
    assert!(wait.as_secs() >= 29, "the breaker's time-out, not the backoff: {wait:?}");
    let before = world.metrics.store.operations("apply");
    assert!(matches!(projector.step().unwrap(), Step::Waiting(_)));
    assert_eq!(world.metrics.store.operations("apply"), before, "the store is left alone");
}

#[test]
fn promise_5_a_zombie_is_refused_and_finds_its_way_back() {
    let world = World::new();
    let events: Vec<_> = (0..50).map(|n| stock(&format!("e{n}"), n, "s", 1, None)).collect();
    let mut zombie = world.projector();
    drain(&mut zombie); // it has its partitions and their checkpoints, and now it sleeps
    world.append_events(&events);
    drain(&mut world.projector());
    let before = world.tables();
    assert!(matches!(zombie.step().unwrap(), Step::Fenced));
    assert_eq!(world.tables(), before);
    drain(&mut zombie);
    assert_eq!(world.tables(), expected_tables(&events));
    let more = [stock("e-more", 60, "s", 1, None)];
    world.append_events(&more);
    drain(&mut zombie);
    assert_eq!(world.tables(), expected_tables(&[&events[..], &more].concat()));
}

#[test]
fn a_read_model_that_belongs_to_another_log_is_said_so() {
    let world = World::new();
    drain(&mut world.projector());
    world.sql().execute("UPDATE checkpoints SET next_offset = 500 WHERE partition = 0", []).unwrap();
    let mut projector = world.projector();
    projector.step().unwrap();
    let error = projector.step().unwrap_err().to_string();
    assert!(error.contains("0:500") && error.contains("does not belong to this log"), "{error}");
}

#[test]
fn letters_are_redriven_exactly_once_and_discarded() {
    let world = World::new();
    let mut projector = world.projector();
    world.append_events(&[stock("e-full", 0, "full", 1, None)]);
    drain(&mut projector);
    world.sql().execute("UPDATE inventory SET quantity = 9223372036854775807", []).unwrap();
    world.append_events(&[stock("e-late", 1, "full", 1, None)]);
    world.append(vec![raw(Some("k"), b"never an event")]);
    drain(&mut projector);
    let letters = world.open_letters();
    let late = letters.iter().find(|letter| letter.reason == REFUSED).unwrap();
    world.redrive(late);
    drain(&mut projector);
    let again = world.open_letters().into_iter().find(|letter| letter.reason == REFUSED).unwrap();
    assert_eq!(again.attempts, 2, "a letter that fails again returns, and it is known that it does");
    world.sql().execute("UPDATE inventory SET quantity = 1", []).unwrap();
    world.redrive(&again);
    world.redrive(&again); // as if the process had died before it could close the letter
    drain(&mut projector);
    assert!(
        world.tables().iter().any(|row| row.starts_with("inventory | full | 2 |")),
        "{:?}",
        world.tables()
    );
    let rest = world.open_letters();
    assert_eq!(rest.len(), 1);
    let letters = world.letters();
    assert_eq!(world.wait(letters.groups(&LetterFilter::default())).unwrap()[0].count, 1);
    let close = || world.wait(letters.close(&[rest[0].id()], Resolution::Discarded)).unwrap();
    assert_eq!((close(), close()), (1, 0));
    assert!(world.open_letters().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Events whose payload is damaged die, and are sent again, repaired, at any later time: the tables are the same.
    #[test]
    fn late_redrives_do_not_matter(events in oracle::events(), damaged in any::<prop::sample::Index>(), limit in 1..9_usize) {
        let world = World::new();
        let settings = ProjectorSettings { limits: PollLimits { events_max: limit, bytes_max: 1 << 20 }, ..SETTINGS };
        let mut projector = world.projector_with(settings);
        let damaged = damaged.index(events.len());
        let mut records: Vec<_> = events.iter().map(millrace_domain::Envelope::to_record).collect();
        let whole = std::mem::replace(&mut records[damaged].payload, b"{damaged".to_vec());
        world.append(records);
        drain(&mut projector);
        let mut letter = world.open_letters().remove(0);
        letter.payload = Some(whole);
        world.redrive(&letter);
        drain(&mut projector);
        prop_assert_eq!(world.tables(), expected_tables(&events));
        prop_assert!(world.open_letters().is_empty());
    }
}
