//! The root type of queries.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, ID, Object, Result, Value};
use millrace_domain::id::{OrderId, Sku, UserId};

use super::complexity;
use super::connection::{Cursor, PageArguments, TimeOrder};
use super::context::{loaders, page_limit, page_max};
use super::errors::invalid_value;
use super::filters::{OrderFilter, UserFilter};
use super::global_id::{GlobalId, parse_id};
use super::loaders::RECENT_ORDERS;
use super::node::Node;
use crate::view::{InventoryItem, Order, User};

pub(crate) struct Query;

/// Users, orders and stock, as projected from events.
#[Object]
#[expect(clippy::too_many_arguments, reason = "the arguments of a Relay connection")]
impl Query {
    /// User by id; null if no event of the user is projected.
    async fn user(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the user: [A-Za-z0-9._:@-]{1,64}")] id: ID,
    ) -> Result<Option<Arc<User>>> {
        let id = parse_id(&id, UserId::parse)?;
        let loaders = loaders(context);
        if let Some(limit) = selected_recent_orders(context) {
            loaders.expect_recent_orders(id.clone(), limit);
        }
        loaders.users.load(id).await
    }

    /// Users by id, in the order of the ids; null for each id that is not found.
    #[graphql(complexity = "complexity::list(ids.len(), child_complexity)")]
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

    /// All users, by the time at which they were created.
    #[graphql(complexity = "complexity::page(first, last, child_complexity)")]
    async fn users(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Number of entries from the start: 1 to 100; 20 if neither first nor last is set")]
        first: Option<i32>,
        #[graphql(desc = "Only entries after this cursor")] after: Option<String>,
        #[graphql(desc = "Number of entries from the end: 1 to 100")] last: Option<i32>,
        #[graphql(desc = "Only entries before this cursor")] before: Option<String>,
        #[graphql(desc = "Only users that match the filter")] filter: Option<UserFilter>,
        #[graphql(desc = "Order of the entries", default_with = "Some(TimeOrder::NewestFirst)")]
        order_by: Option<TimeOrder>,
    ) -> Result<Connection<Cursor, Arc<User>>> {
        let mut arguments = PageArguments { first, after, last, before, order_by }.parse(context)?;
        arguments.page = filter.unwrap_or_default().apply(arguments.page);
        let rows = loaders(context).users_page(&arguments.page).await?;
        Ok(arguments.connection(rows))
    }

    /// Order by id; null if no event of the order is projected.
    async fn order(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the order: [A-Za-z0-9._:@-]{1,64}")] id: ID,
    ) -> Result<Option<Arc<Order>>> {
        let id = parse_id(&id, OrderId::parse)?;
        loaders(context).orders.load(id).await
    }

    /// All orders, by the time at which they were placed.
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
        let rows = loaders(context).orders_page(filter.status()?.as_ref(), &arguments.page).await?;
        Ok(arguments.connection(rows.into_iter().map(Arc::new).collect()))
    }

    /// Stock by SKU; null if the stock was never adjusted.
    async fn inventory(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Stock keeping unit: [A-Za-z0-9._:@-]{1,64}")] sku: ID,
    ) -> Result<Option<Arc<InventoryItem>>> {
        let sku = parse_id(&sku, Sku::parse)?;
        loaders(context).inventory.load(sku).await
    }

    /// Stock by SKU; null if the stock was never adjusted.
    #[graphql(deprecation = "Use inventory.")]
    async fn inventory_item(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Stock keeping unit: [A-Za-z0-9._:@-]{1,64}")] sku: ID,
    ) -> Result<Option<Arc<InventoryItem>>> {
        self.inventory(context, sku).await
    }

    /// Object by global id; null if it is not found.
    async fn node(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Global id, from a field `id`")] id: ID,
    ) -> Result<Option<Node>> {
        find_node(context, &id).await
    }

    /// Objects by global id, in the order of the ids; null for each id that is not found.
    #[graphql(complexity = "complexity::list(ids.len(), child_complexity)")]
    async fn nodes(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Global ids, at most 100")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        check_count(context, &ids)?;
        async_graphql::futures_util::future::try_join_all(ids.iter().map(|id| find_node(context, id))).await
    }
}

/// The limit of the field `recentOrders`, if it is selected and its limit is valid. Knowing it before the user is loaded
/// allows one statement for both.
fn selected_recent_orders(context: &Context<'_>) -> Option<u32> {
    let field = context.field().selection_set().find(|field| field.name() == "recentOrders")?;
    let limit = field.arguments().ok()?.into_iter().find(|(name, _)| name == "limit");
    let limit = match limit {
        Some((_, Value::Number(limit))) => limit.as_i64().and_then(|limit| i32::try_from(limit).ok())?,
        _ => RECENT_ORDERS,
    };
    page_limit(context, "limit", limit).ok()
}

async fn find_node(context: &Context<'_>, id: &ID) -> Result<Option<Node>> {
    let loaders = loaders(context);
    Ok(match GlobalId::decode(id) {
        Some(GlobalId::User(id)) => loaders.users.load(id).await?.map(Node::from),
        Some(GlobalId::Order(id)) => loaders.orders.load(id).await?.map(Node::from),
        Some(GlobalId::InventoryItem(sku)) => loaders.inventory.load(sku).await?.map(Node::from),
        None => {
            let message = format!("global id {:?} invalid; send one from a field `id`", id.as_str());
            return Err(invalid_value(message));
        }
    })
}

fn check_count(context: &Context<'_>, ids: &[ID]) -> Result<()> {
    let max = page_max(context) as usize;
    if ids.len() > max {
        return Err(invalid_value(format!("ids has {} entries; at most {max} are allowed", ids.len())));
    }
    Ok(())
}
