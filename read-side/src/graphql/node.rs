//! Global ids and the interface Node, by Relay's specification of object identification.

use std::sync::Arc;

use async_graphql::{ID, Interface};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millrace_domain::id::{OrderId, Sku, UserId};

use crate::view::{InventoryItem, Order, User};

/// Whatever can be found again by its global id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "Global id, for `node`. Opaque: what is in it may change."))]
pub(super) enum Node {
    User(Arc<User>),
    Order(Arc<Order>),
    InventoryItem(Arc<InventoryItem>),
}

/// What a global id names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GlobalId {
    User(UserId),
    Order(OrderId),
    InventoryItem(Sku),
}

impl GlobalId {
    /// The id as clients carry it about.
    pub(super) fn encode(kind: &str, id: &str) -> ID {
        ID(URL_SAFE_NO_PAD.encode(format!("{kind}:{id}")))
    }

    /// Reads what [`GlobalId::encode`] wrote; `None` for anything else.
    pub(super) fn decode(id: &ID) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(id.as_str()).ok()?;
        let (kind, id) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
        match kind {
            "User" => UserId::parse(id).map(Self::User).ok(),
            "Order" => OrderId::parse(id).map(Self::Order).ok(),
            "InventoryItem" => Sku::parse(id).map(Self::InventoryItem).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_ids_come_back_as_they_went() {
        let id = GlobalId::encode("User", "a:b@c");
        assert_eq!(GlobalId::decode(&id), Some(GlobalId::User(UserId::parse("a:b@c").unwrap())));
        for text in ["", "customer-2", "VXNlcg", "VXNlcjo", "VXNlcjphIGI", "WHl6OmE", "ä"] {
            assert_eq!(GlobalId::decode(&ID::from(text)), None, "{text}");
        }
    }
}
