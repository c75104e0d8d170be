//! The GraphQL type InventoryItem.

use async_graphql::{ID, Object};

use super::scalars::Long;
use crate::view::InventoryItem;

/// Stock of one SKU.
#[Object]
impl InventoryItem {
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
