//! What the routes of the admin port work on.

use millrace_event_log::EventLog;

use crate::dead_letter::DeadLetters;
use crate::metrics::ProjectorMetrics;
use crate::projector::ProgressReader;

/// The parts that the routes use.
#[derive(Debug)]
pub struct Admin {
    /// Where redriven letters go.
    pub log: EventLog,
    /// How far the log is projected.
    pub progress: ProgressReader,
    /// The dead letters.
    pub letters: DeadLetters,
    /// What is counted.
    pub metrics: ProjectorMetrics,
}
