//! What the projector counts.

use shared::metrics::Metrics;
use shared::{EventType, Timestamp};

use crate::dead_letter::DeadLetter;
use crate::projection::Applied;

/// Counts a part that was projected: its events by outcome, its letters, how long each record took from the log.
pub(super) fn projected<'a>(
    metrics: &Metrics,
    applied: Applied,
    letters: impl Iterator<Item = &'a DeadLetter>,
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
    for letter in letters {
        // What others call a type may be any text, and each would be a series of its own.
        let known = letter.event_type.as_deref().and_then(EventType::parse);
        count(known.map_or("unknown", EventType::as_str), "dead_letter", 1);
        metrics.dlq_messages.inc();
        metrics.dlq_entries.inc();
        metrics.dlq_depth.inc();
    }
    let now = Timestamp::now();
    let freshness = metrics.freshness.local();
    for appended_at in appended_at {
        freshness.observe(now.seconds_since(appended_at).max(0.0));
    }
    freshness.flush();
}
