//! The root of all subscriptions. What changed is told by the change feed; here it is read again and shown.
//!
//! The library would keep one stream per subscription, and everything loaded for it for as long as it lasts. Instead
//! each operation is executed once to learn what it watches, and once for each change, with loaders of its own.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::futures_util::stream::{self, Stream};
use async_graphql::{Context, ID, Result, Subscription};
use millrace_domain::id::{OrderId, Sku, UserId};

use super::query::{loaders, parse_id};
use crate::view::{InventoryItem, Order};
use crate::watchers::Topic;

/// Why a subscription is executed.
pub(super) enum Purpose {
    /// To learn what it watches.
    Learn(Mutex<Vec<Topic>>),
    /// To show what changed; of all orders of a user, this one.
    Show(Option<OrderId>),
}

impl Purpose {
    pub(super) fn learn() -> Arc<Self> {
        Arc::new(Self::Learn(Mutex::default()))
    }

    /// What has been learnt.
    pub(super) fn topics(&self) -> Vec<Topic> {
        match self {
            Self::Learn(topics) => topics.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Self::Show(_) => Vec::new(),
        }
    }

    /// Whether this is only about what is watched, which is noted.
    fn learns(&self, topic: impl FnOnce() -> Topic) -> bool {
        match self {
            Self::Learn(topics) => {
                topics.lock().unwrap_or_else(PoisonError::into_inner).push(topic());
                true
            }
            Self::Show(_) => false,
        }
    }
}

pub(super) struct SubscriptionRoot;

/// What changes, as it stands after each change. Changes in quick succession may be shown as one.
#[Subscription(name = "Subscription")]
impl SubscriptionRoot {
    /// The order of that id, whenever it or its payment has changed.
    async fn order_changed(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the order: [A-Za-z0-9._:@-]{1,64}")] id: ID,
    ) -> Result<impl Stream<Item = Arc<Order>>> {
        let id = parse_id(&id, OrderId::parse)?;
        if purpose(context).learns(|| Topic::Order(id.clone())) {
            return Ok(stream::iter(None));
        }
        loaders(context).orders.load(id).await.map(stream::iter)
    }

    /// Each order of that user, whenever it or its payment has changed.
    async fn user_orders(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the user: [A-Za-z0-9._:@-]{1,64}")] user_id: ID,
    ) -> Result<impl Stream<Item = Arc<Order>>> {
        let user_id = parse_id(&user_id, UserId::parse)?;
        let purpose = purpose(context);
        if purpose.learns(|| Topic::OrdersOf(user_id)) {
            return Ok(stream::iter(None));
        }
        match purpose {
            Purpose::Show(Some(id)) => loaders(context).orders.load(id.clone()).await.map(stream::iter),
            _ => Ok(stream::iter(None)),
        }
    }

    /// Stock of that SKU, whenever it has changed.
    async fn inventory_changed(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Stock keeping unit: [A-Za-z0-9._:@-]{1,64}")] sku: ID,
    ) -> Result<impl Stream<Item = Arc<InventoryItem>>> {
        let sku = parse_id(&sku, Sku::parse)?;
        if purpose(context).learns(|| Topic::Inventory(sku.clone())) {
            return Ok(stream::iter(None));
        }
        loaders(context).inventory.load(sku).await.map(stream::iter)
    }
}

fn purpose<'a>(context: &Context<'a>) -> &'a Purpose {
    context.data_unchecked::<Arc<Purpose>>()
}
