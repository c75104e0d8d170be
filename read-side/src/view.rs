//! The views, shared by REST (serde) and GraphQL (`graphql/schema/`). Field names are camelCase in both. Amounts are exact:
//! numbers in REST, strings in GraphQL.

use millrace_domain::event::PaymentStatus;
use millrace_domain::id::{OrderId, PaymentId, Sku, UserId};
use millrace_domain::{Amount, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// The current state of a user.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Id of the user.
    #[schema(value_type = String)]
    pub user_id: UserId,
    /// Name of the user.
    #[schema(value_type = String)]
    pub name: Box<str>,
    /// Email address of the user.
    #[schema(value_type = String)]
    pub email: Box<str>,
    /// Time of the newest event about the user.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// The current state of an order and its payment.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Id of the order.
    #[schema(value_type = String)]
    pub order_id: OrderId,
    /// Id of the user who placed the order. The user itself can be unknown still.
    #[schema(value_type = String)]
    pub user_id: UserId,
    /// Total amount.
    #[schema(value_type = f64)]
    pub amount: Amount,
    /// Currency of the amount and of every item's price.
    #[schema(value_type = String)]
    pub currency: Box<str>,
    /// Status in capital letters, for example PLACED.
    #[schema(value_type = String)]
    pub status: Box<str>,
    /// Time at which the order was placed.
    #[schema(value_type = String, format = DateTime)]
    pub placed_at: Timestamp,
    /// Items of the order.
    #[schema(value_type = Vec<OrderItem>)]
    pub items: Items,
    /// Not serialised here: depending on the route, REST shows it inside the order or beside it.
    #[serde(skip)]
    pub payment: Option<Payment>,
}

/// The payment of an order. The order opens it, an event of the payment settles or fails it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// Id of the payment; null while it is pending.
    #[schema(value_type = Option<String>)]
    pub payment_id: Option<PaymentId>,
    /// Amount of the payment.
    #[schema(value_type = f64)]
    pub amount: Amount,
    /// Currency of the amount.
    #[schema(value_type = String)]
    pub currency: Box<str>,
    /// Payment method; null if it is unknown.
    #[schema(value_type = Option<String>)]
    pub method: Option<Box<str>>,
    /// PENDING, SETTLED or FAILED.
    #[schema(value_type = String)]
    pub status: PaymentStatus,
    /// Time at which the payment was settled or failed; null while it is pending.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub settled_at: Option<Timestamp>,
}

/// The stock of one SKU.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryItem {
    /// Stock keeping unit.
    #[schema(value_type = String)]
    pub sku: Sku,
    /// Quantity in stock: the sum of all adjustments. It can be negative.
    pub quantity: i64,
    /// Quantity in the newest report of the warehouse; null without a report.
    pub reported_quantity: Option<i64>,
}

/// The items of an order as the projector stores them: JSON in the shape that REST shows, so that most reads forward it
/// without parsing.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Items(Box<RawValue>);

/// An item of an order.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    /// Stock keeping unit.
    #[schema(value_type = String)]
    pub sku: Box<str>,
    /// Ordered quantity.
    pub quantity: i32,
    /// Price of one unit.
    #[serde(deserialize_with = "exact_amount")]
    #[schema(value_type = f64)]
    pub unit_price: Amount,
}

impl Items {
    /// # Errors
    /// If the text is not JSON.
    pub fn from_json(text: String) -> serde_json::Result<Self> {
        RawValue::from_string(text).map(Self)
    }

    pub fn none() -> Self {
        Self(RawValue::from_string("[]".to_owned()).expect("an empty list is JSON"))
    }

    /// Items that are stored as rows, in the same JSON shape.
    ///
    /// # Errors
    /// If the items cannot be serialised.
    pub fn of(lines: &[millrace_domain::event::OrderItem]) -> serde_json::Result<Self> {
        serde_json::value::to_raw_value(lines).map(Self)
    }

    /// Parses the items.
    ///
    /// # Errors
    /// If the stored JSON has another shape.
    pub fn lines(&self) -> serde_json::Result<Vec<OrderItem>> {
        serde_json::from_str(self.0.get())
    }
}

/// Parses a JSON number from its digits, never through a float.
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
