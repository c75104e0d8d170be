//! The GraphQL type User.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, ID, Object, Result};

use super::complexity;
use super::connection::{Cursor, PageArguments, TimeOrder};
use super::context::{loaders, page_limit};
use super::filters::OrderFilter;
use super::global_id::GlobalId;
use super::loaders::{OrdersPage, RECENT_ORDERS};
use super::scalars::DateTime;
use crate::view::{Order, User};

/// A user who places orders.
#[Object]
#[expect(clippy::too_many_arguments, reason = "the arguments of a Relay connection")]
impl User {
    /// Global id, for the field `node`. Opaque: its format may change.
    pub(super) async fn id(&self) -> ID {
        GlobalId::encode("User", self.user_id.as_str())
    }

    /// Id of the user.
    async fn user_id(&self) -> ID {
        ID::from(&self.user_id)
    }

    /// Name of the user.
    async fn name(&self) -> &str {
        &self.name
    }

    /// Email address of the user.
    async fn email(&self) -> &str {
        &self.email
    }

    /// Time of the newest event about the user.
    async fn created_at(&self) -> DateTime {
        DateTime(self.created_at)
    }

    /// Latest orders of the user, newest first.
    #[graphql(complexity = "recent_orders_complexity(limit, child_complexity)")]
    async fn recent_orders(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Maximum number of orders: 1 to 100", default = 5)] limit: Option<i32>,
    ) -> Result<Arc<Vec<Order>>> {
        let limit = limit.unwrap_or(RECENT_ORDERS);
        let limit = page_limit(context, "limit", limit)?;
        loaders(context).recent_orders.load((self.user_id.clone(), limit)).await
    }

    /// All orders of the user, by the time at which they were placed.
    #[graphql(complexity = "complexity::page(first, last, child_complexity)")]
    async fn orders(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Number of entries from the start: 1 to 100; 20 if neither first nor last is set")]
        first: Option<i32>,
        #[graphql(desc = "Only entries after this cursor")] after: Option<String>,
        #[graphql(desc = "Number of entries from the end: 1 to 100")] last: Option<i32>,
        #[graphql(desc = "Only entries before this cursor")] before: Option<String>,
        #[graphql(desc = "Only orders that match the filter")] filter: Option<OrderFilter>,
        #[graphql(desc = "Order of the entries", default_with = "Some(TimeOrder::NewestFirst)")]
        order_by: Option<TimeOrder>,
    ) -> Result<Connection<Cursor, Arc<Order>>> {
        let mut arguments = PageArguments { first, after, last, before, order_by }.parse(context)?;
        let filter = filter.unwrap_or_default();
        arguments.page = filter.apply(arguments.page);
        let orders = OrdersPage { status: filter.status()?, page: arguments.page.clone() };
        let rows = loaders(context).orders_of_users.load((self.user_id.clone(), orders)).await?;
        Ok(arguments.connection(rows))
    }
}

/// An invalid limit costs nothing: its field is going to fail.
fn recent_orders_complexity(limit: Option<i32>, child_complexity: usize) -> usize {
    let limit = limit.unwrap_or(RECENT_ORDERS);
    complexity::list(usize::try_from(limit).unwrap_or_default(), child_complexity)
}
