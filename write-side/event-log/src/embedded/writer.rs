//! The writer thread of the embedded log, and its group commit.

use std::sync::Arc;
use std::time::Instant;

use millrace_domain::{NewRecord, Position, Timestamp};
use millrace_platform::sql;
use rusqlite::{Connection, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use super::ends::Ends;
use crate::error::LogError;

/// Maximum number of records that share a commit. An append is never split, so a single one may have more.
const GROUP_RECORDS_MAX: usize = 10_000;

/// Records with their partitions, and the channel for their positions.
pub(super) struct Append {
    pub(super) records: Vec<(i32, NewRecord)>,
    pub(super) reply: oneshot::Sender<Result<Vec<Position>, LogError>>,
}

/// Owns the write connection.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) ends: Arc<Ends>,
}

impl Writer {
    /// Returns when the last sender is dropped.
    pub(super) fn run(mut self, mut appends: mpsc::Receiver<Append>) {
        while let Some(first) = appends.blocking_recv() {
            // Appends that arrived during the last commit share the next one, and its single fsync.
            let mut group = vec![first];
            let mut records = group[0].records.len();
            while records < GROUP_RECORDS_MAX
                && let Ok(append) = appends.try_recv()
            {
                records += append.records.len();
                group.push(append);
            }
            self.commit(group);
        }
    }

    /// Writes a group in one transaction and replies to each of its appends.
    fn commit(&mut self, group: Vec<Append>) {
        match self.write(&group) {
            Ok((next, positions)) => {
                // Consumers may read up to `next` from here on, so this comes after the commit.
                *self.ends.lock() = next;
                *self.ends.failure() = None;
                self.ends.grown.notify_all();
                for (append, positions) in group.into_iter().zip(positions) {
                    // Fails if the caller has stopped waiting. Its records are in the log all the same.
                    let _closed = append.reply.send(Ok(positions));
                }
            }
            Err(error) => {
                tracing::error!(target: "millrace::event_log", %error, "append failed");
                let error = Arc::new(error);
                *self.ends.failure() = Some((Instant::now(), error.clone()));
                for append in group {
                    let _closed = append.reply.send(Err(LogError::unavailable(error.clone())));
                }
            }
        }
    }

    fn write(&mut self, group: &[Append]) -> rusqlite::Result<(Vec<i64>, Vec<Vec<Position>>)> {
        let mut next = self.ends.lock().clone();
        let appended_at = Timestamp::now().micros();
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut insert = tx.prepare_cached(sql!("sqlite/event_log/append.sql"))?;
        let mut positions = Vec::with_capacity(group.len());
        for append in group {
            let mut appended = Vec::with_capacity(append.records.len());
            for (partition, record) in &append.records {
                let end = &mut next
                    [usize::try_from(*partition).expect("partition_of returns a partition of the log")];
                let NewRecord { key, payload, headers } = record;
                insert.execute(params![partition, *end, appended_at, key, payload, headers.as_bytes()])?;
                appended.push(Position { partition: *partition, offset: *end });
                *end += 1;
            }
            positions.push(appended);
        }
        drop(insert);
        tx.commit()?;
        Ok((next, positions))
    }
}
