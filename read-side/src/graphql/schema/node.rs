//! The interface Node, by Relay's specification of object identification.

use std::sync::Arc;

use async_graphql::{ID, Interface};

use crate::view::{InventoryItem, Order, User};

/// An object with a global id.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "Global id, for the field `node`. Opaque: its format may change."
))]
pub(super) enum Node {
    User(Arc<User>),
    Order(Arc<Order>),
    InventoryItem(Arc<InventoryItem>),
}
