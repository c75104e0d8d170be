//! What the projector counts.

use shared::metrics::Metrics;
use shared::{EventType, Timestamp};

use crate::projection::Applied;

/// Counts a part that was projected: its events by outcome, its letters, how long each record took from the log.
pub(super) fn projected(
    metrics: &Metrics,
    applied: Applied,
    letters: u64,
    appended_at: impl Iterator<Item = Timestamp>,
) {
    let count = |event_type, status, by| {
        metrics.events_processed.with_label_values(&[event_type, status]).inc_by(by);
    };
    for event_type in EventType::ALL {
        let index = event_type as usize;
        count(event_type.as_str(), "applied", applied.events[index] - applied.duplicates[index]);
        count(event_type.as_str(), "duplicate", applied.duplicates[index]);
    }
    count("unknown", "dead_letter", letters);
    metrics.dlq_messages.inc_by(letters);
    metrics.dlq_entries.inc_by(letters);
    metrics.dlq_depth.add(i64::try_from(letters).unwrap_or(i64::MAX));
    let now = Timestamp::now();
    let freshness = metrics.freshness.local();
    for appended_at in appended_at {
        freshness.observe(now.seconds_since(appended_at).max(0.0));
    }
    freshness.flush();
}
