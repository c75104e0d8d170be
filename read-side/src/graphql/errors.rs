//! What clients are told when something goes wrong: every error has a stable `extensions.code`, and none tells of the
//! inside. What happened there is in the log, under the error's `extensions.correlationId`.

use async_graphql::{Error, ErrorExtensions, Response, ServerError, Value};
use millrace_platform::telemetry::chain;
use uuid::Uuid;

use crate::read_model::ReadError;

/// Longest message. The library repeats parts of the request in its own.
const MESSAGE_CHARS_MAX: usize = 300;

/// Why a request got no data, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
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

impl Code {
    fn as_str(self) -> &'static str {
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

/// A request that is not executed.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) code: Code,
    /// In a box, because it is many times as large as what goes well.
    pub(super) error: Box<ServerError>,
}

impl Refused {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self::of(code, ServerError::new(message, None))
    }

    /// A document that cannot be parsed.
    pub(super) fn unparsable(error: async_graphql::parser::Error) -> Self {
        Self::of(Code::ParseFailed, error.into())
    }

    /// What must never happen: logged under an id that the client is told.
    pub(super) fn internal(what: &str) -> Self {
        let id = Uuid::now_v7();
        tracing::error!(correlation_id = %id, error = what, "a GraphQL request has failed");
        let mut refused = Self::new(Code::Internal, "Internal error.");
        refused.error.extensions.get_or_insert_default().set("correlationId", id.to_string());
        refused
    }

    fn of(code: Code, mut error: ServerError) -> Self {
        error.extensions.get_or_insert_default().set("code", code.as_str());
        Self { code, error: Box::new(error) }
    }

    pub(super) fn into_response(mut self) -> Response {
        shorten(&mut self.error.message);
        Response::from_errors(vec![*self.error])
    }
}

/// An argument that cannot be accepted.
pub(super) fn invalid(message: impl Into<String>) -> Error {
    with_code(message, Code::InvalidValue)
}

fn with_code(message: impl Into<String>, code: Code) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code.as_str()))
}

/// Logs why a query failed and gives the error that hides it.
pub(super) fn masked(error: &ReadError) -> Error {
    let id = Uuid::now_v7();
    tracing::error!(correlation_id = %id, error = chain(error), "a query has failed");
    let (message, code) = match error {
        ReadError::Unavailable(_) => ("The read model is unavailable.", Code::Unavailable),
        ReadError::Broken(_) => ("Internal error.", Code::Internal),
    };
    with_code(message, code).extend_with(|_, extensions| extensions.set("correlationId", id.to_string()))
}

/// Gives the library's own errors a code, and bounds what they repeat.
pub(super) fn finish(response: &mut Response) {
    for error in &mut response.errors {
        shorten(&mut error.message);
        let code = code_of(error);
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_none() {
            extensions.set("code", Value::from(code.as_str()));
        }
    }
}

/// The library tells its errors apart by their words only.
fn code_of(error: &ServerError) -> Code {
    match error.message.as_str() {
        "Query is too complex." => Code::TooComplex,
        "Query is nested too deep." => Code::TooDeep,
        // Resolvers give their own codes, so what fails in execution without one is an argument that does not fit.
        _ if !error.path.is_empty() => Code::InvalidValue,
        _ => Code::ValidationFailed,
    }
}

fn shorten(message: &mut String) {
    if let Some((end, _)) = message.char_indices().nth(MESSAGE_CHARS_MAX) {
        message.truncate(end);
        message.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_between_characters() {
        let mut message = "ä".repeat(MESSAGE_CHARS_MAX);
        shorten(&mut message);
        assert_eq!(message.chars().count(), MESSAGE_CHARS_MAX);
        message.push_str("🌸🌸");
        shorten(&mut message);
        assert!(message.ends_with("ä…"), "{message}");
    }
}
