//! The GraphQL type InventoryItem.

use async_graphql::{ID, Object};

use super::global_id::GlobalId;
use super::scalars::Long;
use crate::view::InventoryItem;

/// The stock of one SKU.
#[Object]
impl InventoryItem {
    /// Global id, for the field `node`. Opaque: its format may change.
    pub(super) async fn id(&self) -> ID {
        GlobalId::encode("InventoryItem", self.sku.as_str())
    }

    /// Stock keeping unit.
    async fn sku(&self) -> ID {
        ID::from(&self.sku)
    }

    /// Quantity in stock: the sum of all adjustments. It can be negative.
    async fn quantity(&self) -> Long {
        Long(self.quantity)
    }

    /// Quantity in the newest report of the warehouse; null without a report.
    async fn reported_quantity(&self) -> Option<Long> {
        self.reported_quantity.map(Long)
    }
}
