//! The root type of subscriptions.
//!
//! The library would keep one stream for each subscription, and its loaders for as long as the stream lasts. Instead an
//! operation is executed once to collect its topics, and once after each change, with new loaders each time.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::futures_util::stream::{self, Stream};
use async_graphql::{Context, ID, Result, Subscription};
use millrace_domain::id::{OrderId, Sku, UserId};

use super::context::loaders;
use super::global_id::parse_id;
use crate::view::{InventoryItem, Order};
use crate::watchers::Topic;

/// Why a subscription is executed.
pub(crate) enum Purpose {
    /// To collect the topics to watch. Nothing is read.
    CollectTopics(Mutex<Vec<Topic>>),
    /// To read the rows after a change. For `userOrders`, the order that changed.
    ReadChange(Option<OrderId>),
}

impl Purpose {
    pub(crate) fn collect_topics() -> Arc<Self> {
        Arc::new(Self::CollectTopics(Mutex::default()))
    }

    pub(crate) fn topics(&self) -> Vec<Topic> {
        match self {
            Self::CollectTopics(topics) => topics.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Self::ReadChange(_) => Vec::new(),
        }
    }

    /// Adds the topic and returns true if topics are collected.
    fn collects(&self, topic: impl FnOnce() -> Topic) -> bool {
        match self {
            Self::CollectTopics(topics) => {
                topics.lock().unwrap_or_else(PoisonError::into_inner).push(topic());
                true
            }
            Self::ReadChange(_) => false,
        }
    }
}

pub(crate) struct SubscriptionRoot;

/// The current state after each change. Changes in quick succession can be combined.
#[Subscription(name = "Subscription")]
impl SubscriptionRoot {
    /// Order by id, after each change of the order or its payment.
    async fn order_changed(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the order: [A-Za-z0-9._:@-]{1,64}")] id: ID,
    ) -> Result<impl Stream<Item = Arc<Order>>> {
        let id = parse_id(&id, OrderId::parse)?;
        if purpose(context).collects(|| Topic::Order(id.clone())) {
            return Ok(stream::iter(None));
        }
        loaders(context).orders.load(id).await.map(stream::iter)
    }

    /// Each order of a user, after each change of the order or its payment.
    async fn user_orders(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the user: [A-Za-z0-9._:@-]{1,64}")] user_id: ID,
    ) -> Result<impl Stream<Item = Arc<Order>>> {
        let user_id = parse_id(&user_id, UserId::parse)?;
        let purpose = purpose(context);
        if purpose.collects(|| Topic::OrdersOf(user_id)) {
            return Ok(stream::iter(None));
        }
        match purpose {
            Purpose::ReadChange(Some(id)) => loaders(context).orders.load(id.clone()).await.map(stream::iter),
            _ => Ok(stream::iter(None)),
        }
    }

    /// Stock by SKU, after each change.
    async fn inventory_changed(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Stock keeping unit: [A-Za-z0-9._:@-]{1,64}")] sku: ID,
    ) -> Result<impl Stream<Item = Arc<InventoryItem>>> {
        let sku = parse_id(&sku, Sku::parse)?;
        if purpose(context).collects(|| Topic::Inventory(sku.clone())) {
            return Ok(stream::iter(None));
        }
        loaders(context).inventory.load(sku).await.map(stream::iter)
    }
}

fn purpose<'a>(context: &Context<'a>) -> &'a Purpose {
    context.data_unchecked::<Arc<Purpose>>()
}
