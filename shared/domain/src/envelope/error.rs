//! Why a record is not an event. Below all formats, so that each of them can return it.

use crate::record::PAYLOAD_BYTES_MAX;

/// Deepest nesting of arrays and objects that is read.
pub const JSON_DEPTH_MAX: usize = 64;

/// A record or a request body that is not an event. Becomes the reason of a dead letter or the detail of a problem.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the payload is empty")]
    EmptyPayload,
    #[error("the payload has {0} bytes; at most {PAYLOAD_BYTES_MAX} are allowed")]
    TooLarge(usize),
    #[error("the JSON is nested more than {JSON_DEPTH_MAX} levels deep")]
    TooDeep,
    #[error("the payload is not UTF-8")]
    InvalidUtf8(#[source] std::str::Utf8Error),
    #[error("the payload is not JSON")]
    InvalidJson(#[source] serde_json::Error),
    #[error("unrecognised shape: neither a CloudEvent nor one of the five older formats")]
    UnrecognisedShape,
    /// A known format with a type that is not one of the four.
    #[error("unknown event type {0:?}")]
    UnknownType(String),
    #[error("unknown schema version {0:?}")]
    UnknownVersion(String),
    /// A required field is absent, null or empty.
    #[error("the field {0} is missing")]
    MissingField(&'static str),
    #[error("the field {field} {problem}")]
    InvalidField {
        /// The field's name in the payload.
        field: &'static str,
        /// The rest of a sentence that begins with the field, for example "must not be empty".
        problem: String,
    },
    #[error("a field has the wrong type or appears twice")]
    InvalidType(#[source] serde_json::Error),
    #[error("the record has no key; expected {0:?}")]
    MissingKey(String),
    #[error("the key {key:?} does not match the payload; expected {expected:?}")]
    KeyMismatch { key: String, expected: String },
}

impl DecodeError {
    /// The stable word for the kind of error: the reason of dead letters and a metric label.
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
