//! The GraphQL type User.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, ID, Object, Result};

use super::connection::{Cursor, OrderFilter, TimeOrder, Window, page_complexity, page_limit};
use super::loader::OrdersAsked;
use super::node::GlobalId;
use super::query::{list_complexity, loaders};
use super::scalars::DateTime;
use crate::view::{Order, User};

/// How many orders `recentOrders` gives when it is not told.
pub(super) const RECENT_ORDERS: i32 = 5;

/// Someone who orders.
#[Object]
#[expect(clippy::too_many_arguments, reason = "the arguments of a Relay connection")]
impl User {
    /// Global id, for `node`. Opaque: what is in it may change.
    pub(super) async fn id(&self) -> ID {
        GlobalId::encode("User", self.user_id.as_str())
    }

    /// Id of the user.
    async fn user_id(&self) -> ID {
        ID::from(&self.user_id)
    }

    /// What the user is called.
    async fn name(&self) -> &str {
        &self.name
    }

    /// Where the user can be written to.
    async fn email(&self) -> &str {
        &self.email
    }

    /// When the event happened that told of the user.
    async fn created_at(&self) -> DateTime {
        DateTime(self.created_at)
    }

    /// The user's last orders, newest first.
    #[graphql(complexity = "recent_orders_complexity(limit, child_complexity)")]
    async fn recent_orders(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many at most: 1 to 100", default = 5)] limit: Option<i32>,
    ) -> Result<Arc<Vec<Order>>> {
        let limit = limit.unwrap_or(RECENT_ORDERS);
        let limit = page_limit(context, "limit", limit)?;
        loaders(context).recent_orders.load((self.user_id.clone(), limit)).await
    }

    /// All orders of the user, by when they were placed.
    #[graphql(complexity = "page_complexity(first, last, child_complexity)")]
    async fn orders(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many from the start: 1 to 100; 20 when neither first nor last is given")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many from the end: 1 to 100")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
        #[graphql(desc = "Which orders")] filter: Option<OrderFilter>,
        #[graphql(desc = "In which order", default_with = "Some(TimeOrder::NewestFirst)")] order_by: Option<
            TimeOrder,
        >,
    ) -> Result<Connection<Cursor, Arc<Order>>> {
        let mut walk = Window { first, after, last, before, order_by }.walk(context)?;
        let filter = filter.unwrap_or_default();
        walk.page = filter.bound(walk.page);
        let asked = OrdersAsked { status: filter.status()?, page: walk.page.clone() };
        let rows = loaders(context).orders_of_users.load((self.user_id.clone(), asked)).await?;
        Ok(walk.connection(rows))
    }
}

/// A limit that is going to be refused costs nothing.
fn recent_orders_complexity(limit: Option<i32>, of_each: usize) -> usize {
    let limit = limit.unwrap_or(RECENT_ORDERS);
    list_complexity(usize::try_from(limit).unwrap_or_default(), of_each)
}
