//! What is counted of commands.

use millrace_platform::metrics::MetricsRegistry;
use prometheus::Histogram;

/// The series of the commands. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CommandMetrics {
    /// Seconds from append to the log's acknowledgement.
    pub append_duration: Histogram,
}

impl CommandMetrics {
    /// Registers them.
    pub fn register(registry: &MetricsRegistry) -> Self {
        const APPEND: &str = "millrace_append_duration_seconds";
        registry.older_name(APPEND, "kafka_produce_duration_seconds");
        Self { append_duration: registry.seconds(APPEND, "Time from append to the log's acknowledgement") }
    }
}
