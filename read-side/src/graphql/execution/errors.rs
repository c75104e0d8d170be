//! Errors of a request that is not executed, and the codes of the library's own errors.

use async_graphql::{Response, ServerError, Value};
use uuid::Uuid;

use crate::graphql::schema::{ErrorCode, INTERNAL};

/// Longest message. The library's messages repeat parts of the request.
const MESSAGE_CHARS_MAX: usize = 300;

/// Why a request is not executed.
#[derive(Debug, Clone)]
pub(crate) struct RequestError {
    pub(crate) code: ErrorCode,
    /// Boxed, because it is much larger than the usual `Ok`.
    pub(super) error: Box<ServerError>,
}

impl RequestError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::with_code(code, ServerError::new(message, None))
    }

    pub(super) fn parse_failed(error: async_graphql::parser::Error) -> Self {
        Self::with_code(ErrorCode::ParseFailed, error.into())
    }

    /// Logs a bug under an id, which the client receives instead of the cause.
    pub(super) fn internal(cause: &str) -> Self {
        let id = Uuid::now_v7();
        tracing::error!(target: "millrace::read_side", correlation_id = %id, error = cause, "GraphQL request failed");
        let mut error = Self::new(ErrorCode::Internal, INTERNAL);
        error.error.extensions.get_or_insert_default().set("correlationId", id.to_string());
        error
    }

    fn with_code(code: ErrorCode, mut error: ServerError) -> Self {
        error.extensions.get_or_insert_default().set("code", code.as_str());
        Self { code, error: Box::new(error) }
    }

    pub(crate) fn into_response(mut self) -> Response {
        shorten(&mut self.error.message);
        Response::from_errors(vec![*self.error])
    }
}

/// Adds a code to the library's own errors and shortens their messages.
pub(super) fn complete(response: &mut Response) {
    for error in &mut response.errors {
        shorten(&mut error.message);
        let code = code_of(error);
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_none() {
            extensions.set("code", Value::from(code.as_str()));
        }
    }
}

/// The library distinguishes its errors by their messages only.
fn code_of(error: &ServerError) -> ErrorCode {
    match error.message.as_str() {
        "Query is too complex." => ErrorCode::TooComplex,
        "Query is nested too deep." => ErrorCode::TooDeep,
        // Fields set their own codes. An error of execution without a code is an argument of the wrong type.
        _ if !error.path.is_empty() => ErrorCode::InvalidValue,
        _ => ErrorCode::ValidationFailed,
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
