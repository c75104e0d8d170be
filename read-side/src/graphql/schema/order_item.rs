//! The GraphQL type OrderItem.

use async_graphql::{ID, Object};

use super::scalars::Decimal;
use crate::view::OrderItem;

/// An item of an order.
#[Object]
impl OrderItem {
    /// Stock keeping unit.
    async fn sku(&self) -> ID {
        ID::from(&self.sku)
    }

    /// Ordered quantity.
    async fn quantity(&self) -> i32 {
        self.quantity
    }

    /// Price of one unit, in the currency of the order.
    async fn unit_price(&self) -> Decimal {
        Decimal(self.unit_price)
    }
}
