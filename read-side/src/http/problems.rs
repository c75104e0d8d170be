//! Errors of the read side as problem documents.

use axum::http::StatusCode;
use millrace_platform::problem::Problem;

use crate::consistency::ConsistencyError;
use crate::read_model::ReadError;

impl From<ReadError> for Problem {
    /// Logs the cause and hides it from the client.
    fn from(error: ReadError) -> Self {
        error.log();
        match error {
            ReadError::Unavailable(_) => Self::unavailable("read model unavailable; retry after a second"),
            ReadError::Broken(_) => Self::internal(),
        }
    }
}

impl From<ConsistencyError> for Problem {
    fn from(error: ConsistencyError) -> Self {
        let status = match error {
            ConsistencyError::Malformed(_) => StatusCode::BAD_REQUEST,
            ConsistencyError::UnknownTopic => StatusCode::UNPROCESSABLE_ENTITY,
            ConsistencyError::NotYetProjected { .. } => StatusCode::SERVICE_UNAVAILABLE,
        };
        let problem = Self::new(status, error.kind()).detail(error.to_string());
        if status == StatusCode::SERVICE_UNAVAILABLE { problem.retry_after(1) } else { problem }
    }
}
