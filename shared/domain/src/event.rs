//! The four event types. Pure: no IO, no runtime, no wire format.

use serde::Serialize;

use crate::amount::Amount;
use crate::id::{OrderId, PaymentId, Sku, UserId};
use crate::text::{Currency, Email, Method, Name, OrderStatus, Reason};
use crate::timestamp::Timestamp;

/// Maximum number of items of an order.
pub const ORDER_ITEMS_MAX: usize = 500;
/// Largest quantity of an item, and largest change of a stock in either direction.
pub const QUANTITY_MAX: i64 = 1_000_000_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Event {
    UserCreated(UserCreated),
    OrderPlaced(OrderPlaced),
    PaymentSettled(PaymentSettled),
    InventoryAdjusted(InventoryAdjusted),
}

/// The type of an [`Event`], as on the wire and in metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    UserCreated,
    OrderPlaced,
    PaymentSettled,
    InventoryAdjusted,
}

/// A user exists with these values. The event with the highest `(occurred_at, event_id)` counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserCreated {
    /// Also the partition key.
    pub user_id: UserId,
    pub email: Email,
    pub name: Name,
}

/// An order exists with these values. The event with the highest `(occurred_at, event_id)` counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderPlaced {
    /// Also the partition key.
    pub order_id: OrderId,
    /// May be unknown: the events of a user and of its orders are in different partitions.
    pub user_id: UserId,
    /// The total of the order.
    pub amount: Amount,
    /// Of the amount and of each item's price.
    pub currency: Currency,
    pub status: OrderStatus,
    /// When the order was placed, which may be earlier than the time of this event.
    pub placed_at: Timestamp,
    /// May be empty; at most [`ORDER_ITEMS_MAX`].
    pub items: Vec<OrderItem>,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    pub sku: Sku,
    /// 1 to [`QUANTITY_MAX`].
    pub quantity: i64,
    pub unit_price: Amount,
}

/// A payment of an order is settled, failed or pending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentSettled {
    pub payment_id: PaymentId,
    /// Also the partition key.
    pub order_id: OrderId,
    pub amount: Amount,
    pub currency: Currency,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    pub status: PaymentStatus,
    pub settled_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PaymentStatus {
    Pending,
    Settled,
    Failed,
}

impl PaymentStatus {
    /// The name in the tables and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Settled => "SETTLED",
            Self::Failed => "FAILED",
        }
    }

    /// Accepts the words of all six formats, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        match () {
            () if is("settled") || is("completed") => Some(Self::Settled),
            () if is("failed") => Some(Self::Failed),
            () if is("pending") => Some(Self::Pending),
            () => None,
        }
    }
}

/// A stock changed by a delta. Deltas are added up, each event id once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryAdjusted {
    /// Also the partition key.
    pub sku: Sku,
    /// −[`QUANTITY_MAX`] to [`QUANTITY_MAX`].
    pub delta: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The producer's own count of the stock. It is stored beside the sum and never replaces it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reported_quantity: Option<i64>,
}

impl Event {
    /// The id of the aggregate, so that all events of an aggregate share a partition.
    pub fn partition_key(&self) -> &str {
        match self {
            Self::UserCreated(e) => e.user_id.as_str(),
            Self::OrderPlaced(e) => e.order_id.as_str(),
            Self::PaymentSettled(e) => e.order_id.as_str(),
            Self::InventoryAdjusted(e) => e.sku.as_str(),
        }
    }

    pub fn event_type(&self) -> EventType {
        match self {
            Self::UserCreated(_) => EventType::UserCreated,
            Self::OrderPlaced(_) => EventType::OrderPlaced,
            Self::PaymentSettled(_) => EventType::PaymentSettled,
            Self::InventoryAdjusted(_) => EventType::InventoryAdjusted,
        }
    }
}

impl EventType {
    /// All types, in the order in which they are projected.
    pub const ALL: [Self; 4] =
        [Self::UserCreated, Self::OrderPlaced, Self::PaymentSettled, Self::InventoryAdjusted];

    /// The name on the wire and in metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserCreated => "UserCreated",
            Self::OrderPlaced => "OrderPlaced",
            Self::PaymentSettled => "PaymentSettled",
            Self::InventoryAdjusted => "InventoryAdjusted",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == name)
    }
}
