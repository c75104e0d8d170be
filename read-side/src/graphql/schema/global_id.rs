//! Global ids, by Relay's specification of object identification; and the ids of single types.

use async_graphql::{ID, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millrace_domain::id::{InvalidId, OrderId, Sku, UserId};

use super::errors::invalid_value;

/// A type and the id of one of its objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GlobalId {
    User(UserId),
    Order(OrderId),
    InventoryItem(Sku),
}

impl GlobalId {
    /// The id as clients receive it.
    pub(super) fn encode(type_name: &str, id: &str) -> ID {
        ID(URL_SAFE_NO_PAD.encode(format!("{type_name}:{id}")))
    }

    /// Reads the output of [`GlobalId::encode`]; `None` for any other text.
    pub(super) fn decode(id: &ID) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(id.as_str()).ok()?;
        let (type_name, id) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
        match type_name {
            "User" => UserId::parse(id).map(Self::User).ok(),
            "Order" => OrderId::parse(id).map(Self::Order).ok(),
            "InventoryItem" => Sku::parse(id).map(Self::InventoryItem).ok(),
            _ => None,
        }
    }
}

/// Parses an id that is not global, by the same rule as REST.
///
/// # Errors
/// INVALID_VALUE
pub(super) fn parse_id<T>(id: &ID, parse: fn(&str) -> std::result::Result<T, InvalidId>) -> Result<T> {
    parse(id).map_err(|error| invalid_value(format!("id {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_returns_what_was_encoded() {
        let id = GlobalId::encode("User", "a:b@c");
        assert_eq!(GlobalId::decode(&id), Some(GlobalId::User(UserId::parse("a:b@c").unwrap())));
        for text in ["", "customer-2", "VXNlcg", "VXNlcjo", "VXNlcjphIGI", "WHl6OmE", "ä"] {
            assert_eq!(GlobalId::decode(&ID::from(text)), None, "{text}");
        }
    }
}
