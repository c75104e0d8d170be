//! Coalescing: reduces a batch of events to one change per row. Pure.
//!
//! Changes are sorted by key. That groups the events of a row without a hash table, and the store walks its B-trees from
//! left to right.

use millrace_domain::event::{Event, InventoryAdjusted, OrderPlaced, PaymentStatus, UserCreated};
use millrace_domain::id::{EventId, OrderId, PaymentId};
use millrace_domain::text::{Currency, Method};
use millrace_domain::{Amount, Envelope, Timestamp};

/// The changes of a batch.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    /// The newest event of each user.
    pub users: Vec<(&'a Envelope, &'a UserCreated)>,
    /// The newest event of each order.
    pub orders: Vec<(&'a Envelope, &'a OrderPlaced)>,
    /// The winning state of each order's payment.
    pub payments: Vec<Payment<'a>>,
    /// Every adjustment, each event id once.
    pub adjustments: Vec<(&'a Envelope, &'a InventoryAdjusted)>,
    /// Adjustments left out because their event id is in the batch already.
    pub duplicate_adjustments: u64,
}

/// A state of an order's payment: opened by the order, ended by a settlement.
#[derive(Debug, Clone, Copy)]
pub struct Payment<'a> {
    pub order_id: &'a OrderId,
    /// `None` while only the order is known.
    pub payment_id: Option<&'a PaymentId>,
    pub amount: Amount,
    pub currency: Currency,
    pub method: Option<&'a Method>,
    pub status: PaymentStatus,
    /// When it ended.
    pub settled_at: Option<Timestamp>,
    /// First half of the version.
    pub occurred_at: Timestamp,
    /// Second half of the version.
    pub event_id: &'a EventId,
}

impl<'a> Changes<'a> {
    /// The changes of these events; their order does not matter.
    pub fn of(events: &[&'a Envelope]) -> Self {
        let mut changes = Self::default();
        for envelope in events {
            match &envelope.event {
                Event::UserCreated(user) => changes.users.push((envelope, user)),
                Event::OrderPlaced(order) => {
                    changes.payments.push(opened(envelope, order));
                    changes.orders.push((envelope, order));
                }
                Event::PaymentSettled(payment) => changes.payments.push(Payment {
                    order_id: &payment.order_id,
                    payment_id: Some(&payment.payment_id),
                    amount: payment.amount,
                    currency: payment.currency,
                    method: payment.method.as_ref(),
                    status: payment.status,
                    settled_at: (payment.status != PaymentStatus::Pending).then_some(payment.settled_at),
                    occurred_at: envelope.occurred_at,
                    event_id: &envelope.event_id,
                }),
                Event::InventoryAdjusted(adjustment) => changes.adjustments.push((envelope, adjustment)),
            }
        }
        keep_newest(&mut changes.users, |(_, user)| &user.user_id, |(envelope, _)| version(envelope));
        keep_newest(&mut changes.orders, |(_, order)| &order.order_id, |(envelope, _)| version(envelope));
        keep_newest(&mut changes.payments, |payment| payment.order_id, Payment::rank);
        let before = changes.adjustments.len();
        keep_newest(
            &mut changes.adjustments,
            |(envelope, _)| &envelope.event_id,
            |(envelope, _)| version(envelope),
        );
        changes.duplicate_adjustments = (before - changes.adjustments.len()) as u64;
        changes
    }
}

/// The payment that an order opens.
fn opened<'a>(envelope: &'a Envelope, order: &'a OrderPlaced) -> Payment<'a> {
    Payment {
        order_id: &order.order_id,
        payment_id: None,
        amount: order.amount,
        currency: order.currency,
        method: None,
        status: PaymentStatus::Pending,
        settled_at: None,
        occurred_at: envelope.occurred_at,
        event_id: &envelope.event_id,
    }
}

impl<'a> Payment<'a> {
    /// An ended payment beats an open one, then the newer beats the older.
    fn rank(self) -> (bool, Timestamp, &'a EventId) {
        (self.status != PaymentStatus::Pending, self.occurred_at, self.event_id)
    }
}

fn version(envelope: &Envelope) -> (Timestamp, &EventId) {
    (envelope.occurred_at, &envelope.event_id)
}

/// Sorts by key and keeps, for each, the change of the highest version.
///
/// The stable sort merges runs that are sorted already: ids of our own are ordered by time, so each partition is one.
fn keep_newest<T: Copy, K: Ord, V: Ord>(
    changes: &mut Vec<T>,
    key: impl Fn(T) -> K,
    version: impl Fn(T) -> V,
) {
    changes.sort_by(|a, b| key(*a).cmp(&key(*b)).then_with(|| version(*b).cmp(&version(*a))));
    changes.dedup_by(|later, kept| key(*later) == key(*kept));
}
