//! The GraphQL type Order.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};

use super::complexity;
use super::context::loaders;
use super::errors::read_failed;
use super::global_id::GlobalId;
use super::scalars::{DateTime, Decimal};
use crate::read_model::ReadError;
use crate::view::{Order, OrderItem, Payment, User};

/// Items of an order, for the limit on complexity. An order can hold more, but rarely does.
const ITEMS_ASSUMED: usize = 5;

/// The current state of an order.
#[Object]
impl Order {
    /// Global id, for the field `node`. Opaque: its format may change.
    pub(super) async fn id(&self) -> ID {
        GlobalId::encode("Order", self.order_id.as_str())
    }

    /// Id of the order.
    async fn order_id(&self) -> ID {
        ID::from(&self.order_id)
    }

    /// Id of the user who placed the order.
    async fn user_id(&self) -> ID {
        ID::from(&self.user_id)
    }

    /// Total amount.
    async fn amount(&self) -> Decimal {
        Decimal(self.amount)
    }

    /// Currency of the amount and of every price, for example EUR.
    async fn currency(&self) -> &str {
        &self.currency
    }

    /// Status in capital letters, for example PLACED. The set of values is open: the systems that send orders define it.
    async fn status(&self) -> &str {
        &self.status
    }

    /// Time at which the order was placed.
    async fn placed_at(&self) -> DateTime {
        DateTime(self.placed_at)
    }

    /// Items of the order.
    #[graphql(complexity = "complexity::list(ITEMS_ASSUMED, child_complexity)")]
    async fn items(&self) -> Result<Vec<OrderItem>> {
        self.items.lines().map_err(|error| read_failed(&ReadError::Broken(error.into())))
    }

    /// Payment of the order; null until a payment event is projected.
    async fn payment(&self) -> Option<&Payment> {
        self.payment.as_ref()
    }

    /// User who placed the order; null until the user's event is projected.
    async fn user(&self, context: &Context<'_>) -> Result<Option<Arc<User>>> {
        loaders(context).users.load(self.user_id.clone()).await
    }
}
