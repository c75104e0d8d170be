//! The error of the event log. Below both adapters.

/// Whether to retry is the only distinction that callers make.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log cannot be reached, is full or is too slow. A retry may succeed.
    #[error("event log unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A retry cannot succeed: a setting or the log itself must be changed.
    #[error("{0}")]
    Fatal(String),
}

impl LogError {
    pub(crate) fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into())
    }
}
