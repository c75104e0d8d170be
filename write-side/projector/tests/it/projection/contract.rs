//! What every projection promises, whichever store it writes. Each test is given an empty one.

use millrace_domain::event::Event;
use millrace_domain::event::PaymentStatus::{Failed, Pending, Settled};
use millrace_domain::{Envelope, Timestamp};
use millrace_projector::projection::ApplyError;

use super::fixture::Store;
use crate::oracle::{expected_tables, order, payment, stock, user};

/// Applies the events in all orders of a few, each in one batch and each in batches of one.
fn in_any_order(mut store: Store, events: &[Envelope], row: &str) -> Store {
    let mut orders = vec![events.to_vec()];
    orders.push(events.iter().rev().cloned().collect());
    let mut rotated = events.to_vec();
    rotated.rotate_left(1);
    orders.push(rotated);
    for events in orders {
        store = store.emptied();
        store.apply(&events);
        let whole = store.tables();
        store = store.emptied();
        for event in &events {
            store.apply(std::slice::from_ref(event));
            store.apply(std::slice::from_ref(event));
        }
        assert_eq!(whole, store.tables());
        assert_eq!(whole, expected_tables(&events));
        assert!(whole.iter().any(|line| line.contains(row)), "{row} in {whole:?}");
    }
    store.emptied()
}

pub(crate) fn the_newest_user_wins_by_time_then_id(store: Store) {
    let events = [user("e1", 1, "u", "old"), user("e3", 2, "u", "new"), user("e2", 2, "u", "same time")];
    in_any_order(store, &events, "| new |");
}

pub(crate) fn b04_a_settled_payment_stays_settled_and_is_one_row(store: Store) {
    let events =
        [order("e1", 1, "o", "u", 5), payment("e2", 2, "o", 5, Settled), order("e3", 3, "o", "u", 5)];
    in_any_order(store, &events, "| SETTLED |");
    let one = expected_tables(&events).iter().filter(|row| row.starts_with("payment")).count();
    assert_eq!(one, 1);
}

pub(crate) fn the_newest_end_of_a_payment_wins(store: Store) {
    let events = [
        payment("e1", 9, "o", 5, Pending),
        payment("e2", 2, "o", 5, Settled),
        payment("e3", 3, "o", 5, Failed),
    ];
    in_any_order(store, &events, "| FAILED |");
}

pub(crate) fn b07_an_order_may_come_before_its_user_and_a_payment_before_its_order(store: Store) {
    let events = [payment("e1", 3, "o", 5, Settled), order("e2", 2, "o", "u", 5), user("e3", 1, "u", "Ada")];
    in_any_order(store, &events, "order | o | u |");
}

pub(crate) fn b01_redelivered_inventory_counts_once(mut store: Store) {
    let events = [stock("e1", 1, "s", 5, None), stock("e2", 2, "s", -2, None)];
    store = in_any_order(store, &events, "inventory | s | 3 |");
    let twice = [events[0].clone(), events[0].clone(), events[1].clone()];
    let applied = store.apply(&twice);
    assert_eq!((applied.events[3], applied.duplicates[3]), (3, 1), "a duplicate inside one batch");
    let applied = store.apply(&events);
    assert_eq!(applied.duplicates[3], 2, "a duplicate in a later batch");
}

pub(crate) fn b10_an_older_report_does_not_overwrite_the_sum_nor_a_newer_report(store: Store) {
    let events = [stock("e1", 2, "s", -5, Some(95)), stock("e2", 1, "s", 100, Some(100))];
    in_any_order(store, &events, "inventory | s | 95 | 95 |");
}

pub(crate) fn the_fence_refuses_a_batch_that_does_not_start_at_it(mut store: Store) {
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

pub(crate) fn the_inbox_forgets_what_is_old_slice_by_slice_and_nothing_else(mut store: Store) {
    let events: Vec<_> = (0..25).map(|n| stock(&format!("e{n:02}"), n, "s", 1, None)).collect();
    store.apply(&events);
    store.make_inbox_old("e12");
    let long_ago = Timestamp::from_micros(2_000).unwrap();
    let mut prune = |older_than| {
        let mut removed = 0;
        loop {
            let pruned = store.projection.prune_inbox(older_than, 10).unwrap();
            assert!(pruned.removed <= 10, "never more than a slice");
            removed += pruned.removed;
            if !pruned.more {
                return removed;
            }
        }
    };
    assert_eq!(prune(Timestamp::from_micros(1_000).unwrap()), 0, "not older");
    assert_eq!(prune(long_ago), 12);
    assert_eq!(prune(long_ago), 0);
    let left = store.tables();
    assert_eq!(left.iter().filter(|row| row.starts_with("inbox")).count(), 13);
    assert_eq!(store.apply(&events[12..]).duplicates[3], 13, "what is not old is remembered");
    assert!(store.tables().iter().any(|row| row.starts_with("inventory | s | 25 |")));
}

pub(crate) fn a_sum_beyond_64_bits_is_refused_whole(mut store: Store) {
    store.apply(&[stock("e1", 1, "s", 5, None)]);
    store.execute("UPDATE inventory SET quantity = 9223372036854775807");
    let before = store.tables();
    let refused = store.apply_from(Some(1), 3, &[user("e2", 1, "u", "Ada"), stock("e3", 1, "s", 1, None)]);
    assert!(matches!(refused, Err(ApplyError::Poison(_))), "{refused:?}");
    assert_eq!(store.tables(), before);
}

pub(crate) fn ids_that_differ_in_case_are_two(mut store: Store) {
    let events = [
        user("e1", 1, "u-A", "Ada"),
        user("E1", 1, "u-a", "ada"),
        order("e2", 2, "o-A", "u-A", 5),
        order("E2", 2, "o-a", "u-a", 6),
        payment("e3", 3, "o-A", 5, Settled),
        stock("e4", 4, "s-A", 1, None),
        stock("E4", 4, "s-a", 2, None),
    ];
    store.apply(&events);
    assert_eq!(store.tables(), expected_tables(&events));
}

pub(crate) fn values_at_their_limits_are_stored_exactly(mut store: Store) {
    let long = "i".repeat(64);
    let first = Timestamp::parse("0001-01-01T00:00:00Z").unwrap().micros();
    let last = Timestamp::parse("9999-12-31T23:59:59.999999Z").unwrap().micros();
    let events = [
        // 200 UTF-16 units of two each; then the two ways to write the same letter; then what looks like SQL.
        user("e1", first, &long, &"👩".repeat(100)),
        user("e2", last, "u2", "e\u{301}"),
        user("e3", 3, "u3", "\u{e9}"),
        user("e4", 4, "u4", "'; DROP TABLE users;--"),
        user("e5", 5, "u5", "100 % [a-z] \"quoted\" \\"),
        user("e6", 6, "u6", "blank at the end "),
        order("e7", first, "o1", "u2", i64::MAX),
        order(&long.replace('i', "e"), last, "o2", "u3", 1),
        payment("e9", last, "o1", i64::MAX, Failed),
        stock("e10", first, "s1", -1_000_000_000, Some(i64::MAX)),
        stock("e11", last, "s2", 1_000_000_000, Some(i64::MIN)),
    ];
    store.apply(&events);
    assert_eq!(store.tables(), expected_tables(&events));
}

pub(crate) fn the_lines_of_an_order_are_those_of_its_version(mut store: Store) {
    let mut cut = order("e2", 2, "o", "u", 5);
    let Event::OrderPlaced(placed) = &mut cut.event else { unreachable!() };
    placed.items.clear();
    for events in [
        [order("e1", 1, "o", "u", 5), cut.clone(), order("e3", 3, "o", "u", 7)],
        [order("e4", 4, "o", "u", 8), order("e1", 1, "o", "u", 5), cut.clone()],
    ] {
        store = in_any_order(store, &events, "SKU-1");
    }
    store.apply(&[order("e1", 1, "o", "u", 5)]);
    store.apply(&[cut.clone()]);
    assert_eq!(store.tables(), expected_tables(&[cut]), "no line of the older version is left");
}
