//! The four facts Millrace knows. Pure: no IO, no runtime, no wire format.

use serde::Serialize;

use crate::amount::Amount;
use crate::id::{OrderId, PaymentId, Sku, UserId};
use crate::text::{Currency, Email, Method, Name, OrderStatus, Reason};
use crate::timestamp::Timestamp;

/// Most items one order may list.
pub const ORDER_ITEMS_MAX: usize = 500;
/// Largest quantity of one item and largest change of stock, either way.
pub const QUANTITY_MAX: i64 = 1_000_000_000;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// A user exists, with these properties.
    UserCreated(UserCreated),
    /// An order stands as told.
    OrderPlaced(OrderPlaced),
    /// A payment of an order came to an end.
    PaymentSettled(PaymentSettled),
    /// Stock changed by a delta.
    InventoryAdjusted(InventoryAdjusted),
}

/// The name of an [`Event`]'s variant, as it stands on the wire and in metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// See [`UserCreated`].
    UserCreated,
    /// See [`OrderPlaced`].
    OrderPlaced,
    /// See [`PaymentSettled`].
    PaymentSettled,
    /// See [`InventoryAdjusted`].
    InventoryAdjusted,
}

/// A user exists. The newest by `(occurred_at, event_id)` wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserCreated {
    /// Also the partition key.
    pub user_id: UserId,
    /// Where the user can be written to.
    pub email: Email,
    /// What the user is called.
    pub name: Name,
}

/// An order stands as told. The newest by `(occurred_at, event_id)` wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderPlaced {
    /// Also the partition key.
    pub order_id: OrderId,
    /// Who ordered; may be unknown as yet.
    pub user_id: UserId,
    /// What the order costs in all.
    pub amount: Amount,
    /// Currency of the amount and of every item's price.
    pub currency: Currency,
    /// Where the order stands.
    pub status: OrderStatus,
    /// When it was placed (not when this was told).
    pub placed_at: Timestamp,
    /// What was ordered; may be empty, at most [`ORDER_ITEMS_MAX`].
    pub items: Vec<OrderItem>,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    /// What.
    pub sku: Sku,
    /// How many: 1 to [`QUANTITY_MAX`].
    pub quantity: i64,
    /// For how much each.
    pub unit_price: Amount,
}

/// A payment of an order came to an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentSettled {
    /// The payment's own id.
    pub payment_id: PaymentId,
    /// The order it pays; also the partition key.
    pub order_id: OrderId,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// By which means, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// How it ended.
    pub status: PaymentStatus,
    /// When it ended.
    pub settled_at: Timestamp,
}

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PaymentStatus {
    /// Open.
    Pending,
    /// Paid.
    Settled,
    /// Given up.
    Failed,
}

impl PaymentStatus {
    /// The word in the tables and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Settled => "SETTLED",
            Self::Failed => "FAILED",
        }
    }

    /// The word of any of the six wire shapes, in any case.
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

/// Stock changed. Deltas add up; each event id counts once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryAdjusted {
    /// Also the partition key.
    pub sku: Sku,
    /// The change: −[`QUANTITY_MAX`] to [`QUANTITY_MAX`].
    pub delta: i64,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What the sender believes the stock is now. Kept beside the sum, never over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reported_quantity: Option<i64>,
}

impl Event {
    /// The key that sends all events of one aggregate to one partition.
    pub fn partition_key(&self) -> &str {
        match self {
            Self::UserCreated(e) => e.user_id.as_str(),
            Self::OrderPlaced(e) => e.order_id.as_str(),
            Self::PaymentSettled(e) => e.order_id.as_str(),
            Self::InventoryAdjusted(e) => e.sku.as_str(),
        }
    }

    /// Which of the four it is.
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
    /// All of them, in the order in which they are projected.
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

    /// The type of that name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == name)
    }
}
