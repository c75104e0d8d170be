//! The contract of the projection port. Promise 3 (order does not matter) is proven here.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use shared::Envelope;
use shared::event::PaymentStatus::{Failed, Pending, Settled};
use shared::settings::ReadModelUrl;
use write_side::projection::{Applied, ApplyError, Batch, Projection, Span};

use crate::oracle::{self, expected_tables, order, payment, stock, user};
use crate::world::tables;

/// A read model of its own, and its fence.
struct Store {
    dir: tempfile::TempDir,
    projection: Projection,
    from: Option<i64>,
}

impl Store {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = ReadModelUrl::Sqlite(dir.path().join("read_model.db"));
        let (projection, steps) = Projection::open(&url).unwrap();
        assert_eq!(steps, shared::sqlite::READ_MODEL_SCHEMA.len(), "a new file has all to come");
        Self { dir, projection, from: None }
    }

    fn apply(&mut self, events: &[Envelope]) -> Applied {
        let next = self.from.unwrap_or(0) + i64::try_from(events.len()).unwrap();
        let applied = self.apply_from(self.from, next, events).unwrap();
        self.from = Some(next);
        applied
    }

    fn apply_from(
        &mut self,
        from: Option<i64>,
        next: i64,
        events: &[Envelope],
    ) -> Result<Applied, ApplyError> {
        let spans = [Span { partition: 0, from, next }];
        self.projection.apply(&Batch {
            topic: "events",
            spans: &spans,
            events: events.iter().collect(),
            letters: Vec::new(),
        })
    }

    fn tables(&self) -> Vec<String> {
        tables(&self.dir.path().join("read_model.db"))
    }
}

/// Applies the events in all orders of a few, each in one batch and each in batches of one.
fn in_any_order(events: &[Envelope], row: &str) {
    let mut orders = vec![events.to_vec()];
    orders.push(events.iter().rev().cloned().collect());
    let mut rotated = events.to_vec();
    rotated.rotate_left(1);
    orders.push(rotated);
    for events in orders {
        let mut whole = Store::new();
        whole.apply(&events);
        let mut single = Store::new();
        for event in &events {
            single.apply(std::slice::from_ref(event));
            single.apply(std::slice::from_ref(event));
        }
        assert_eq!(whole.tables(), single.tables());
        assert_eq!(whole.tables(), expected_tables(&events));
        assert!(whole.tables().iter().any(|line| line.contains(row)), "{row} in {:?}", whole.tables());
    }
}

#[test]
fn the_newest_user_wins_by_time_then_id() {
    let events = [user("e1", 1, "u", "old"), user("e3", 2, "u", "new"), user("e2", 2, "u", "same time")];
    in_any_order(&events, "| new |");
}

#[test]
fn b04_a_settled_payment_stays_settled_and_is_one_row() {
    let events =
        [order("e1", 1, "o", "u", 5), payment("e2", 2, "o", 5, Settled), order("e3", 3, "o", "u", 5)];
    in_any_order(&events, "| SETTLED |");
    let one = expected_tables(&events).iter().filter(|row| row.starts_with("payment")).count();
    assert_eq!(one, 1);
}

#[test]
fn the_newest_end_of_a_payment_wins() {
    let events = [
        payment("e1", 9, "o", 5, Pending),
        payment("e2", 2, "o", 5, Settled),
        payment("e3", 3, "o", 5, Failed),
    ];
    in_any_order(&events, "| FAILED |");
}

#[test]
fn b07_an_order_may_come_before_its_user_and_a_payment_before_its_order() {
    let events = [payment("e1", 3, "o", 5, Settled), order("e2", 2, "o", "u", 5), user("e3", 1, "u", "Ada")];
    in_any_order(&events, "order | o | u |");
}

#[test]
fn b01_redelivered_inventory_counts_once() {
    let events = [stock("e1", 1, "s", 5, None), stock("e2", 2, "s", -2, None)];
    in_any_order(&events, "inventory | s | 3 |");
    let mut store = Store::new();
    let twice = [events[0].clone(), events[0].clone(), events[1].clone()];
    let applied = store.apply(&twice);
    assert_eq!((applied.events[3], applied.duplicates[3]), (3, 1), "a duplicate inside one batch");
    let applied = store.apply(&events);
    assert_eq!(applied.duplicates[3], 2, "a duplicate in a later batch");
}

#[test]
fn b10_an_older_report_does_not_overwrite_the_sum_nor_a_newer_report() {
    let events = [stock("e1", 2, "s", -5, Some(95)), stock("e2", 1, "s", 100, Some(100))];
    in_any_order(&events, "inventory | s | 95 | 95 |");
}

#[test]
fn the_fence_refuses_who_does_not_stand_at_it() {
    let mut store = Store::new();
    let event = [stock("e1", 1, "s", 5, None)];
    store.apply(&event);
    let before = store.tables();
    let other = [stock("e9", 1, "s", 5, None)];
    for (from, next) in [(None, 1), (Some(0), 2), (Some(2), 3)] {
        let refused = store.apply_from(from, next, &other);
        assert!(matches!(refused, Err(ApplyError::Fenced { partition: 0 })), "{from:?}: {refused:?}");
    }
    assert_eq!(store.tables(), before, "nothing of a refused batch is there");
    let checkpoints = store.projection.checkpoints("events").unwrap();
    assert_eq!(checkpoints.into_iter().collect::<Vec<_>>(), [(0, 1)]);
    assert!(store.projection.checkpoints("other").unwrap().is_empty());
}

#[test]
fn a_sum_beyond_64_bits_is_refused_whole() {
    let mut store = Store::new();
    store.apply(&[stock("e1", 1, "s", 5, None)]);
    let sql = rusqlite::Connection::open(store.dir.path().join("read_model.db")).unwrap();
    sql.execute("UPDATE inventory SET quantity = 9223372036854775807", []).unwrap();
    let before = store.tables();
    let refused = store.apply_from(Some(1), 3, &[user("e2", 1, "u", "Ada"), stock("e3", 1, "s", 1, None)]);
    assert!(matches!(refused, Err(ApplyError::Poison(_))), "{refused:?}");
    assert_eq!(store.tables(), before);
}

/// A way to deliver events: which come in which order, some twice, cut into batches.
fn delivery() -> impl Strategy<Value = (Vec<Envelope>, Vec<Envelope>, Vec<usize>)> {
    oracle::events().prop_flat_map(|events| {
        let repeated = proptest::sample::subsequence(events.clone(), 0..=events.len());
        let all = repeated.prop_map({
            let events = events.clone();
            move |mut again| {
                again.extend(events.clone());
                again
            }
        });
        let cuts = proptest::collection::vec(1..8_usize, 1..80);
        (Just(events), all.prop_shuffle(), cuts)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn order_repetition_and_batching_do_not_matter((events, delivered, cuts) in delivery()) {
        let mut store = Store::new();
        let mut rest = &delivered[..];
        let mut cuts = cuts.into_iter().cycle();
        while !rest.is_empty() {
            let cut = cuts.next().unwrap_or(1).min(rest.len());
            let (batch, later) = rest.split_at(cut);
            store.apply(batch);
            rest = later;
        }
        let expected = expected_tables(&events);
        prop_assert_eq!(store.tables(), expected);
        Ok::<(), TestCaseError>(())?;
    }
}
