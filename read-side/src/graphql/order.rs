//! The GraphQL types Order and OrderItem.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};

use super::errors::masked;
use super::node::GlobalId;
use super::query::{list_complexity, loaders};
use super::scalars::{DateTime, Decimal};
use crate::read_model::ReadError;
use crate::view::{Order, OrderItem, Payment, User};

/// Items of an order, as complexity counts them. Orders may hold more, but rarely do.
const ITEMS_ASSUMED: usize = 5;

/// An order as it stands.
#[Object]
impl Order {
    /// Global id, for `node`. Opaque: what is in it may change.
    pub(super) async fn id(&self) -> ID {
        GlobalId::encode("Order", self.order_id.as_str())
    }

    /// Id of the order.
    async fn order_id(&self) -> ID {
        ID::from(&self.order_id)
    }

    /// Who ordered.
    async fn user_id(&self) -> ID {
        ID::from(&self.user_id)
    }

    /// What the order costs in all.
    async fn amount(&self) -> Decimal {
        Decimal(self.amount)
    }

    /// Currency of the amount and of every price, such as EUR.
    async fn currency(&self) -> &str {
        &self.currency
    }

    /// Where the order stands, in capitals, such as PLACED. The systems that feed us choose the words.
    async fn status(&self) -> &str {
        &self.status
    }

    /// When the order was placed.
    async fn placed_at(&self) -> DateTime {
        DateTime(self.placed_at)
    }

    /// What was ordered.
    #[graphql(complexity = "list_complexity(ITEMS_ASSUMED, child_complexity)")]
    async fn items(&self) -> Result<Vec<OrderItem>> {
        self.items.lines().map_err(|error| masked(&ReadError::Broken(error.into())))
    }

    /// The payment of the order; null when nobody has told of one.
    async fn payment(&self) -> Option<&Payment> {
        self.payment.as_ref()
    }

    /// Who ordered; null while nobody has told of that user.
    async fn user(&self, context: &Context<'_>) -> Result<Option<Arc<User>>> {
        loaders(context).users.load(self.user_id.clone()).await
    }
}

/// One line of an order.
#[Object]
impl OrderItem {
    /// What was ordered.
    async fn sku(&self) -> ID {
        ID::from(&self.sku)
    }

    /// How many.
    async fn quantity(&self) -> i32 {
        self.quantity
    }

    /// For how much each, in the order's currency.
    async fn unit_price(&self) -> Decimal {
        Decimal(self.unit_price)
    }
}
