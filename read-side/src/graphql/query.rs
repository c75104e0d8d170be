//! The root of all queries.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, ID, Object, Result, Value};
use millrace_domain::id::{InvalidId, OrderId, Sku, UserId};

use super::connection::{
    Cursor, OrderFilter, TimeOrder, UserFilter, Window, page_complexity, page_limit, page_max,
};
use super::errors::invalid;
use super::loader::Loaders;
use super::node::{GlobalId, Node};
use super::user::RECENT_ORDERS;
use crate::view::{InventoryItem, Order, User};

pub(super) struct Query;

/// Users, orders and stock, as far as events have told of them.
#[Object]
#[expect(clippy::too_many_arguments, reason = "the arguments of a Relay connection")]
impl Query {
    /// The user of that id; null when nobody has told of one.
    async fn user(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the user: [A-Za-z0-9._:@-]{1,64}")] id: ID,
    ) -> Result<Option<Arc<User>>> {
        let id = parse_id(&id, UserId::parse)?;
        let loaders = loaders(context);
        if let Some(limit) = recent_orders_asked(context) {
            loaders.expect_recent_orders(id.clone(), limit);
        }
        loaders.users.load(id).await
    }

    /// The users of those ids, in the same order and number; null where nobody has told of one.
    #[graphql(complexity = "list_complexity(ids.len(), child_complexity)")]
    async fn users_by_id(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Ids of the users, at most 100")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Arc<User>>>> {
        check_count(context, &ids)?;
        let keys = ids.iter().map(|id| parse_id(id, UserId::parse));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        loaders(context).users.load_many(keys).await
    }

    /// All users, by when an event told of them last.
    #[graphql(complexity = "page_complexity(first, last, child_complexity)")]
    async fn users(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many from the start: 1 to 100; 20 when neither first nor last is given")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many from the end: 1 to 100")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
        #[graphql(desc = "Which users")] filter: Option<UserFilter>,
        #[graphql(desc = "In which order", default_with = "Some(TimeOrder::NewestFirst)")] order_by: Option<
            TimeOrder,
        >,
    ) -> Result<Connection<Cursor, Arc<User>>> {
        let mut walk = Window { first, after, last, before, order_by }.walk(context)?;
        walk.page = filter.unwrap_or_default().bound(walk.page);
        let rows = loaders(context).users_page(&walk.page).await?;
        Ok(walk.connection(rows))
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

    /// All orders, by when they were placed.
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
        let rows = loaders(context).orders_page(filter.status()?.as_ref(), &walk.page).await?;
        Ok(walk.connection(rows.into_iter().map(Arc::new).collect()))
    }

    /// Stock of that SKU; null when it has never changed.
    async fn inventory(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Stock keeping unit: [A-Za-z0-9._:@-]{1,64}")] sku: ID,
    ) -> Result<Option<Arc<InventoryItem>>> {
        let sku = parse_id(&sku, Sku::parse)?;
        loaders(context).inventory.load(sku).await
    }

    /// Stock of that SKU; null when it has never changed.
    #[graphql(deprecation = "Use inventory.")]
    async fn inventory_item(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Stock keeping unit: [A-Za-z0-9._:@-]{1,64}")] sku: ID,
    ) -> Result<Option<Arc<InventoryItem>>> {
        self.inventory(context, sku).await
    }

    /// Whatever has that global id; null when there is nothing.
    async fn node(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "A global id, from a field `id`")] id: ID,
    ) -> Result<Option<Node>> {
        find(context, &id).await
    }

    /// Whatever has those global ids, in the same order and number; null where there is nothing.
    #[graphql(complexity = "list_complexity(ids.len(), child_complexity)")]
    async fn nodes(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Global ids, at most 100")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        check_count(context, &ids)?;
        async_graphql::futures_util::future::try_join_all(ids.iter().map(|id| find(context, id))).await
    }
}

/// How many recent orders of the user are going to be asked for. `None` also for a limit that is going to be refused.
fn recent_orders_asked(context: &Context<'_>) -> Option<u32> {
    let asked = context.field().selection_set().find(|field| field.name() == "recentOrders")?;
    let limit = asked.arguments().ok()?.into_iter().find(|(name, _)| name == "limit");
    let limit = match limit {
        Some((_, Value::Number(limit))) => limit.as_i64().and_then(|limit| i32::try_from(limit).ok())?,
        _ => RECENT_ORDERS,
    };
    page_limit(context, "limit", limit).ok()
}

async fn find(context: &Context<'_>, id: &ID) -> Result<Option<Node>> {
    let loaders = loaders(context);
    Ok(match GlobalId::decode(id) {
        Some(GlobalId::User(id)) => loaders.users.load(id).await?.map(Node::from),
        Some(GlobalId::Order(id)) => loaders.orders.load(id).await?.map(Node::from),
        Some(GlobalId::InventoryItem(sku)) => loaders.inventory.load(sku).await?.map(Node::from),
        None => return Err(invalid(format!("{:?} is no global id that was given out here", id.as_str()))),
    })
}

/// The loaders of this request, which the executor has put there.
pub(super) fn loaders<'a>(context: &Context<'a>) -> &'a Loaders {
    context.data_unchecked::<Arc<Loaders>>()
}

/// What a list costs: its entries, each with what is asked of it.
pub(super) fn list_complexity(entries: usize, of_each: usize) -> usize {
    entries.saturating_mul(of_each.saturating_add(1)).saturating_add(1)
}

fn check_count(context: &Context<'_>, ids: &[ID]) -> Result<()> {
    let max = page_max(context) as usize;
    if ids.len() > max {
        return Err(invalid(format!("ids has {} entries; at most {max} are allowed", ids.len())));
    }
    Ok(())
}

/// An id as REST takes it.
pub(super) fn parse_id<T>(id: &ID, parse: fn(&str) -> std::result::Result<T, InvalidId>) -> Result<T> {
    parse(id).map_err(|error| invalid(format!("the id {error}; it must match [A-Za-z0-9._:@-]{{1,64}}")))
}
