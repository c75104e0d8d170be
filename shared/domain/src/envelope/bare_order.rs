//! The bare order: an order without an envelope (S4 in docs/events.md).
//!
//! Its event id is derived from the record, so that a repetition is a duplicate.

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::error::DecodeError;
use super::event_envelope::{Decoded, Envelope};
use super::wire::{self, Str};
use crate::event::{Event, OrderPlaced};
use crate::id::EventId;

#[derive(Deserialize)]
struct BareOrder<'a> {
    #[serde(borrow)]
    id: Option<Str<'a>>,
    #[serde(borrow)]
    user_id: Option<Str<'a>>,
    #[serde(borrow)]
    total: Option<&'a RawValue>,
    #[serde(borrow)]
    currency: Option<Str<'a>>,
    #[serde(borrow)]
    status: Option<Str<'a>>,
    #[serde(borrow)]
    timestamp: Option<Str<'a>>,
}

/// Topic and key are part of the derived event id. A record without a key has the id of one keyed by its order.
pub(super) fn decode(text: &str, topic: &str, key: Option<&[u8]>) -> Result<Decoded, DecodeError> {
    let body: BareOrder<'_> = wire::from_json(text)?;
    let occurred_at = wire::time("timestamp", body.timestamp.as_ref())?;
    let order = OrderPlaced {
        order_id: wire::id("id", body.id.as_ref())?,
        user_id: wire::id("user_id", body.user_id.as_ref())?,
        amount: wire::amount("total", body.total)?,
        currency: wire::currency(body.currency.as_ref())?,
        status: wire::order_status(body.status.as_ref())?,
        placed_at: occurred_at,
        items: Vec::new(),
    };
    let key = key.unwrap_or(order.order_id.as_str().as_bytes());
    let timestamp = body.timestamp.as_deref().unwrap_or_default();
    let event_id = event_id(topic, key, timestamp, text);
    let other_keys = vec![order.user_id.as_str().into()];
    let envelope = Envelope { event_id, occurred_at, correlation_id: None, event: Event::OrderPlaced(order) };
    Ok(Decoded { envelope, other_keys })
}

/// UUIDv5 of (topic, key, timestamp, body), each with its length in front so that different tuples never give the same
/// bytes.
fn event_id(topic: &str, key: &[u8], timestamp: &str, body: &str) -> EventId {
    let mut name = Vec::with_capacity(topic.len() + key.len() + timestamp.len() + body.len() + 32);
    for part in [topic.as_bytes(), key, timestamp.as_bytes(), body.as_bytes()] {
        name.extend_from_slice(&part.len().to_le_bytes());
        name.extend_from_slice(part);
    }
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &name).into()
}
