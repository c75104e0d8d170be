//! The errors and the checkpoints of the read model's port.

use std::collections::HashMap;
use std::error::Error;

use millrace_platform::telemetry::chain;

/// By topic and partition, the offset before which everything is projected.
pub type Checkpoints = HashMap<Box<str>, HashMap<i32, i64>>;

/// Why the read model cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("read model {name}: {source}")]
pub struct OpenError {
    /// The store, without a password.
    pub(super) name: String,
    pub(super) is_temporary: bool,
    pub(super) source: Box<dyn Error + Send + Sync>,
}

impl OpenError {
    /// Whether a retry can succeed: the server is unavailable, or the database missing or too old. Not after a rejected
    /// login, nor with the database of a newer program.
    pub fn is_temporary(&self) -> bool {
        self.is_temporary
    }
}

/// Why a query failed. The cause is for the log, never for the client.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store is unavailable or busy; a retry may succeed.
    #[error("read model unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// A bug or a damaged row; a retry does not help.
    #[error("invalid row in the read model")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

impl ReadError {
    /// Logs the error with its causes. Called once, where the error is handled.
    pub(crate) fn log(&self) {
        tracing::error!(target: "millrace::read_side", error = chain(self), "query failed");
    }
}
