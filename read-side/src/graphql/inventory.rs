//! The GraphQL type InventoryItem.

use async_graphql::{ID, Object};

use super::node::GlobalId;
use super::scalars::Long;
use crate::view::InventoryItem;

/// Stock of one SKU.
#[Object]
impl InventoryItem {
    /// Global id, for `node`. Opaque: what is in it may change.
    pub(super) async fn id(&self) -> ID {
        GlobalId::encode("InventoryItem", self.sku.as_str())
    }

    /// What it is stock of.
    async fn sku(&self) -> ID {
        ID::from(&self.sku)
    }

    /// How many there are: the sum of all changes. Negative when more went out than came in.
    async fn quantity(&self) -> Long {
        Long(self.quantity)
    }

    /// What the newest report claimed; null when there was none.
    async fn reported_quantity(&self) -> Option<Long> {
        self.reported_quantity.map(Long)
    }
}
