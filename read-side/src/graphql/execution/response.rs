//! A response and how far its request came.

use std::sync::Arc;

use async_graphql::{Response, Value};

use super::errors::RequestError;
use crate::graphql::schema::ErrorCode;

pub(crate) struct GraphqlResponse {
    pub(crate) status: ResponseStatus,
    pub(crate) response: Response,
}

/// How far a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseStatus {
    /// Not executed, because of an error in the request.
    Rejected,
    /// Not executed, because the document is not trusted.
    Forbidden,
    /// Executed; single fields can have failed.
    Executed,
    /// Not complete within GRAPHQL_TIMEOUT.
    TimedOut,
    /// Failed because of a bug.
    Failed,
}

impl GraphqlResponse {
    pub(super) fn new(response: Response) -> Self {
        let status =
            if was_executed(&response) { ResponseStatus::Executed } else { ResponseStatus::Rejected };
        Self { status, response }
    }

    pub(super) fn failed(status: ResponseStatus, error: RequestError) -> Self {
        Self { status, response: error.into_response() }
    }

    /// The value of the label `outcome` in metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self.status {
            ResponseStatus::Executed if self.response.errors.is_empty() => "ok",
            ResponseStatus::Executed => "errors",
            ResponseStatus::Rejected | ResponseStatus::Forbidden => "refused",
            ResponseStatus::TimedOut => "timeout",
            ResponseStatus::Failed => "broken",
        }
    }
}

impl From<RequestError> for GraphqlResponse {
    fn from(error: RequestError) -> Self {
        let is_forbidden = error.code == ErrorCode::NotTrusted;
        let status = if is_forbidden { ResponseStatus::Forbidden } else { ResponseStatus::Rejected };
        Self::failed(status, error)
    }
}

/// An error of execution has a path; a rejected document has neither a path nor data.
fn was_executed(response: &Response) -> bool {
    response.data != Value::Null || response.errors.iter().any(|error| !error.path.is_empty())
}

/// A response as JSON, as WebSocket and server-sent events send it.
pub(crate) fn to_json(response: &Response) -> Arc<str> {
    serde_json::to_string(response).expect("GraphQL values always serialise").into()
}
