//! The envelope itself, and what a format's decoder returns.

use crate::event::Event;
use crate::id::EventId;
use crate::text::CorrelationId;
use crate::timestamp::Timestamp;

/// An event with its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Identifies duplicates.
    pub event_id: EventId,
    /// Decides which of two events of a row is newer.
    pub occurred_at: Timestamp,
    pub correlation_id: Option<CorrelationId>,
    pub event: Event,
}

impl Envelope {
    /// An envelope with a generated event id.
    pub fn new(event: Event, occurred_at: Timestamp, correlation_id: Option<CorrelationId>) -> Self {
        Self { event_id: EventId::generate(), occurred_at, correlation_id, event }
    }
}

/// The result of a format's decoder: the event, and the keys under which its system may have sent it.
pub(super) struct Decoded {
    pub(super) envelope: Envelope,
    /// Other ids in the payload that are accepted as the record's key. The older systems did not all key by
    /// aggregate.
    pub(super) other_keys: Vec<Box<str>>,
}
