//! The consumer of the embedded log. It reads all partitions: one process has the log, so there is no group.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use millrace_domain::record::{HeaderView, RecordParts};
use millrace_domain::{Position, RecordBatch, Timestamp};
use millrace_platform::sql;
use rusqlite::{Connection, params};

use super::ends::Ends;
use crate::error::LogError;
use crate::poll::{PollLimits, Polled};

#[derive(Debug)]
pub struct EmbeddedConsumer {
    connection: Connection,
    ends: Arc<Ends>,
    /// Next offset to read, by partition; `None` until started.
    next: Vec<Option<i64>>,
    assigned: bool,
    /// The partition that the next poll reads first.
    first: usize,
}

impl EmbeddedConsumer {
    pub(super) fn new(connection: Connection, ends: Arc<Ends>) -> Self {
        let partitions = ends.lock().len();
        Self { connection, ends, next: vec![None; partitions], assigned: false, first: 0 }
    }

    pub(crate) fn poll(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        wait: Duration,
    ) -> Result<Polled, LogError> {
        batch.clear();
        if !self.assigned {
            self.assigned = true;
            return Ok(Polled::Assigned((0..).take(self.next.len()).collect()));
        }
        let ends = self.wait_for_records(wait);
        let count = ends.len();
        let has_records =
            |partition: &usize| self.next[*partition].is_some_and(|next| next < ends[*partition]);
        let ready: Vec<_> = (0..count).map(|step| (self.first + step) % count).filter(has_records).collect();
        // Each partition gets an equal share of the batch. A long partition cannot starve the others, and the batch
        // has events of about the same time, whose time-ordered ids are close together in the tables.
        for (taken, partition) in ready.iter().enumerate() {
            let left = ready.len() - taken;
            let share = PollLimits {
                events_max: limits.events_max.saturating_sub(batch.len()).div_ceil(left),
                bytes_max: batch.byte_len()
                    + limits.bytes_max.saturating_sub(batch.byte_len()).div_ceil(left),
            };
            // Positions move only after all reads: an error in a later partition drops the whole batch.
            self.read(batch, share, *partition)?;
        }
        for (partition, range) in batch.ranges() {
            self.next[usize::try_from(partition).expect("read covers partitions of the log only")] =
                Some(range.end);
        }
        self.first = (self.first + 1) % count;
        Ok(Polled::Records)
    }

    /// Waits until a partition has records after its position, at most for `wait`. Returns the ends of all partitions.
    fn wait_for_records(&self, wait: Duration) -> Vec<i64> {
        let has_records =
            |ends: &[i64]| self.next.iter().zip(ends).any(|(next, end)| next.is_some_and(|next| next < *end));
        let deadline = Instant::now() + wait;
        let mut ends = self.ends.lock();
        while !has_records(&ends) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.ends.grown.wait_timeout(ends, left);
            ends = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        ends.clone()
    }

    /// Adds at most `share.events_max` records of one partition, until the whole batch has `share.bytes_max` bytes.
    fn read(&self, batch: &mut RecordBatch, share: PollLimits, partition: usize) -> Result<(), LogError> {
        let Some(mut expected) = self.next[partition] else { return Ok(()) };
        let number = i32::try_from(partition).expect("the number of partitions is an i32");
        batch.begin(number, expected);
        let mut read = || -> rusqlite::Result<Option<Position>> {
            let mut statement = self.connection.prepare_cached(sql!("sqlite/event_log/read.sql"))?;
            let limit = i64::try_from(share.events_max).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![number, expected, limit])?;
            while batch.byte_len() < share.bytes_max
                && let Some(row) = rows.next()?
            {
                let position = Position { partition: number, offset: row.get(0)? };
                if position.offset != expected {
                    return Ok(Some(Position { partition: number, offset: expected }));
                }
                expected += 1;
                let appended_at = Timestamp::from_micros(row.get(1)?).unwrap_or_else(Timestamp::now);
                let parts = RecordParts {
                    key: row.get_ref(2)?.as_blob_or_null()?,
                    payload: row.get_ref(3)?.as_blob_or_null()?,
                    headers: HeaderView::from_bytes(row.get_ref(4)?.as_blob()?),
                };
                batch.push(position, appended_at, parts);
            }
            Ok(None)
        };
        match read().map_err(LogError::unavailable)? {
            None => Ok(()),
            // This log never deletes a record, so a missing one is a damaged file.
            Some(missing) => Err(LogError::Fatal(format!(
                "the record {missing} is missing in the event log: the file is damaged; restore it"
            ))),
        }
    }

    pub(crate) fn start(&mut self, positions: &[(i32, Option<i64>)]) -> Result<(), LogError> {
        let ends = self.ends.lock();
        for (partition, next) in positions {
            let index = usize::try_from(*partition).ok().filter(|index| *index < ends.len());
            let Some(index) = index else {
                return Err(LogError::Fatal(format!(
                    "the read model does not belong to this log: it has a checkpoint for partition {partition}, the log has {} partitions; restore the log, or start with an empty read model",
                    ends.len()
                )));
            };
            let next = next.unwrap_or(0);
            if next > ends[index] {
                return Err(LogError::Fatal(format!(
                    "the read model does not belong to this log: it is projected up to {partition}:{next}, the log ends at {partition}:{}; restore the log, or start with an empty read model",
                    ends[index]
                )));
            }
            self.next[index] = Some(next);
        }
        Ok(())
    }

    pub(crate) fn beginnings(&self) -> Vec<(i32, i64)> {
        // No record is ever deleted from this log.
        (0..).take(self.next.len()).map(|partition| (partition, 0)).collect()
    }

    pub(crate) fn lag(&self) -> Vec<(i32, i64)> {
        let ends = self.ends.lock();
        let lag = |(next, end): (&Option<i64>, &i64)| next.map_or(0, |next| end - next);
        (0..).zip(self.next.iter().zip(ends.iter()).map(lag)).collect()
    }
}
