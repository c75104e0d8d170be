//! What readers see: ONE struct per thing, shared by REST (serde) and GraphQL (`graphql/*.rs`).
//!
//! Field names are camelCase in both. Amounts are exact: numbers in REST, strings in GraphQL.

use millrace_domain::event::PaymentStatus;
use millrace_domain::id::{OrderId, PaymentId, Sku, UserId};
use millrace_domain::{Amount, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A user, as told last.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Who.
    #[schema(value_type = String)]
    pub user_id: UserId,
    /// What the user is called.
    #[schema(value_type = String)]
    pub name: Box<str>,
    /// Where the user can be written to.
    #[schema(value_type = String)]
    pub email: Box<str>,
    /// When the event happened that told of the user.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// An order, as told last, and its payment.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Which.
    #[schema(value_type = String)]
    pub order_id: OrderId,
    /// Who ordered; the user itself may not have arrived yet.
    #[schema(value_type = String)]
    pub user_id: UserId,
    /// What the order costs in all.
    #[schema(value_type = f64)]
    pub amount: Amount,
    /// Currency of the amount and of every item's price.
    #[schema(value_type = String)]
    pub currency: Box<str>,
    /// Where the order stands.
    #[schema(value_type = String)]
    pub status: Box<str>,
    /// When it was placed.
    #[schema(value_type = String, format = DateTime)]
    pub placed_at: Timestamp,
    /// What was ordered.
    #[schema(value_type = Vec<OrderItem>)]
    pub items: Items,
    /// Its payment. REST shows it beside the order or inside it, as the route says; hence not here.
    #[serde(skip)]
    pub payment: Option<Payment>,
}

/// The one payment of an order: opened by the order, ended by what the payment provider told.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// Which; unknown while the payment is pending.
    #[schema(value_type = Option<String>)]
    pub payment_id: Option<PaymentId>,
    /// How much.
    #[schema(value_type = f64)]
    pub amount: Amount,
    /// Of what.
    #[schema(value_type = String)]
    pub currency: Box<str>,
    /// By which means, when that is known.
    #[schema(value_type = Option<String>)]
    pub method: Option<Box<str>>,
    /// PENDING, SETTLED or FAILED.
    #[schema(value_type = String)]
    pub status: PaymentStatus,
    /// When it ended; null while it is pending.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub settled_at: Option<Timestamp>,
}

/// Stock of one SKU.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryItem {
    /// What.
    #[schema(value_type = String)]
    pub sku: Sku,
    /// How many there are: the sum of all changes. Negative when more went out than came in.
    pub quantity: i64,
    /// What the newest report claimed, when there was one.
    pub reported_quantity: Option<i64>,
}

/// The lines of an order as the projector stored them: JSON in the very shape that REST shows, so that most reads
/// pass it on unread.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Items(Box<RawValue>);

/// One line of an order.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    /// What.
    #[schema(value_type = String)]
    pub sku: Box<str>,
    /// How many, at most [`millrace_domain::event::QUANTITY_MAX`].
    pub quantity: i32,
    /// For how much each.
    #[serde(deserialize_with = "exact_amount")]
    #[schema(value_type = f64)]
    pub unit_price: Amount,
}

impl Items {
    /// Takes the stored text.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn from_json(text: String) -> serde_json::Result<Self> {
        RawValue::from_string(text).map(Self)
    }

    /// No lines.
    pub fn none() -> Self {
        Self(RawValue::from_string("[]".to_owned()).expect("an empty list is JSON"))
    }

    /// These lines, in the shape in which the projector stores them.
    ///
    /// # Errors
    /// Never for lines that were stored.
    pub fn of(lines: &[millrace_domain::event::OrderItem]) -> serde_json::Result<Self> {
        serde_json::value::to_raw_value(lines).map(Self)
    }

    /// The lines one by one.
    ///
    /// # Errors
    /// When the stored text has another shape.
    pub fn lines(&self) -> serde_json::Result<Vec<OrderItem>> {
        serde_json::from_str(self.0.get())
    }
}

/// Reads a JSON number from its digits, never through a float.
fn exact_amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
    let digits = <&RawValue>::deserialize(deserializer)?;
    Amount::parse(digits.get()).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_keep_every_digit() {
        let text = r#"[{"sku":"track-2","quantity":1000000000,"unitPrice":922337203685477.5807}]"#;
        let items = Items::from_json(text.to_owned()).unwrap();
        let lines = items.lines().unwrap();
        assert_eq!(lines[0].unit_price.to_string(), "922337203685477.5807");
        assert_eq!(lines[0].quantity, 1_000_000_000);
        assert_eq!(serde_json::to_string(&items).unwrap(), text);
    }

    #[test]
    fn items_of_another_shape_are_an_error_not_a_guess() {
        assert!(Items::from_json("[".to_owned()).is_err());
        let items = Items::from_json(r#"[{"sku":"a"}]"#.to_owned()).unwrap();
        assert!(items.lines().is_err());
    }
}
