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

/// Records of one poll.
#[derive(Debug)]
pub(super) struct Fetched {
    records: RecordBatch,
    decoded: Vec<Decoded>,
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

    /// A part was projected, so earlier refusals of its event are obsolete.
    pub(super) fn projected(&mut self) {
        self.refusals.clear();
    }

    pub(super) fn next_part(&mut self) -> Option<Range<usize>> {
        self.parts.pop()
    }

    pub(super) fn put_back(&mut self, part: Range<usize>) {
        self.parts.push(part);
    }

    /// From where to where a part moves the fence of each partition. Records of a partition are in order, so a part
    /// continues where the one before it ended.
    pub(super) fn spans(&self, part: &Range<usize>, fences: &BTreeMap<i32, Option<i64>>) -> Vec<Span> {
        let mut next = BTreeMap::new();
        for index in part.clone() {
            let position = self.records.get(index).position;
            next.insert(position.partition, position.offset + 1);
        }
        let from = |partition| fences.get(&partition).copied().flatten();
        next.into_iter().map(|(partition, next)| Span { partition, from: from(partition), next }).collect()
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
