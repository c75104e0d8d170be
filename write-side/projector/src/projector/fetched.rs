//! A batch between fetching and projecting: records, their events, and the parts in which they are applied.
//!
//! Normally there is one part, the whole batch. A part that the store refuses is halved until the refused event is on
//! its own; that one becomes a dead letter, the others are applied.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use millrace_domain::text::CorrelationId;
use millrace_domain::{Envelope, Event, RecordBatch, Timestamp, decode};

use crate::dead_letter::DeadLetter;
use crate::projection::{ApplyError, Batch, Span};
use millrace_event_log::{Consumer, LogError, PollLimits, Polled};

/// For fewer records another thread costs more than it saves.
const DECODE_SHARE_MIN: usize = 2_000;

/// A decoded record. Boxed letters keep the common case small.
#[derive(Debug)]
enum Decoded {
    /// Not decoded yet; never seen outside of [`Fetched::fill`].
    Pending,
    Event(Envelope),
    Letter(Box<DeadLetter>),
}

/// A batch that does not begin where the fence of a partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) partition: i32,
    pub(super) fence: i64,
    pub(super) from: i64,
}

/// Records of one poll.
#[derive(Debug)]
pub(super) struct Fetched {
    records: RecordBatch,
    decoded: Vec<Decoded>,
    /// Where the next part begins, by partition: where the consumer was, then where the last part ended.
    cursors: BTreeMap<i32, i64>,
    /// Parts still to be applied, the next one last. Together they are a suffix of `decoded`, in order.
    parts: Vec<Range<usize>>,
    /// The store's errors for the event that is tried on its own.
    refusals: Vec<String>,
}

impl Fetched {
    pub(super) fn new(topic: &str) -> Self {
        Self {
            records: RecordBatch::new(topic),
            decoded: Vec::new(),
            cursors: BTreeMap::new(),
            parts: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// Whether nothing is left to be applied.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Drops what is left to be applied.
    pub(super) fn clear(&mut self) {
        self.decoded.clear();
        self.parts.clear();
        self.refusals.clear();
    }

    /// Polls into the buffer and decodes; the whole batch is one part.
    pub(super) fn fill(
        &mut self,
        consumer: &mut Consumer,
        limits: PollLimits,
        wait: Duration,
    ) -> Result<Polled, LogError> {
        self.clear();
        let polled = consumer.poll(&mut self.records, limits, wait)?;
        if polled == Polled::Records && !self.records.is_empty() {
            self.decode();
            self.cursors = self.records.ranges().map(|(partition, range)| (partition, range.start)).collect();
            self.parts.push(0..self.decoded.len());
        }
        Ok(polled)
    }

    /// Decoding is half of the work outside the store, and records do not depend on each other, so a large batch is
    /// decoded on all cores.
    fn decode(&mut self) {
        let records = &self.records;
        self.decoded.resize_with(records.len(), || Decoded::Pending);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let share = records.len().div_ceil(cores).max(DECODE_SHARE_MIN);
        let mut shares = (0..).step_by(share).zip(self.decoded.chunks_mut(share));
        std::thread::scope(|scope| {
            let first = shares.next();
            for (from, decoded) in shares {
                scope.spawn(move || decode_share(records, from, decoded));
            }
            if let Some((from, decoded)) = first {
                decode_share(records, from, decoded);
            }
        });
    }

    /// A part was projected: the next one begins where it ended, and earlier refusals of its event are obsolete.
    pub(super) fn projected(&mut self, spans: &[Span]) {
        self.cursors.extend(spans.iter().map(|span| (span.partition, span.next)));
        self.refusals.clear();
    }

    pub(super) fn next_part(&mut self) -> Option<Range<usize>> {
        self.parts.pop()
    }

    pub(super) fn put_back(&mut self, part: Range<usize>) {
        self.parts.push(part);
    }

    /// From where to where a part moves the fence of each partition. Records of a partition are in order, so a part
    /// continues where the one before it ended. `fences` tells apart a partition without a fence, whose first span has no
    /// `from`.
    pub(super) fn spans(&self, part: &Range<usize>, fences: &BTreeMap<i32, Option<i64>>) -> Vec<Span> {
        let mut next = BTreeMap::new();
        for index in part.clone() {
            let position = self.records.get(index).position;
            next.insert(position.partition, position.offset + 1);
        }
        let spans = next.into_iter().map(|(partition, next)| {
            let has_fence = fences.get(&partition).is_some_and(Option::is_some);
            Span { partition, from: self.cursors.get(&partition).copied().filter(|_| has_fence), next }
        });
        spans.collect()
    }

    /// The first of these spans that does not begin where the fence is: the consumer has skipped or repeated records.
    pub(super) fn gap(&self, spans: &[Span], fences: &BTreeMap<i32, Option<i64>>) -> Option<Gap> {
        spans.iter().find_map(|Span { partition, .. }| {
            // A partition without a fence is read from its first record.
            let fence = fences.get(partition).copied().flatten().unwrap_or(0);
            let from = self.cursors.get(partition).copied()?;
            (from != fence).then_some(Gap { partition: *partition, fence, from })
        })
    }

    pub(super) fn batch<'a>(&'a self, topic: &'a str, part: &Range<usize>, spans: &'a [Span]) -> Batch<'a> {
        let mut batch = Batch { topic, spans, events: Vec::with_capacity(part.len()), letters: Vec::new() };
        for item in &self.decoded[part.clone()] {
            match item {
                Decoded::Event(envelope) => batch.events.push(envelope),
                Decoded::Letter(letter) => batch.letters.push(letter),
                Decoded::Pending => unreachable!("fill() decodes every record"),
            }
        }
        batch
    }

    /// The events of a part.
    pub(super) fn events(&self, part: &Range<usize>) -> impl Iterator<Item = &Event> {
        self.decoded[part.clone()].iter().filter_map(|item| match item {
            Decoded::Event(envelope) => Some(&envelope.event),
            Decoded::Letter(_) | Decoded::Pending => None,
        })
    }

    /// The dead letters of a part.
    pub(super) fn letters(&self, part: &Range<usize>) -> impl Iterator<Item = &DeadLetter> {
        self.decoded[part.clone()].iter().filter_map(|item| match item {
            Decoded::Letter(letter) => Some(&**letter),
            Decoded::Event(_) | Decoded::Pending => None,
        })
    }

    /// When the log took each record of a part.
    pub(super) fn appended_at(&self, part: &Range<usize>) -> impl Iterator<Item = Timestamp> {
        part.clone().map(|index| self.records.get(index).appended_at)
    }

    /// Halves a part that the store refuses. A part of one event is tried again at once, up to `attempts_max` times, so
    /// that the records behind it do not wait; then it becomes a dead letter with the error of each attempt. Returns
    /// false when the part is a dead letter already.
    pub(super) fn bisect(&mut self, part: &Range<usize>, error: &ApplyError, attempts_max: u32) -> bool {
        if part.len() > 1 {
            let middle = part.start + part.len() / 2;
            self.parts.push(middle..part.end);
            self.parts.push(part.start..middle);
            return true;
        }
        let item = &mut self.decoded[part.start];
        let Decoded::Event(envelope) = item else { return false };
        let (now, attempt) = (Timestamp::now(), self.refusals.len() + 1);
        if attempt < attempts_max as usize {
            self.refusals
                .push(format!("attempt {attempt}, {now}: {}", millrace_platform::telemetry::chain(error)));
        } else {
            let record = self.records.get(part.start);
            let mut letter = DeadLetter::refused(&record, envelope, error, now);
            letter.causes.append(&mut self.refusals);
            warn(&letter, envelope.correlation_id.as_ref());
            *item = Decoded::Letter(Box::new(letter));
        }
        self.parts.push(part.clone());
        true
    }
}

fn decode_share(records: &RecordBatch, from: usize, decoded: &mut [Decoded]) {
    for (index, item) in (from..).zip(decoded) {
        let record = records.get(index);
        *item = match decode(&record) {
            Ok(envelope) => Decoded::Event(envelope),
            Err(error) => {
                let letter = DeadLetter::undecodable(&record, &error, Timestamp::now());
                warn(&letter, None);
                Decoded::Letter(Box::new(letter))
            }
        };
    }
}

/// The correlation id is the event's, or the header's where the event cannot be decoded.
fn warn(letter: &DeadLetter, correlation_id: Option<&CorrelationId>) {
    let header = || letter.headers.view().get_str("x-correlation-id");
    tracing::warn!(
        target: "millrace::projector", position = %letter.position,
        eventId = letter.event_id,
        correlationId = correlation_id.map(|id| id.as_str()).or_else(header),
        reason = letter.reason,
        attempts = letter.attempts,
        "dead letter: {}",
        letter.error
    );
}

#[cfg(test)]
mod tests {
    use millrace_domain::NewRecord;
    use millrace_domain::record::Headers;
    use millrace_event_log::EventLog;
    use millrace_event_log::embedded::EmbeddedLog;

    use super::*;

    const LIMITS: PollLimits = PollLimits { events_max: 100, bytes_max: 1 << 20 };

    /// Ten records of one partition, read from `from` on.
    fn fetched(from: i64) -> Fetched {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::Embedded(EmbeddedLog::open(dir.path(), 1).unwrap());
        let record = NewRecord { key: None, payload: b"x".to_vec(), headers: Headers::EMPTY };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(log.append(vec![record; 10])).unwrap();
        let (mut consumer, mut fetched) = (log.consumer().unwrap(), Fetched::new("events"));
        assert_eq!(fetched.fill(&mut consumer, LIMITS, Duration::ZERO).unwrap(), Polled::Assigned(vec![0]));
        consumer.start(&[(0, Some(from))]).unwrap();
        fetched.fill(&mut consumer, LIMITS, Duration::ZERO).unwrap();
        fetched
    }

    #[test]
    fn a_batch_that_does_not_begin_at_the_fence_is_a_gap() {
        let mut fetched = fetched(4);
        let part = fetched.next_part().unwrap();
        for (fence, expected) in [
            (Some(4), None),
            (Some(3), Some(Gap { partition: 0, fence: 3, from: 4 })),
            (Some(9), Some(Gap { partition: 0, fence: 9, from: 4 })),
            (None, Some(Gap { partition: 0, fence: 0, from: 4 })),
        ] {
            let fences = BTreeMap::from([(0, fence)]);
            let spans = fetched.spans(&part, &fences);
            assert_eq!(fetched.gap(&spans, &fences), expected, "{fence:?}");
        }
    }

    #[test]
    fn a_part_begins_where_the_one_before_it_ended() {
        let mut fetched = fetched(2);
        let fences = |next| BTreeMap::from([(0, Some(next))]);
        let first = fetched.spans(&(0..3), &fences(2));
        assert_eq!(first, [Span { partition: 0, from: Some(2), next: 5 }]);
        fetched.projected(&first);
        let second = fetched.spans(&(3..8), &fences(5));
        assert_eq!(second, [Span { partition: 0, from: Some(5), next: 10 }]);
        assert_eq!(fetched.gap(&second, &fences(5)), None);
    }
}
