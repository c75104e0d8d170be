//! What is projected in one transaction, and what is counted of it.

use millrace_domain::{Envelope, EventType};

use crate::dead_letter::DeadLetter;

/// The records of one partition that a batch covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub partition: i32,
    /// Where the fence must be: the next offset as this projector left it, `None` when it was never set.
    pub from: Option<i64>,
    /// Where the fence is afterwards.
    pub next: i64,
}

/// What is projected in one transaction.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Of all positions.
    pub topic: &'a str,
    /// At most one per partition.
    pub spans: &'a [Span],
    /// The events, in any order.
    pub events: Vec<&'a Envelope>,
    /// The dead letters of the other records.
    pub letters: Vec<&'a DeadLetter>,
}

/// Events of a batch, counted by [`EventType`] in the order of [`EventType::ALL`].
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Events in the batch.
    pub events: [u64; 4],
    /// Of these, events that had been counted before and so changed nothing.
    pub duplicates: [u64; 4],
}

impl Applied {
    pub(crate) fn count(events: &[&Envelope]) -> Self {
        let mut applied = Self::default();
        for envelope in events {
            applied.events[envelope.event.event_type() as usize] += 1;
        }
        applied
    }

    pub(crate) fn duplicate(&mut self, event_type: EventType, count: u64) {
        self.duplicates[event_type as usize] += count;
    }
}

/// The result of pruning a slice of the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Rows that were removed.
    pub removed: u64,
    /// Whether this round has rows left.
    pub more: bool,
}
