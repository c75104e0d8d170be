//! The errors that fields raise. Every error of GraphQL has a stable `extensions.code`. The cause of an internal error is
//! in the log, under the `extensions.correlationId` of the error.

use async_graphql::{Error, ErrorExtensions};
use millrace_platform::telemetry::chain;
use uuid::Uuid;

use crate::read_model::ReadError;

/// The message of every internal error.
pub(crate) const INTERNAL: &str = "internal error; search the service log for the correlationId";

/// `extensions.code` of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    ParseFailed,
    ValidationFailed,
    TooLarge,
    TooDeep,
    TooComplex,
    FragmentCycle,
    IntrospectionDisabled,
    PersistedQueryNotFound,
    PersistedQueryNotSupported,
    PersistedQueryHash,
    NotTrusted,
    InvalidValue,
    Unavailable,
    TimedOut,
    ChangesMissed,
    TooManySubscriptions,
    Internal,
}

impl ErrorCode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::ValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::TooLarge => "QUERY_TOO_LARGE",
            Self::TooDeep => "QUERY_TOO_DEEP",
            Self::TooComplex => "QUERY_TOO_COMPLEX",
            Self::FragmentCycle => "FRAGMENT_CYCLE",
            Self::IntrospectionDisabled => "INTROSPECTION_DISABLED",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::PersistedQueryNotSupported => "PERSISTED_QUERY_NOT_SUPPORTED",
            Self::PersistedQueryHash => "PERSISTED_QUERY_HASH_MISMATCH",
            Self::NotTrusted => "DOCUMENT_NOT_TRUSTED",
            Self::InvalidValue => "INVALID_VALUE",
            Self::Unavailable => "UNAVAILABLE",
            Self::TimedOut => "TIMEOUT",
            Self::ChangesMissed => "CHANGES_MISSED",
            Self::TooManySubscriptions => "TOO_MANY_SUBSCRIPTIONS",
            Self::Internal => "INTERNAL",
        }
    }
}

/// An argument with an invalid value.
pub(super) fn invalid_value(message: impl Into<String>) -> Error {
    with_code(message, ErrorCode::InvalidValue)
}

/// Logs the cause of a failed query and returns an error without it.
pub(super) fn read_failed(error: &ReadError) -> Error {
    let id = Uuid::now_v7();
    tracing::error!(target: "millrace::read_side", correlation_id = %id, error = chain(error), "query failed");
    let (message, code) = match error {
        ReadError::Unavailable(_) => ("read model unavailable; retry", ErrorCode::Unavailable),
        ReadError::Broken(_) => (INTERNAL, ErrorCode::Internal),
    };
    with_code(message, code).extend_with(|_, extensions| extensions.set("correlationId", id.to_string()))
}

fn with_code(message: impl Into<String>, code: ErrorCode) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code.as_str()))
}
