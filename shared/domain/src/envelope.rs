//! Reads events in six formats and writes one. docs/events.md describes the formats.
//!
//! [`decode`] looks at the headers and the outermost fields of a record, selects the format and calls its module.
//! Nothing is guessed and no default replaces a required value: a value that is missing, unknown or contradictory is
//! a [`DecodeError`]. Pure: no IO, no clock.

mod bare_order;
mod cloud_event;
mod error;
mod event_envelope;
mod flat_camel;
mod flat_pascal;
mod order_event;
mod payload;
mod payload_envelope;
pub mod wire;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::record::{HeaderView, Record};
use event_envelope::Decoded;
use wire::Str;

pub use cloud_event::CONTENT_TYPE;
pub use error::{DecodeError, JSON_DEPTH_MAX};
pub use event_envelope::Envelope;
pub use order_event::ProductOrder;

/// The fields that distinguish the formats; everything else is skipped.
#[derive(Deserialize)]
struct Outline<'a> {
    specversion: Option<IgnoredAny>,
    #[serde(rename = "type")]
    kind: Option<IgnoredAny>,
    payload: Option<IgnoredAny>,
    #[serde(borrow, rename = "eventType", alias = "EventType")]
    camel_type: Option<Str<'a>>,
    #[serde(rename = "event_type")]
    snake_type: Option<IgnoredAny>,
    data: Option<IgnoredAny>,
    id: Option<IgnoredAny>,
    user_id: Option<IgnoredAny>,
    total: Option<IgnoredAny>,
}

/// Decodes a record in any of the six formats.
///
/// # Errors
/// [`DecodeError`] for a record that is not a complete event of a known type, or whose key does not match.
pub fn decode(record: &Record<'_>) -> Result<Envelope, DecodeError> {
    let decoded = decode_unkeyed(record.payload, record.headers, record.topic, record.key)?;
    check_key(record.key, &decoded)?;
    Ok(decoded.envelope)
}

/// Decodes a payload that is not in a log yet and has neither key nor headers.
///
/// # Errors
/// [`DecodeError`] as for [`decode`], except for the errors about the key.
pub fn decode_payload(payload: &[u8], topic: &str) -> Result<Envelope, DecodeError> {
    decode_unkeyed(Some(payload), HeaderView::default(), topic, None).map(|decoded| decoded.envelope)
}

/// Longest id or type that [`identity_hint`] returns, in bytes.
const HINT_BYTES_MAX: usize = 128;

/// Event id and type of a record that does not decode, as far as they can be read. For display only: both are
/// unchecked.
pub fn identity_hint(record: &Record<'_>) -> (Option<String>, Option<String>) {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Hint {
        #[serde(alias = "eventId", alias = "EventId", alias = "event_id")]
        id: Option<String>,
        #[serde(rename = "type", alias = "eventType", alias = "EventType", alias = "event_type")]
        kind: Option<String>,
    }
    let body: Hint = payload::text(record.payload)
        .ok()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let header =
        |names: [&str; 2]| names.into_iter().find_map(|name| record.headers.get_str(name)).map(str::to_owned);
    let short = |text: &String| text.len() <= HINT_BYTES_MAX;
    (
        header(["ce_id", "eventId"]).or(body.id).filter(short),
        header(["ce_type", "eventType"]).or(body.kind).filter(short),
    )
}

/// Decodes the body of `POST /order`, a bare order (S4 in docs/events.md).
///
/// # Errors
/// [`DecodeError`] as for [`decode`].
pub fn decode_bare_order(body: &[u8], topic: &str) -> Result<Envelope, DecodeError> {
    let text = payload::text(Some(body))?;
    bare_order::decode(text, topic, None).map(|decoded| decoded.envelope)
}

/// Reads a JSON object into the fields of `T`.
///
/// # Errors
/// [`DecodeError`] when the bytes are not a JSON object with these fields.
pub fn read_object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, DecodeError> {
    let text = payload::text(Some(body))?;
    payload::check_object(text)?;
    wire::from_json(text)
}

fn decode_unkeyed(
    bytes: Option<&[u8]>,
    headers: HeaderView<'_>,
    topic: &str,
    key: Option<&[u8]>,
) -> Result<Decoded, DecodeError> {
    let text = payload::text(bytes)?;
    let header = |name| headers.get_str(name);
    let content_type = header("content-type").unwrap_or_default();
    if content_type.starts_with("application/cloudevents") {
        return cloud_event::decode_structured(text);
    }
    if header("ce_specversion").is_some() || header("ce_id").is_some() {
        return cloud_event::decode_binary(text, headers);
    }
    payload::check_object(text)?;
    // The order of the checks is part of the contract with older producers (docs/events.md): the formats overlap.
    let outline: Outline<'_> = wire::from_json(text)?;
    let header_type = header("eventType");
    let body_type = outline.camel_type.as_deref();
    match () {
        () if outline.specversion.is_some() => cloud_event::decode_structured(text),
        () if outline.kind.is_some() && outline.payload.is_some() => payload_envelope::decode(text),
        () if header_type.is_some() || body_type.is_some_and(|t| t.ends_with("Event")) => {
            flat_pascal::decode(text, header_type, header("eventId"))
        }
        () if body_type.is_some() => flat_camel::decode(text),
        () if outline.snake_type.is_some() && outline.data.is_some() => order_event::decode(text),
        () if outline.id.is_some()
            && outline.user_id.is_some()
            && outline.total.is_some()
            && outline.kind.is_none() =>
        {
            bare_order::decode(text, topic, key)
        }
        () => Err(DecodeError::UnrecognisedShape),
    }
}

fn check_key(key: Option<&[u8]>, decoded: &Decoded) -> Result<(), DecodeError> {
    let expected = decoded.envelope.event.partition_key();
    match key {
        None | Some(b"") => Err(DecodeError::MissingKey(expected.to_owned())),
        Some(key) if key == expected.as_bytes() => Ok(()),
        Some(key) if decoded.other_keys.iter().any(|other| other.as_bytes() == key) => Ok(()),
        Some(key) => Err(DecodeError::KeyMismatch {
            key: String::from_utf8_lossy(key).into_owned(),
            expected: expected.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;
