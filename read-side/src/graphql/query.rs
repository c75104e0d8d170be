//! The root of all queries.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};
use shared::id::{InvalidId, OrderId, Sku, UserId};

use super::invalid;
use super::loader::Loaders;
use crate::view::{InventoryItem, Order, User};

/// Most users that one field gives.
const USERS_MAX: usize = 100;

pub(super) struct Query;

/// Users, orders and stock, as far as events have told of them.
#[Object]
impl Query {
    /// The user of that id; null when nobody has told of one.
    async fn user(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the user: [A-Za-z0-9._:@-]{1,64}")] id: ID,
    ) -> Result<Option<Arc<User>>> {
        let id = parse_id(&id, UserId::parse)?;
        loaders(context).users.load(id).await
    }

    /// The users of those ids, in the same order and number; null where nobody has told of one.
    #[graphql(complexity = "list_complexity(ids.len(), child_complexity)")]
    async fn users(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Ids of the users, at most 100")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Arc<User>>>> {
        if ids.len() > USERS_MAX {
            return Err(invalid(format!("ids has {} entries; at most {USERS_MAX} are allowed", ids.len())));
        }
        let keys = ids.iter().map(|id| parse_id(id, UserId::parse));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        loaders(context).users.load_many(keys).await
    }

    /// The order of that id; null when nobody has told of one.
    async fn order(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the order: [A-Za-z0-9._:@-]{1,64}")] id: ID,
    ) -> Result<Option<Arc<Order>>> {
        let id = parse_id(&id, OrderId::parse)?;
        loaders(context).orders.load(id).await
    }

    /// Stock of that SKU; null when it has never changed.
    async fn inventory_item(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Stock keeping unit: [A-Za-z0-9._:@-]{1,64}")] sku: ID,
    ) -> Result<Option<Arc<InventoryItem>>> {
        let sku = parse_id(&sku, Sku::parse)?;
        loaders(context).inventory.load(sku).await
    }
}

/// The loaders of this request, which the executor has put there.
pub(super) fn loaders<'a>(context: &Context<'a>) -> &'a Loaders {
    context.data_unchecked::<Arc<Loaders>>()
}

/// What a list costs: its entries, each with what is asked of it.
pub(super) fn list_complexity(entries: usize, of_each: usize) -> usize {
    entries.saturating_mul(of_each.saturating_add(1)).saturating_add(1)
}

fn parse_id<T>(id: &ID, parse: fn(&str) -> std::result::Result<T, InvalidId>) -> Result<T> {
    parse(id).map_err(|error| invalid(format!("the id {error}; it must match [A-Za-z0-9._:@-]{{1,64}}")))
}
