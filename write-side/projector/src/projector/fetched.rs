//! What was fetched and is not projected yet: records, what they decode to, and the parts in which they are tried.
//!
//! Normally there is one part: everything. When the store refuses it, it is halved until the single event is found;
//! that one becomes a dead letter, the others go on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use millrace_domain::text::CorrelationId;
use millrace_domain::{Envelope, Event, RecordBatch, Timestamp, decode};

use crate::dead_letter::DeadLetter;
use crate::projection::{ApplyError, Batch, Span};
use millrace_event_log::{Consumer, LogError, PollLimits, Polled};

/// Below this a thread costs more than it takes over.
const DECODE_SHARE_MIN: usize = 2_000;

/// A record, decoded. Boxed letters keep the common case small.
#[derive(Debug)]
enum Outcome {
    /// Not decoded yet; never seen outside of [`Fetched::fill`].
    Unread,
    Event(Envelope),
    Letter(Box<DeadLetter>),
}

/// Records of one poll.
#[derive(Debug)]
pub(super) struct Fetched {
    records: RecordBatch,
    /// What each record is.
    outcomes: Vec<Outcome>,
    /// Parts still to be tried, the next one last. Together they are a suffix of `outcomes`, in order.
    parts: Vec<Range<usize>>,
    /// What the store said to the event that is tried alone now, each time.
    refusals: Vec<String>,
}

impl Fetched {
    pub(super) fn new(topic: &str) -> Self {
        Self {
            records: RecordBatch::new(topic),
            outcomes: Vec::new(),
            parts: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// Whether nothing is left to be tried.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Forgets what is left to be tried.
    pub(super) fn clear(&mut self) {
        self.outcomes.clear();
        self.parts.clear();
        self.refusals.clear();
    }

    /// Polls into the buffer and decodes what came; all of it is one part.
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
            self.parts.push(0..self.outcomes.len());
        }
        Ok(polled)
    }

    /// Decoding is half the work beside the store's, and records do not depend on each other, so a large batch is
    /// shared out among the cores.
    fn decode(&mut self) {
        let records = &self.records;
        self.outcomes.resize_with(records.len(), || Outcome::Unread);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let share = records.len().div_ceil(cores).max(DECODE_SHARE_MIN);
        let mut shares = (0..).step_by(share).zip(self.outcomes.chunks_mut(share));
        std::thread::scope(|scope| {
            let first = shares.next();
            for (from, outcomes) in shares {
                scope.spawn(move || decode_share(records, from, outcomes));
            }
            if let Some((from, outcomes)) = first {
                decode_share(records, from, outcomes);
            }
        });
    }

    /// The event that was tried alone is projected: what was said to it before concerns nobody.
    pub(super) fn projected(&mut self) {
        self.refusals.clear();
    }

    pub(super) fn next_part(&mut self) -> Option<Range<usize>> {
        self.parts.pop()
    }

    pub(super) fn put_back(&mut self, part: Range<usize>) {
        self.parts.push(part);
    }

    /// From where to where a part moves each partition. Records of a partition lie in order, so a part that
    /// follows another continues where that one ended.
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
        for outcome in &self.outcomes[part.clone()] {
            match outcome {
                Outcome::Event(envelope) => batch.events.push(envelope),
                Outcome::Letter(letter) => batch.letters.push(letter),
                Outcome::Unread => unreachable!("fill() leaves none unread"),
            }
        }
        batch
    }

    /// The events of a part.
    pub(super) fn events(&self, part: &Range<usize>) -> impl Iterator<Item = &Event> {
        self.outcomes[part.clone()].iter().filter_map(|outcome| match outcome {
            Outcome::Event(envelope) => Some(&envelope.event),
            Outcome::Letter(_) | Outcome::Unread => None,
        })
    }

    /// The dead letters of a part.
    pub(super) fn letters(&self, part: &Range<usize>) -> impl Iterator<Item = &DeadLetter> {
        self.outcomes[part.clone()].iter().filter_map(|outcome| match outcome {
            Outcome::Letter(letter) => Some(&**letter),
            Outcome::Event(_) | Outcome::Unread => None,
        })
    }

    /// When the log took each record of a part.
    pub(super) fn appended_at(&self, part: &Range<usize>) -> impl Iterator<Item = Timestamp> {
        part.clone().map(|index| self.records.get(index).appended_at)
    }

    /// Halves a part that the store refuses. A part of one event is tried again at once, so that nothing behind it has
    /// to wait, up to `attempts_max` times; then it becomes a letter, which knows what was said each time. False when
    /// the part is a letter already.
    pub(super) fn bisect(&mut self, part: &Range<usize>, error: &ApplyError, attempts_max: u32) -> bool {
        if part.len() > 1 {
            let middle = part.start + part.len() / 2;
            self.parts.push(middle..part.end);
            self.parts.push(part.start..middle);
            return true;
        }
        let outcome = &mut self.outcomes[part.start];
        let Outcome::Event(envelope) = outcome else { return false };
        let (now, attempt) = (Timestamp::now(), self.refusals.len() + 1);
        if attempt < attempts_max as usize {
            self.refusals
                .push(format!("attempt {attempt}, {now}: {}", millrace_platform::telemetry::chain(error)));
        } else {
            let record = self.records.get(part.start);
            let mut letter = DeadLetter::refused(&record, envelope, error, now);
            letter.causes.append(&mut self.refusals);
            warn(&letter, envelope.correlation_id.as_ref());
            *outcome = Outcome::Letter(Box::new(letter));
        }
        self.parts.push(part.clone());
        true
    }
}

fn decode_share(records: &RecordBatch, from: usize, outcomes: &mut [Outcome]) {
    for (index, outcome) in (from..).zip(outcomes) {
        let record = records.get(index);
        *outcome = match decode(&record) {
            Ok(envelope) => Outcome::Event(envelope),
            Err(error) => {
                let letter = DeadLetter::undecodable(&record, &error, Timestamp::now());
                warn(&letter, None);
                Outcome::Letter(Box::new(letter))
            }
        };
    }
}

/// `said` by the event itself, if it can be read; else the header tells which command it came from.
fn warn(letter: &DeadLetter, said: Option<&CorrelationId>) {
    let header = || letter.headers.view().get_str("x-correlation-id");
    tracing::warn!(
        position = %letter.position,
        eventId = letter.event_id,
        correlationId = said.map(|id| id.as_str()).or_else(header),
        reason = letter.reason,
        attempts = letter.attempts,
        "dead letter: {}",
        letter.error
    );
}
