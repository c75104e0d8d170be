//! Failed queries as problem documents.

use millrace_platform::problem::Problem;

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
