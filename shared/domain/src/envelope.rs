//! An event with what stands beside it, read from six wire shapes and written in one.
//!
//! Reading is `decode`: it looks at a record's headers and outermost fields, decides the shape by the order that
//! EVENTS.md fixes, and hands the bytes to that shape's file. Nothing is guessed and nothing is filled with
//! blanks: what is missing, unknown or contradictory is a [`DecodeError`]. Pure: no IO, no clock.

mod bare_order;
mod cloud_event;
mod flat_camel;
mod flat_pascal;
mod order_event;
mod payload_envelope;
pub mod wire;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::event::Event;
use crate::id::EventId;
use crate::record::{HeaderView, Headers, NewRecord, PAYLOAD_BYTES_MAX, Record};
use crate::text::CorrelationId;
use crate::timestamp::Timestamp;
use wire::Str;

pub use cloud_event::CONTENT_TYPE;
pub use order_event::ProductOrder;

/// Deepest nesting of arrays and objects that is read.
pub const JSON_DEPTH_MAX: usize = 64;

/// An event and what stands beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Decides what is a repetition.
    pub event_id: EventId,
    /// Decides what is newer.
    pub occurred_at: Timestamp,
    /// Ties it to the command it came from.
    pub correlation_id: Option<CorrelationId>,
    /// What happened.
    pub event: Event,
}

impl Envelope {
    /// An event of our own, now.
    pub fn new(event: Event, occurred_at: Timestamp, correlation_id: Option<CorrelationId>) -> Self {
        Self { event_id: EventId::generate(), occurred_at, correlation_id, event }
    }

    /// The canonical form: structured CloudEvents JSON, its content type, the partition key as key.
    pub fn to_record(&self) -> NewRecord {
        NewRecord {
            key: Some(self.event.partition_key().as_bytes().to_vec()),
            payload: cloud_event::encode(self),
            headers: Headers::EMPTY.with("content-type", CONTENT_TYPE.as_bytes()),
        }
    }
}

/// Why a record is not an event. Each becomes the reason of a dead letter or the detail of a 4xx answer.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No payload, or one of zero bytes.
    #[error("the payload is empty")]
    EmptyPayload,
    /// More than [`PAYLOAD_BYTES_MAX`] bytes.
    #[error("the payload has {0} bytes; at most {PAYLOAD_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// More than [`JSON_DEPTH_MAX`] arrays or objects inside each other.
    #[error("the JSON is nested more than {JSON_DEPTH_MAX} levels deep")]
    TooDeep,
    /// The bytes are not text.
    #[error("the payload is not UTF-8")]
    InvalidUtf8(#[source] std::str::Utf8Error),
    /// The text is not JSON.
    #[error("the payload is not JSON")]
    InvalidJson(#[source] serde_json::Error),
    /// JSON of none of the six shapes.
    #[error("unrecognised shape: neither a CloudEvent nor one of the five older forms")]
    UnrecognisedShape,
    /// A known shape with a type that is not one of the four.
    #[error("unknown event type {0:?}")]
    UnknownType(String),
    /// A known type in a version that this program does not know.
    #[error("unknown schema version {0:?}")]
    UnknownVersion(String),
    /// A required field is absent, null or empty of meaning.
    #[error("the field {0} is missing")]
    MissingField(&'static str),
    /// A field holds what it may not.
    #[error("the field {field} {problem}")]
    InvalidField {
        /// Its name on the wire.
        field: &'static str,
        /// What is wrong, as the end of a sentence that begins with the field.
        problem: String,
    },
    /// A field is of another JSON type, or stands there twice.
    #[error("a field has the wrong type or stands there twice")]
    InvalidType(#[source] serde_json::Error),
    /// The record has no key, so nothing says which partition it belongs to.
    #[error("the record has no key; expected {0:?}")]
    MissingKey(String),
    /// The record's key names another aggregate than the payload.
    #[error("the key {key:?} contradicts the payload; expected {expected:?}")]
    KeyMismatch {
        /// The record's key.
        key: String,
        /// The aggregate in the payload.
        expected: String,
    },
}

impl DecodeError {
    /// A short, stable word for the kind of error: the reason of dead letters and a metric label.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::EmptyPayload => "empty-payload",
            Self::TooLarge(_) => "too-large",
            Self::TooDeep => "too-deep",
            Self::InvalidUtf8(_) => "invalid-utf8",
            Self::InvalidJson(_) => "invalid-json",
            Self::UnrecognisedShape => "unrecognised-shape",
            Self::UnknownType(_) => "unknown-type",
            Self::UnknownVersion(_) => "unknown-version",
            Self::MissingField(_) => "missing-field",
            Self::InvalidField { .. } | Self::InvalidType(_) => "invalid-field",
            Self::MissingKey(_) => "missing-key",
            Self::KeyMismatch { .. } => "key-mismatch",
        }
    }
}

/// The fields that tell the shapes apart; everything else is skipped.
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

/// Reads a record in any of the six shapes.
///
/// The payload is read where it lies; only the fields that are kept are copied.
///
/// # Errors
/// [`DecodeError`] for everything that is not a whole, known and consistent event.
pub fn decode(record: &Record<'_>) -> Result<Envelope, DecodeError> {
    let decoded = decode_unkeyed(record.payload, record.headers, record.topic, record.key)?;
    check_key(record.key, &decoded)?;
    Ok(decoded.envelope)
}

/// Reads a payload that is not in a log yet, and so has no key and no headers: to find its key.
///
/// # Errors
/// [`DecodeError`] as for [`decode`], but for the key.
pub fn decode_payload(payload: &[u8], topic: &str) -> Result<Envelope, DecodeError> {
    decode_unkeyed(Some(payload), HeaderView::default(), topic, None).map(|decoded| decoded.envelope)
}

/// Longest id or type that [`identity_hint`] repeats, in bytes.
const HINT_BYTES_MAX: usize = 128;

/// The id and type of a record that could not be decoded, as far as they can be told: for a person to read only.
pub fn identity_hint(record: &Record<'_>) -> (Option<String>, Option<String>) {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Hint {
        #[serde(alias = "eventId", alias = "EventId", alias = "event_id")]
        id: Option<String>,
        #[serde(rename = "type", alias = "eventType", alias = "EventType", alias = "event_type")]
        kind: Option<String>,
    }
    let body: Hint = payload_text(record.payload)
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

/// Reads the body of `POST /order`: S4's bare order, which names its topic nowhere.
///
/// # Errors
/// [`DecodeError`] as for [`decode`].
pub fn decode_bare_order(body: &[u8], topic: &str) -> Result<Envelope, DecodeError> {
    let text = payload_text(Some(body))?;
    bare_order::decode(text, topic, None).map(|decoded| decoded.envelope)
}

/// Reads a JSON object into the fields of `T`.
///
/// # Errors
/// [`DecodeError`] when the bytes are no JSON object of that form.
pub fn read_object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, DecodeError> {
    let text = payload_text(Some(body))?;
    if !text.trim_start().starts_with('{') {
        serde_json::from_str::<IgnoredAny>(text).map_err(DecodeError::InvalidJson)?;
        return Err(DecodeError::UnrecognisedShape);
    }
    wire::from_json(text)
}

/// What a shape's file returns: the event and the keys under which its system may have sent it.
struct Decoded {
    envelope: Envelope,
    /// Other ids in the payload. The older systems did not all key by aggregate, so these do not contradict.
    other_keys: Vec<Box<str>>,
}

fn decode_unkeyed(
    payload: Option<&[u8]>,
    headers: HeaderView<'_>,
    topic: &str,
    key: Option<&[u8]>,
) -> Result<Decoded, DecodeError> {
    let text = payload_text(payload)?;
    let header = |name| headers.get_str(name);
    let content_type = header("content-type").unwrap_or_default();
    if content_type.starts_with("application/cloudevents") {
        return cloud_event::decode_structured(text);
    }
    if header("ce_specversion").is_some() || header("ce_id").is_some() {
        return cloud_event::decode_binary(text, headers);
    }
    if !text.trim_start().starts_with('{') {
        serde_json::from_str::<IgnoredAny>(text).map_err(DecodeError::InvalidJson)?;
        return Err(DecodeError::UnrecognisedShape);
    }
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

fn payload_text(payload: Option<&[u8]>) -> Result<&str, DecodeError> {
    let payload = payload.unwrap_or_default();
    if payload.is_empty() {
        return Err(DecodeError::EmptyPayload);
    }
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(DecodeError::TooLarge(payload.len()));
    }
    let text = std::str::from_utf8(payload).map_err(DecodeError::InvalidUtf8)?;
    if is_too_deep(payload) { Err(DecodeError::TooDeep) } else { Ok(text) }
}

/// Whether JSON is nested deeper than [`JSON_DEPTH_MAX`]. Fields that are skipped would escape serde's own limit.
fn is_too_deep(json: &[u8]) -> bool {
    // Counted in bytes, a chunk at a time, which the compiler turns into vector instructions.
    let openings = |chunk: &[u8]| chunk.iter().map(|c| u8::from(matches!(c, b'{' | b'['))).sum::<u8>();
    let opening: usize = json.chunks(128).map(|chunk| usize::from(openings(chunk))).sum();
    if opening <= JSON_DEPTH_MAX {
        return false;
    }
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest > JSON_DEPTH_MAX
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
