//! The messages of the change feed: the keys of the rows that a projected batch has changed. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::id::{OrderId, Sku, UserId};

/// Maximum number of keys in one message.
pub const KEYS_MAX: usize = 500;
/// Maximum number of messages about one batch.
pub const MESSAGES_MAX: usize = 20;

/// Keys of rows that may have changed. In JSON: `{"users":["u-1"],"orders":[{"orderId":"o-1","userId":"u-1"}]}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Changes {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserId>,
    /// Orders, and their payments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<ChangedOrder>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inventory: Vec<Sku>,
    /// More rows changed than the messages name: subscribers read everything again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// An order that may have changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedOrder {
    pub order_id: OrderId,
    /// `None` when only the payment of the order changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
}

impl Changes {
    /// The changes of these events, each key once, in at most [`MESSAGES_MAX`] messages.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<Self> {
        let (mut users, mut orders, mut inventory) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        for event in events {
            // One key more than fits is enough to know that the messages are truncated.
            if users.len() + orders.len() + inventory.len() > KEYS_MAX * MESSAGES_MAX {
                break;
            }
            match event {
                Event::UserCreated(user) => {
                    users.insert(&user.user_id);
                }
                Event::OrderPlaced(order) => {
                    orders.insert(&order.order_id, Some(&order.user_id));
                }
                Event::PaymentSettled(payment) => {
                    orders.entry(&payment.order_id).or_insert(None);
                }
                Event::InventoryAdjusted(adjustment) => {
                    inventory.insert(&adjustment.sku);
                }
            }
        }
        let mut messages = MessageBuilder::default();
        for user in users {
            messages.add_key(|message| message.users.push(user.clone()));
        }
        for (order_id, user_id) in orders {
            let order = || ChangedOrder { order_id: order_id.clone(), user_id: user_id.cloned() };
            messages.add_key(|message| message.orders.push(order()));
        }
        for sku in inventory {
            messages.add_key(|message| message.inventory.push(sku.clone()));
        }
        messages.done
    }
}

/// Fills messages one after the other.
#[derive(Default)]
struct MessageBuilder {
    done: Vec<Changes>,
    keys: usize,
}

impl MessageBuilder {
    fn add_key(&mut self, put: impl FnOnce(&mut Changes)) {
        if self.keys.is_multiple_of(KEYS_MAX) && self.done.len() < MESSAGES_MAX {
            self.done.push(Changes::default());
        }
        let full = self.keys >= KEYS_MAX * MESSAGES_MAX;
        if let Some(last) = self.done.last_mut() {
            last.truncated |= full;
            if !full {
                put(last);
                self.keys += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::InventoryAdjusted;

    fn adjusted(number: usize) -> Event {
        let sku = Sku::parse(&format!("s-{number}")).unwrap();
        Event::InventoryAdjusted(InventoryAdjusted { sku, delta: 1, reason: None, reported_quantity: None })
    }

    #[test]
    fn each_key_is_sent_once() {
        let events = [adjusted(1), adjusted(2), adjusted(1)];
        let [changes] = &Changes::of(&events)[..] else { panic!("one message") };
        let json = serde_json::to_string(changes).unwrap();
        assert_eq!(json, r#"{"inventory":["s-1","s-2"]}"#);
        assert_eq!(serde_json::from_str::<Changes>(&json).unwrap(), *changes);
        assert_eq!(Changes::of(&[]), []);
    }

    #[test]
    fn messages_are_limited_and_marked_when_truncated() {
        let events: Vec<_> = (0..=KEYS_MAX).map(adjusted).collect();
        let messages = Changes::of(&events);
        assert_eq!(messages.iter().map(|m| m.inventory.len()).collect::<Vec<_>>(), [KEYS_MAX, 1]);
        assert!(!messages[1].truncated);
        let events: Vec<_> = (0..=KEYS_MAX * MESSAGES_MAX).map(adjusted).collect();
        let messages = Changes::of(&events);
        assert_eq!((messages.len(), messages[MESSAGES_MAX - 1].inventory.len()), (MESSAGES_MAX, KEYS_MAX));
        assert!(messages[MESSAGES_MAX - 1].truncated && !messages[0].truncated);
    }
}
