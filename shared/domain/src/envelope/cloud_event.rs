//! The canonical form: CloudEvents 1.0 in JSON, structured or binary mode. The only format that is written.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::DecodeError;
use super::event_envelope::{Decoded, Envelope};
use super::wire::{self, Fields, Str};
use crate::event::{Event, EventType};
use crate::record::{HeaderView, Headers, NewRecord};
use crate::timestamp::Timestamp;

/// The `content-type` header of a structured CloudEvent.
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=UTF-8";

const SPEC_VERSION: &str = "1.0";
const SOURCE: &str = "/millrace/write-side";

#[derive(Deserialize)]
struct Structured<'a> {
    #[serde(borrow)]
    specversion: Option<Str<'a>>,
    #[serde(borrow)]
    id: Option<Str<'a>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    time: Option<Str<'a>>,
    #[serde(borrow)]
    dataschema: Option<Str<'a>>,
    #[serde(borrow, rename = "correlationId", alias = "correlationid")]
    correlation_id: Option<Str<'a>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The attributes of either mode.
struct Attributes<'a> {
    specversion: Option<&'a str>,
    id: Option<&'a Str<'a>>,
    kind: Option<&'a str>,
    time: Option<&'a Str<'a>>,
    dataschema: Option<&'a str>,
    correlation_id: Option<&'a Str<'a>>,
}

pub(super) fn decode_structured(text: &str) -> Result<Decoded, DecodeError> {
    let event: Structured<'_> = wire::from_json(text)?;
    let attributes = Attributes {
        specversion: event.specversion.as_deref(),
        id: event.id.as_ref(),
        kind: event.kind.as_deref(),
        time: event.time.as_ref(),
        dataschema: event.dataschema.as_deref(),
        correlation_id: event.correlation_id.as_ref(),
    };
    decode(&attributes, event.data.map(RawValue::get))
}

pub(super) fn decode_binary(text: &str, headers: HeaderView<'_>) -> Result<Decoded, DecodeError> {
    let header = |name| headers.get_str(name).map(Str::from);
    let (id, time) = (header("ce_id"), header("ce_time"));
    let correlation_id = header("ce_correlationid");
    let attributes = Attributes {
        specversion: headers.get_str("ce_specversion").or(Some(SPEC_VERSION)),
        id: id.as_ref(),
        kind: headers.get_str("ce_type"),
        time: time.as_ref(),
        dataschema: headers.get_str("ce_dataschema"),
        correlation_id: correlation_id.as_ref(),
    };
    decode(&attributes, Some(text))
}

fn decode(attributes: &Attributes<'_>, data: Option<&str>) -> Result<Decoded, DecodeError> {
    let version = wire::required("specversion", attributes.specversion)?;
    if version != SPEC_VERSION {
        return Err(DecodeError::UnknownVersion(version.to_owned()));
    }
    let kind = wire::required("type", attributes.kind.filter(|kind| !kind.is_empty()))?;
    let event_type = EventType::parse(kind).ok_or_else(|| DecodeError::UnknownType(kind.to_owned()))?;
    check_schema(event_type, attributes.dataschema)?;
    let event_id = wire::id("id", attributes.id)?;
    let occurred_at = wire::time("time", attributes.time)?;
    let correlation_id = wire::optional_text("correlationId", attributes.correlation_id)?;
    let fields: Fields<'_> = wire::from_json(wire::required("data", data)?)?;
    let event = fields.event(event_type, occurred_at)?;
    let envelope = Envelope { event_id, occurred_at, correlation_id, event };
    Ok(Decoded { envelope, other_keys: Vec::new() })
}

/// `dataschema` is optional, but if present it must be `/schemas/<type>/1`.
fn check_schema(event_type: EventType, schema: Option<&str>) -> Result<(), DecodeError> {
    let known = |schema: &str| {
        schema.strip_prefix("/schemas/").and_then(|rest| rest.split_once('/'))
            == Some((event_type.as_str(), "1"))
    };
    match schema {
        Some(schema) if !known(schema) => Err(DecodeError::UnknownVersion(schema.to_owned())),
        _ => Ok(()),
    }
}

#[derive(Serialize)]
struct Encoded<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a str,
    time: Timestamp,
    dataschema: &'static str,
    datacontenttype: &'static str,
    #[serde(rename = "correlationId", skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    data: &'a Event,
}

impl Envelope {
    /// The envelope as a record: structured CloudEvents JSON, keyed by the aggregate.
    pub fn to_record(&self) -> NewRecord {
        NewRecord {
            key: Some(self.event.partition_key().as_bytes().to_vec()),
            payload: encode(self),
            headers: Headers::EMPTY.with("content-type", CONTENT_TYPE.as_bytes()),
        }
    }
}

/// The payload in structured mode.
fn encode(envelope: &Envelope) -> Vec<u8> {
    let event_type = envelope.event.event_type();
    let encoded = Encoded {
        specversion: SPEC_VERSION,
        id: envelope.event_id.as_str(),
        source: SOURCE,
        kind: event_type.as_str(),
        subject: envelope.event.partition_key(),
        time: envelope.occurred_at,
        dataschema: match event_type {
            EventType::UserCreated => "/schemas/UserCreated/1",
            EventType::OrderPlaced => "/schemas/OrderPlaced/1",
            EventType::PaymentSettled => "/schemas/PaymentSettled/1",
            EventType::InventoryAdjusted => "/schemas/InventoryAdjusted/1",
        },
        datacontenttype: "application/json",
        correlation_id: envelope.correlation_id.as_ref().map(|id| id.as_str()),
        data: &envelope.event,
    };
    serde_json::to_vec(&encoded).expect("strings, numbers and lists always serialise")
}
