//! The payload envelope: `{eventId, type, occurredAt, key, payload}` (S0 in docs/events.md).

use serde::Deserialize;

use super::error::DecodeError;
use super::event_envelope::{Decoded, Envelope};
use super::wire::{self, Fields, Str};
use crate::event::EventType;
use crate::id::EventId;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PayloadEnvelope<'a> {
    #[serde(borrow)]
    event_id: Option<Str<'a>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    occurred_at: Option<Str<'a>>,
    #[serde(borrow)]
    key: Option<Str<'a>>,
    #[serde(borrow)]
    payload: Option<Fields<'a>>,
}

pub(super) fn decode(text: &str) -> Result<Decoded, DecodeError> {
    let body: PayloadEnvelope<'_> = wire::from_json(text)?;
    let kind = wire::required("type", body.kind)?;
    let event_type = EventType::parse(&kind).ok_or_else(|| DecodeError::UnknownType(kind.to_string()))?;
    let occurred_at = wire::time("occurredAt", body.occurred_at.as_ref())?;
    let event_id: EventId = wire::id("eventId", body.event_id.as_ref())?;
    let event = wire::required("payload", body.payload)?.event(event_type, occurred_at)?;
    match body.key {
        Some(key) if &*key != event.partition_key() => {
            Err(DecodeError::KeyMismatch { key: key.to_string(), expected: event.partition_key().to_owned() })
        }
        _ => {
            let other_keys = vec![event_id.as_str().into()];
            let envelope = Envelope { event_id, occurred_at, correlation_id: None, event };
            Ok(Decoded { envelope, other_keys })
        }
    }
}
