//! The results of a review: how a letter was closed, letters grouped by cause, why a review failed.

use std::error::Error;

use millrace_domain::{Position, Timestamp};
use millrace_event_log::LogError;
use serde::Serialize;
use utoipa::ToSchema;

/// How a letter was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Its record was appended to the log again.
    Redriven,
    /// It was discarded.
    Discarded,
}

impl Resolution {
    /// As the tables store it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redriven => "redriven",
            Self::Discarded => "discarded",
        }
    }
}

/// Open letters with the same reason and type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LetterGroup {
    /// As in [`super::letter::DeadLetter`].
    pub reason: String,
    /// Empty when it is unknown.
    pub event_type: String,
    pub count: u64,
    /// When the first died.
    #[schema(value_type = String, format = DateTime)]
    pub oldest: Timestamp,
    /// When the last died.
    #[schema(value_type = String, format = DateTime)]
    pub newest: Timestamp,
    /// The position of one of them.
    #[schema(value_type = String)]
    pub example: Position,
}

/// Why letters could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// The store is unavailable, or its answer is an error.
    #[error("dead letters unavailable")]
    Store(#[source] Box<dyn Error + Send + Sync>),
    /// The log did not take the record; the letter stays open.
    #[error("failed to append the letter to the event log")]
    Log(#[from] LogError),
}
