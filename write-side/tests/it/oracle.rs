//! What the tables must hold, computed from the events in the plainest way there is, and events to compute it from.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use shared::event::{
    Event, InventoryAdjusted, OrderItem, OrderPlaced, PaymentSettled, PaymentStatus, UserCreated,
};
use shared::id::{EventId, OrderId, PaymentId, Sku, UserId};
use shared::text::{Currency, OrderStatus, Text};
use shared::{Amount, Envelope, Timestamp};

/// The rows of all tables, in the form of [`crate::world::tables`].
pub(crate) fn expected_tables(events: &[Envelope]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let events: Vec<_> = events.iter().filter(|e| seen.insert(&e.event_id)).collect();
    let mut users = BTreeMap::new();
    let mut orders = BTreeMap::new();
    let mut payments = BTreeMap::new();
    let mut inventory: BTreeMap<&str, (i64, Option<(i64, &str, i64)>, i64)> = BTreeMap::new();
    let mut inbox = BTreeSet::new();
    for envelope in events {
        let (at, id) = (envelope.occurred_at.micros(), envelope.event_id.as_str());
        match &envelope.event {
            Event::UserCreated(user) => {
                let row = format!(
                    "user | {} | {} | {} | {at} | {id}",
                    user.user_id, user.email, user.name
                );
                keep_greatest(&mut users, user.user_id.as_str(), ((at, id), row));
            }
            Event::OrderPlaced(o) => {
                let items = serde_json::to_string(&o.items).unwrap();
                let (order_id, amount, currency) = (&o.order_id, o.amount.units(), o.currency.as_str());
                let row = format!(
                    "order | {order_id} | {} | {amount} | {currency} | {} | {} | {items} | {at} | {id}",
                    o.user_id,
                    o.status.as_str(),
                    o.placed_at.micros(),
                );
                keep_greatest(&mut orders, order_id.as_str(), ((at, id), row));
                let row = format!(
                    "payment | {order_id} | - | {amount} | {currency} | - | PENDING | - | {at} | {id}"
                );
                keep_greatest(&mut payments, order_id.as_str(), ((false, at, id), row));
            }
            Event::PaymentSettled(p) => {
                let ended = p.status != PaymentStatus::Pending;
                let settled_at = if ended {
                    p.settled_at.micros().to_string()
                } else {
                    "-".to_owned()
                };
                let row = format!(
                    "payment | {} | {} | {} | {} | - | {} | {settled_at} | {at} | {id}",
                    p.order_id,
                    p.payment_id,
                    p.amount.units(),
                    p.currency.as_str(),
                    p.status.as_str(),
                );
                keep_greatest(&mut payments, p.order_id.as_str(), ((ended, at, id), row));
            }
            Event::InventoryAdjusted(a) => {
                inbox.insert(format!("inbox | {id}"));
                let stock = inventory.entry(a.sku.as_str()).or_insert((0, None, i64::MIN));
                stock.0 += a.delta;
                stock.1 = stock
                    .1
                    .max(a.reported_quantity.map(|quantity| (at, id, quantity)));
                stock.2 = stock.2.max(at);
            }
        }
    }
    let inventory = inventory
        .into_iter()
        .map(|(sku, (quantity, report, updated_at))| match report {
            Some((at, by, reported)) => {
                format!("inventory | {sku} | {quantity} | {reported} | {at} | {by} | {updated_at}")
            }
            None => format!("inventory | {sku} | {quantity} | - | - | - | {updated_at}"),
        });
    let winners = users
        .into_values()
        .map(|(_, row)| row)
        .chain(orders.into_values().map(|(_, row)| row));
    winners
        .chain(payments.into_values().map(|(_, row)| row))
        .chain(inventory)
        .chain(inbox)
        .collect()
}

fn keep_greatest<'a, V: Ord>(rows: &mut BTreeMap<&'a str, (V, String)>, key: &'a str, row: (V, String)) {
    match rows.get(key) {
        Some(kept) if kept.0 >= row.0 => {}
        _ => {
            rows.insert(key, row);
        }
    }
}

pub(crate) fn user(id: &str, at: i64, user: &str, name: &str) -> Envelope {
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

pub(crate) fn order(id: &str, at: i64, order: &str, user: &str, amount: i64) -> Envelope {
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

pub(crate) fn payment(id: &str, at: i64, order: &str, amount: i64, status: PaymentStatus) -> Envelope {
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

pub(crate) fn stock(id: &str, at: i64, sku: &str, delta: i64, reported: Option<i64>) -> Envelope {
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
    Envelope {
        event_id: EventId::parse(id).unwrap(),
        occurred_at: time(at),
        correlation_id: None,
        event,
    }
}

fn time(at: i64) -> Timestamp {
    Timestamp::from_micros(at).unwrap()
}

/// Events about few things at few times, so that they meet: any of them may be the newest, or of the same time.
pub(crate) fn events() -> impl Strategy<Value = Vec<Envelope>> {
    let status = prop_oneof![
        Just(PaymentStatus::Pending),
        Just(PaymentStatus::Settled),
        Just(PaymentStatus::Failed)
    ];
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
