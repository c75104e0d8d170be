//! What the routes of the command port work on, and the append that they share.

use std::time::Instant;

use millrace_domain::{NewRecord, Position};
use millrace_event_log::{EventLog, LogError};
use millrace_platform::problem::Problem;
use millrace_platform::telemetry::chain;

use crate::idempotency::IdempotencyKeys;
use crate::metrics::CommandMetrics;

/// Largest body of a route that takes many commands at once, in bytes.
pub(super) const BULK_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The parts that the routes use.
#[derive(Debug)]
pub struct Commands {
    /// Where events go.
    pub log: EventLog,
    /// The keys of commands that were tried.
    pub idempotency: IdempotencyKeys,
    /// What is counted.
    pub metrics: CommandMetrics,
}

/// The log did not take the events of a request.
#[derive(Debug)]
pub(super) struct AppendError(LogError);

impl Commands {
    /// Appends the events of a request and records how long the log took.
    pub(super) async fn append(&self, records: Vec<NewRecord>) -> Result<Vec<Position>, AppendError> {
        let started = Instant::now();
        let positions = self.log.append(records).await.map_err(AppendError)?;
        self.metrics.append_duration.observe(started.elapsed().as_secs_f64());
        Ok(positions)
    }
}

impl From<AppendError> for Problem {
    fn from(AppendError(error): AppendError) -> Self {
        tracing::warn!(target: "millrace::commands", "command not accepted: {}", chain(&error));
        match error {
            LogError::Unavailable(_) => Self::unavailable("event log unavailable; retry with the same ids"),
            LogError::Fatal(_) => Self::internal(),
        }
    }
}
