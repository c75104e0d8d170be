//! The expected tables, computed from events in the simplest possible way, and functions that create events. Shares no
//! code with the projections that it verifies.

use std::collections::{BTreeMap, BTreeSet};

use millrace_domain::event::{
    Event, InventoryAdjusted, OrderItem, OrderPlaced, PaymentSettled, PaymentStatus, UserCreated,
};
use millrace_domain::id::{EventId, OrderId, PaymentId, Sku, UserId};
use millrace_domain::text::{Currency, OrderStatus, Text};
use millrace_domain::{Amount, Envelope, Timestamp};

/// The rows of all tables, in the text form that the tests read.
pub fn expected_tables(events: &[Envelope]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut expected = Expected::default();
    for envelope in events.iter().filter(|envelope| seen.insert(&envelope.event_id)) {
        match &envelope.event {
            Event::UserCreated(user) => expected.user(envelope, user),
            Event::OrderPlaced(order) => expected.order(envelope, order),
            Event::PaymentSettled(payment) => expected.payment(envelope, payment),
            Event::InventoryAdjusted(adjustment) => expected.adjustment(envelope, adjustment),
        }
    }
    expected.rows()
}

/// The rows by key, each with the version that decides between two events.
#[derive(Default)]
struct Expected<'a> {
    users: BTreeMap<&'a str, ((i64, &'a str), String)>,
    orders: BTreeMap<&'a str, ((i64, &'a str), String)>,
    payments: BTreeMap<&'a str, ((bool, i64, &'a str), String)>,
    inventory: BTreeMap<&'a str, Stock<'a>>,
    inbox: BTreeSet<String>,
}

#[derive(Default)]
struct Stock<'a> {
    quantity: i64,
    report: Option<(i64, &'a str, i64)>,
    updated_at: Option<i64>,
}

fn version(envelope: &Envelope) -> (i64, &str) {
    (envelope.occurred_at.micros(), envelope.event_id.as_str())
}

impl<'a> Expected<'a> {
    fn user(&mut self, envelope: &'a Envelope, user: &'a UserCreated) {
        let (at, id) = version(envelope);
        let row = format!("user | {} | {} | {} | {at} | {id}", user.user_id, user.email, user.name);
        keep_greatest(&mut self.users, user.user_id.as_str(), ((at, id), row));
    }

    fn order(&mut self, envelope: &'a Envelope, order: &'a OrderPlaced) {
        let (at, id) = version(envelope);
        let items = serde_json::to_string(&order.items).unwrap();
        let (order_id, amount, currency) = (&order.order_id, order.amount.units(), order.currency.as_str());
        let (user_id, status, placed_at) = (&order.user_id, order.status.as_str(), order.placed_at.micros());
        let row = format!(
            "order | {order_id} | {user_id} | {amount} | {currency} | {status} | {placed_at} | {items} | {at} | {id}"
        );
        keep_greatest(&mut self.orders, order_id.as_str(), ((at, id), row));
        let row = format!("payment | {order_id} | - | {amount} | {currency} | - | PENDING | - | {at} | {id}");
        keep_greatest(&mut self.payments, order_id.as_str(), ((false, at, id), row));
    }

    fn payment(&mut self, envelope: &'a Envelope, payment: &'a PaymentSettled) {
        let (at, id) = version(envelope);
        let ended = payment.status != PaymentStatus::Pending;
        let settled_at = if ended { payment.settled_at.micros().to_string() } else { "-".to_owned() };
        let (order_id, payment_id, status) =
            (&payment.order_id, &payment.payment_id, payment.status.as_str());
        let (amount, currency) = (payment.amount.units(), payment.currency.as_str());
        let method = payment.method.as_ref().map_or("-", |method| method.as_str());
        let row = format!(
            "payment | {order_id} | {payment_id} | {amount} | {currency} | {method} | {status} | {settled_at} | {at} | {id}"
        );
        keep_greatest(&mut self.payments, order_id.as_str(), ((ended, at, id), row));
    }

    fn adjustment(&mut self, envelope: &'a Envelope, adjustment: &'a InventoryAdjusted) {
        let (at, id) = version(envelope);
        self.inbox.insert(format!("inbox | {id}"));
        let stock = self.inventory.entry(adjustment.sku.as_str()).or_default();
        stock.quantity += adjustment.delta;
        stock.report = stock.report.max(adjustment.reported_quantity.map(|quantity| (at, id, quantity)));
        stock.updated_at = stock.updated_at.max(Some(at));
    }

    fn rows(self) -> Vec<String> {
        let inventory = self.inventory.into_iter().map(|(sku, stock)| {
            let Stock { quantity, report, updated_at } = stock;
            let report = report
                .map_or("- | - | -".to_owned(), |(at, by, quantity)| format!("{quantity} | {at} | {by}"));
            let updated_at = updated_at.expect("each entry has an adjustment");
            format!("inventory | {sku} | {quantity} | {report} | {updated_at}")
        });
        let users = self.users.into_values().map(|(_, row)| row);
        let orders = self.orders.into_values().map(|(_, row)| row);
        let payments = self.payments.into_values().map(|(_, row)| row);
        users.chain(orders).chain(payments).chain(inventory).chain(self.inbox).collect()
    }
}

fn keep_greatest<'a, V: Ord>(rows: &mut BTreeMap<&'a str, (V, String)>, key: &'a str, row: (V, String)) {
    match rows.get(key) {
        Some(kept) if kept.0 >= row.0 => {}
        _ => {
            rows.insert(key, row);
        }
    }
}

/// `at` is in microseconds since 1970, here and below.
pub fn user(id: &str, at: i64, user: &str, name: &str) -> Envelope {
    envelope(
        id,
        at,
        Event::UserCreated(UserCreated {
            user_id: UserId::parse(user).unwrap(),
            email: Text::parse_address("ada@example.com").unwrap(),
            name: Text::parse(name).unwrap(),
        }),
    )
}

/// `amount` is in ten-thousandths.
pub fn order(id: &str, at: i64, order: &str, user: &str, amount: i64) -> Envelope {
    envelope(
        id,
        at,
        Event::OrderPlaced(OrderPlaced {
            order_id: OrderId::parse(order).unwrap(),
            user_id: UserId::parse(user).unwrap(),
            amount: Amount::from_units(amount).unwrap(),
            currency: Currency::USD,
            status: OrderStatus::PLACED,
            placed_at: time(at),
            items: vec![OrderItem {
                sku: Sku::parse("SKU-1").unwrap(),
                quantity: 1,
                unit_price: Amount::from_units(amount).unwrap(),
            }],
        }),
    )
}

/// `amount` is in ten-thousandths.
pub fn payment(id: &str, at: i64, order: &str, amount: i64, status: PaymentStatus) -> Envelope {
    envelope(
        id,
        at,
        Event::PaymentSettled(PaymentSettled {
            payment_id: PaymentId::parse(&format!("pay-{id}")).unwrap(),
            order_id: OrderId::parse(order).unwrap(),
            amount: Amount::from_units(amount).unwrap(),
            currency: Currency::USD,
            method: None,
            status,
            settled_at: time(at),
        }),
    )
}

pub fn stock(id: &str, at: i64, sku: &str, delta: i64, reported: Option<i64>) -> Envelope {
    envelope(
        id,
        at,
        Event::InventoryAdjusted(InventoryAdjusted {
            sku: Sku::parse(sku).unwrap(),
            delta,
            reason: None,
            reported_quantity: reported,
        }),
    )
}

fn envelope(id: &str, at: i64, event: Event) -> Envelope {
    Envelope { event_id: EventId::parse(id).unwrap(), occurred_at: time(at), correlation_id: None, event }
}

fn time(at: i64) -> Timestamp {
    Timestamp::from_micros(at).unwrap()
}
