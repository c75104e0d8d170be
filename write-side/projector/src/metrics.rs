//! What is counted of projecting and of dead letters.

use millrace_domain::{EventType, Timestamp};
use millrace_platform::metrics::{MetricsRegistry, StoreMetrics};
use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::dead_letter::DeadLetter;
use crate::projection::Applied;

/// The series of a projector. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ProjectorMetrics {
    /// Events by type and outcome: applied, duplicate, dead_letter.
    pub events_processed: IntCounterVec,
    /// Records projected in the last second.
    pub records_per_second: Gauge,
    /// Dead letters created.
    pub dead_letters: IntCounter,
    /// Dead letters that wait for review.
    pub dead_letters_open: IntGauge,
    /// Seconds to fetch a batch from the log, without waiting for its first record.
    pub poll_duration: Histogram,
    /// Seconds from append to readable.
    pub freshness: Histogram,
    /// Records that wait in the log, by partition.
    pub lag: IntGaugeVec,
    /// 0 closed, 1 half-open, 2 open.
    pub circuit_breaker_state: IntGauge,
    /// 1 while the projector runs or waits, 0 once it has stopped for good.
    pub running: IntGauge,
    /// Time spent in the store.
    pub store: StoreMetrics,
}

impl ProjectorMetrics {
    /// Registers them. `store` is shared with the read side of the same process.
    pub fn register(registry: &MetricsRegistry, store: StoreMetrics) -> Self {
        for (canonical, older) in [
            ("millrace_events_processed_total", "events_processed_total"),
            ("millrace_records_per_second", "events_processed_per_second"),
            ("millrace_dead_letters_total", "dlq_messages_total"),
            ("millrace_dead_letters_total", "dlq_entries_total"),
            ("millrace_dead_letters_open", "dlq_depth"),
            ("millrace_poll_duration_seconds", "kafka_consume_duration_seconds"),
            ("millrace_freshness_seconds", "projection_freshness_seconds"),
            ("millrace_consumer_lag", "consumer_lag"),
            ("millrace_circuit_breaker_state", "circuit_breaker_state"),
        ] {
            registry.older_name(canonical, older);
        }
        Self {
            events_processed: registry.counters(
                "millrace_events_processed_total",
                "Events by type and outcome",
                &["event_type", "status"],
            ),
            records_per_second: registry
                .float_gauge("millrace_records_per_second", "Records projected in the last second"),
            dead_letters: registry.counter("millrace_dead_letters_total", "Dead letters created"),
            dead_letters_open: registry
                .gauge("millrace_dead_letters_open", "Dead letters that wait for review"),
            poll_duration: registry
                .seconds("millrace_poll_duration_seconds", "Time to fetch a batch from the event log"),
            freshness: registry.seconds("millrace_freshness_seconds", "Time from append to readable"),
            lag: registry.gauges(
                "millrace_consumer_lag",
                "Records that wait in the event log",
                &["partition"],
            ),
            circuit_breaker_state: registry
                .gauge("millrace_circuit_breaker_state", "0 closed, 1 half-open, 2 open"),
            running: registry.gauge(
                "millrace_projector_running",
                "1 while the projector runs or waits, 0 once it has stopped",
            ),
            store,
        }
    }

    /// Counts a part of a batch that was projected: its events by outcome, its dead letters, the age of each record.
    pub(crate) fn projected<'a>(
        &self,
        applied: Applied,
        letters: impl Iterator<Item = &'a DeadLetter>,
        appended_at: impl Iterator<Item = Timestamp>,
    ) {
        let count = |event_type, status, by| {
            self.events_processed.with_label_values(&[event_type, status]).inc_by(by);
        };
        for event_type in EventType::ALL {
            let index = event_type as usize;
            count(event_type.as_str(), "applied", applied.events[index] - applied.duplicates[index]);
            count(event_type.as_str(), "duplicate", applied.duplicates[index]);
        }
        for letter in letters {
            // A sender's type may be any text, and each would be a series of its own.
            let known = letter.event_type.as_deref().and_then(EventType::parse);
            count(known.map_or("unknown", EventType::as_str), "dead_letter", 1);
            self.dead_letters.inc();
            self.dead_letters_open.inc();
        }
        let now = Timestamp::now();
        let freshness = self.freshness.local();
        for appended_at in appended_at {
            freshness.observe(now.seconds_since(appended_at).max(0.0));
        }
        freshness.flush();
    }
}

/// The series of the mirror of the dead letters in Redis. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MirrorMetrics {
    /// Dead letters that the list does not show yet, or still shows.
    pub pending: IntGauge,
    /// 1 while the mirror reaches Redis, else 0.
    pub up: IntGauge,
}

impl MirrorMetrics {
    /// Registers them.
    pub fn register(registry: &MetricsRegistry) -> Self {
        Self {
            pending: registry.gauge(
                "millrace_mirror_pending",
                "Dead letters that the list in Redis does not show yet, or still shows",
            ),
            up: registry.gauge("millrace_mirror_up", "1 while the mirror of the dead letters reaches Redis"),
        }
    }
}
