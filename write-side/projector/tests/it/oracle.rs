//! Random events on the same few keys; the test kit's oracle computes the tables that they must give.

use millrace_domain::Envelope;
use millrace_domain::event::PaymentStatus;
pub(crate) use millrace_testkit::oracle::{expected_tables, order, payment, stock, user};
use proptest::prelude::*;

/// Events about few things at few times, so that they meet: any of them may be the newest, or of the same time.
pub(crate) fn events() -> impl Strategy<Value = Vec<Envelope>> {
    let status =
        prop_oneof![Just(PaymentStatus::Pending), Just(PaymentStatus::Settled), Just(PaymentStatus::Failed)];
    let reported = proptest::option::of(-100..100_i64);
    let one = (0..4, 0..4_i64, 0..3, 0..3, -50..50_i64, status, reported);
    proptest::collection::vec(one, 1..40).prop_map(|drawn| {
        let event = |(number, (kind, at, a, b, n, status, reported)): (usize, _)| {
            // Not in the order of drawing: the id decides between events of the same time.
            let id = format!("e-{:02}-{number}", (number * 7) % 11);
            match kind {
                0 => user(&id, at, &format!("u-{a}"), &format!("name {number}")),
                1 => order(&id, at, &format!("o-{a}"), &format!("u-{b}"), i64::abs(n)),
                2 => payment(&id, at, &format!("o-{a}"), i64::abs(n), status),
                _ => stock(&id, at, &format!("s-{a}"), n, reported),
            }
        };
        drawn.into_iter().enumerate().map(event).collect()
    })
}
