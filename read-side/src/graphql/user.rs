//! The GraphQL type User.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};

use super::invalid;
use super::query::{list_complexity, loaders};
use super::scalars::DateTime;
use crate::view::{Order, User};

/// Most orders that one field gives, and how many when it is not told.
const RECENT_ORDERS_MAX: i32 = 100;
const RECENT_ORDERS: i32 = 5;

/// Someone who orders.
#[Object]
impl User {
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
        let limit = u32::try_from(limit)
            .ok()
            .filter(|_| (1..=RECENT_ORDERS_MAX).contains(&limit))
            .ok_or_else(|| invalid(format!("limit is {limit}; it must be from 1 to {RECENT_ORDERS_MAX}")))?;
        loaders(context).recent_orders.load((self.user_id.clone(), limit)).await
    }
}

/// A limit that is going to be refused costs nothing.
fn recent_orders_complexity(limit: Option<i32>, of_each: usize) -> usize {
    let limit = limit.unwrap_or(RECENT_ORDERS);
    list_complexity(usize::try_from(limit).unwrap_or_default(), of_each)
}
