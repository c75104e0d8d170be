//! The projection's contract, over SQLite always and over a live SQL Server when `MSSQL_TEST_URL` names one. Promise 3
//! (order does not matter) is proven here.

mod contract;
mod fixture;
mod mssql;

use millrace_domain::Envelope;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};

use crate::oracle::{self, expected_tables};
use fixture::Store;

contract_tests![
    the_newest_user_wins_by_time_then_id,
    b04_a_settled_payment_stays_settled_and_is_one_row,
    the_newest_end_of_a_payment_wins,
    b07_an_order_may_come_before_its_user_and_a_payment_before_its_order,
    b01_redelivered_inventory_counts_once,
    b10_an_older_report_does_not_overwrite_the_sum_nor_a_newer_report,
    the_fence_refuses_a_batch_that_does_not_start_at_it,
    the_inbox_forgets_what_is_old_slice_by_slice_and_nothing_else,
    a_sum_beyond_64_bits_is_refused_whole,
    ids_that_differ_in_case_are_two,
    values_at_their_limits_are_stored_exactly,
    the_lines_of_an_order_are_those_of_its_version,
];

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

/// Delivers in many ways and compares with the oracle.
fn order_repetition_and_batching_do_not_matter(store: Store, cases: u32) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let store = std::cell::RefCell::new(Some(store));
    let result = TestRunner::new(config).run(&delivery(), |(events, delivered, cuts)| {
        let mut emptied = store.take().unwrap().emptied();
        let mut rest = &delivered[..];
        let mut cuts = cuts.into_iter().cycle();
        while !rest.is_empty() {
            let cut = cuts.next().unwrap_or(1).min(rest.len());
            let (batch, later) = rest.split_at(cut);
            emptied.apply(batch);
            rest = later;
        }
        let found = emptied.tables();
        store.replace(Some(emptied));
        prop_assert_eq!(found, expected_tables(&events));
        Ok::<(), TestCaseError>(())
    });
    result.unwrap();
}

#[test]
fn promise_3_on_sqlite() {
    order_repetition_and_batching_do_not_matter(Store::sqlite(), 128);
}

#[test]
fn promise_3_on_sql_server() {
    if let Some(store) = Store::mssql() {
        order_repetition_and_batching_do_not_matter(store, 32);
    }
}
