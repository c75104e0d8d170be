//! The event log in a SQLite file: partitions, durable appends, group commit, consumers that wake on append.
//!
//! One thread owns the write connection. Appends that arrive while it commits share the next commit, so that the
//! cost of forcing bytes to disk is paid once for all of them. A second process is kept out by a lock file.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millrace_domain::record::{HeaderView, RecordParts};
use millrace_domain::{NewRecord, Position, RecordBatch, Timestamp};
use millrace_platform::sql;
use millrace_platform::sqlite::{self, Synchronous};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use super::{DEFAULT_TOPIC, LogError, PollLimits, Polled};

const FILE: &str = "events.db";
const SCHEMA: &[&str] = &[sql!("sqlite/schema/event_log_1.sql")];
/// Appends that may wait for the writer; more wait in their callers.
const QUEUE_APPENDS_MAX: usize = 1024;
/// Records that share a commit, at most (one append may bring more: it is never split).
const GROUP_RECORDS_MAX: usize = 10_000;
/// A failed append counts against readiness this long: for ever would keep away the append that might work again.
const FAILURE_COUNTS: Duration = Duration::from_secs(30);
const WRITER_CACHE_BYTES: u32 = 8 * 1024 * 1024;
const READER_CACHE_BYTES: u32 = 4 * 1024 * 1024;
/// 16 MiB: a checkpoint forces the database file to disk, so not after every few commits.
const WAL_PAGES: u32 = 4096;

/// The log. Clones share it; the file is closed when the last one is gone.
#[derive(Debug, Clone)]
pub struct EmbeddedLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    queue: mpsc::Sender<Append>,
    ends: Arc<Ends>,
    /// Spreads records without a key.
    keyless: AtomicU32,
    _lock: File,
}

struct Append {
    records: Vec<(i32, NewRecord)>,
    reply: oneshot::Sender<Result<Vec<Position>, LogError>>,
}

/// The next offset of each partition, and a bell for those who wait for it to grow.
#[derive(Debug)]
struct Ends {
    next: Mutex<Vec<i64>>,
    grown: Condvar,
    /// When and why the last append failed, if it did.
    failure: Mutex<Option<(Instant, Arc<rusqlite::Error>)>>,
}

impl Ends {
    fn lock(&self) -> MutexGuard<'_, Vec<i64>> {
        // Only whole assignments happen under the lock, so what a panicking thread left is whole.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> MutexGuard<'_, Option<(Instant, Arc<rusqlite::Error>)>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EmbeddedLog {
    /// Opens, or makes, the log in that folder. A log keeps the number of partitions it was made with.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when the folder cannot be used, or another process uses it.
    pub fn open(dir: &Path, partitions: i32) -> Result<Self, LogError> {
        let fatal = |error: &dyn std::fmt::Display| LogError::Fatal(format!("{}: {error}", dir.display()));
        std::fs::create_dir_all(dir).map_err(|error| fatal(&error))?;
        let lock = File::create(dir.join("lock")).map_err(|error| fatal(&error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                fatal(
                &"in use by another millrace process, and an embedded log belongs to one process; to run commands and \
                 projector apart, use Kafka (EVENT_LOG=kafka://host:port/topic), else stop that process or choose \
                 another folder",
            )
            }
            TryLockError::Error(error) => fatal(&error),
        })?;
        let path = dir.join(FILE);
        let mut connection = sqlite::open_writer(&path, Synchronous::Full, WRITER_CACHE_BYTES, WAL_PAGES)
            .map_err(|error| fatal(&error))?;
        sqlite::migrate(&mut connection, SCHEMA).map_err(|error| fatal(&error))?;
        let next = read_ends(&connection, partitions).map_err(|error| fatal(&error))?;
        let ends =
            Arc::new(Ends { next: Mutex::new(next), grown: Condvar::new(), failure: Mutex::default() });
        let (queue, appends) = mpsc::channel(QUEUE_APPENDS_MAX);
        let writer = Writer { connection, ends: ends.clone() };
        std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run(appends))
            .map_err(|error| fatal(&error))?;
        Ok(Self(Arc::new(Inner { path, queue, ends, keyless: AtomicU32::new(0), _lock: lock })))
    }

    /// Always [`DEFAULT_TOPIC`].
    pub fn topic(&self) -> &'static str {
        DEFAULT_TOPIC
    }

    /// Whether nothing was ever appended.
    pub fn is_empty(&self) -> bool {
        self.0.ends.lock().iter().all(|next| *next == 0)
    }

    /// See [`super::EventLog::append`]. All records or none.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the file cannot be written.
    pub async fn append(&self, records: Vec<NewRecord>) -> Result<Vec<Position>, LogError> {
        let partitions = self.0.ends.lock().len();
        let records = records
            .into_iter()
            .map(|record| (self.partition_of(record.key.as_deref(), partitions), record))
            .collect();
        let (reply, answer) = oneshot::channel();
        let closed = || LogError::unavailable("its writer has stopped");
        self.0.queue.send(Append { records, reply }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    fn partition_of(&self, key: Option<&[u8]>, partitions: usize) -> i32 {
        let hash = key.map_or_else(|| self.0.keyless.fetch_add(1, Ordering::Relaxed), fnv1a);
        i32::try_from(hash as usize % partitions).expect("as many partitions as an i32 counts")
    }

    /// See [`super::EventLog::consumer`].
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the file cannot be opened.
    pub fn consumer(&self) -> Result<EmbeddedConsumer, LogError> {
        let connection =
            sqlite::open_reader(&self.0.path, READER_CACHE_BYTES, 0).map_err(LogError::unavailable)?;
        let partitions = self.0.ends.lock().len();
        Ok(EmbeddedConsumer {
            connection,
            ends: self.0.ends.clone(),
            next: vec![None; partitions],
            announced: false,
            turn: 0,
        })
    }

    /// See [`super::EventLog::ping`].
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the writer has stopped, or the last append failed just now.
    pub fn ping(&self) -> Result<(), LogError> {
        if self.0.queue.is_closed() {
            return Err(LogError::unavailable("its writer has stopped"));
        }
        match &*self.0.ends.failure() {
            Some((at, error)) if at.elapsed() < FAILURE_COUNTS => Err(LogError::unavailable(error.clone())),
            _ => Ok(()),
        }
    }
}

/// FNV-1a, 32 bits: decides the partition of a key, so it must never change.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The next offset of each partition; makes the partitions of a new log.
fn read_ends(connection: &Connection, partitions: i32) -> rusqlite::Result<Vec<i64>> {
    let made_with: Option<i32> =
        connection.query_row(sql!("sqlite/event_log/partitions.sql"), [], |row| row.get(0)).optional()?;
    match made_with {
        Some(made_with) if made_with != partitions => {
            tracing::warn!(
                made_with,
                asked_for = partitions,
                "the log keeps the partitions it was made with"
            );
        }
        Some(_) => {}
        None => {
            connection.execute(sql!("sqlite/event_log/set_partitions.sql"), [partitions])?;
        }
    }
    let mut statement = connection.prepare(sql!("sqlite/event_log/end.sql"))?;
    (0..made_with.unwrap_or(partitions)).map(|p| statement.query_row([p], |row| row.get(0))).collect()
}

/// The thread that owns the write connection.
struct Writer {
    connection: Connection,
    ends: Arc<Ends>,
}

impl Writer {
    fn run(mut self, mut appends: mpsc::Receiver<Append>) {
        while let Some(first) = appends.blocking_recv() {
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

    /// Writes a group in one transaction and answers each of its appends.
    fn commit(&mut self, group: Vec<Append>) {
        match self.write(&group) {
            Ok((next, positions)) => {
                *self.ends.lock() = next;
                *self.ends.failure() = None;
                self.ends.grown.notify_all();
                for (append, positions) in group.into_iter().zip(positions) {
                    // A caller that hung up does not want to know; its records stand all the same.
                    let _gone = append.reply.send(Ok(positions));
                }
            }
            Err(error) => {
                tracing::error!(%error, "appending to the log failed");
                let error = Arc::new(error);
                *self.ends.failure() = Some((Instant::now(), error.clone()));
                for append in group {
                    let _gone = append.reply.send(Err(LogError::unavailable(error.clone())));
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
            let mut stands = Vec::with_capacity(append.records.len());
            for (partition, record) in &append.records {
                let end = &mut next[usize::try_from(*partition).expect("made by partition_of")];
                let NewRecord { key, payload, headers } = record;
                insert.execute(params![partition, *end, appended_at, key, payload, headers.as_bytes()])?;
                stands.push(Position { partition: *partition, offset: *end });
                *end += 1;
            }
            positions.push(stands);
        }
        drop(insert);
        tx.commit()?;
        Ok((next, positions))
    }
}

/// Reads all partitions of an embedded log; there is one process, so there is no group to share them with.
#[derive(Debug)]
pub struct EmbeddedConsumer {
    connection: Connection,
    ends: Arc<Ends>,
    /// Next offset to read, by partition; `None` until started.
    next: Vec<Option<i64>>,
    announced: bool,
    /// The partition that is read first, another one each time.
    turn: usize,
}

impl EmbeddedConsumer {
    pub(super) fn poll(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        wait: Duration,
    ) -> Result<Polled, LogError> {
        batch.clear();
        if !self.announced {
            self.announced = true;
            return Ok(Polled::Assigned((0..).take(self.next.len()).collect()));
        }
        let ends = self.wait_for_records(wait);
        let count = ends.len();
        let has_records =
            |partition: &usize| self.next[*partition].is_some_and(|next| next < ends[*partition]);
        let ready: Vec<_> = (0..count).map(|step| (self.turn + step) % count).filter(has_records).collect();
        // Every partition gives its share, so that none starves behind a long one, and so that a batch holds what
        // happened at about the same time: ids that are ordered by time then lie close together in the tables.
        for (taken, partition) in ready.iter().enumerate() {
            let left = ready.len() - taken;
            let share = PollLimits {
                events_max: limits.events_max.saturating_sub(batch.len()).div_ceil(left),
                bytes_max: batch.byte_len()
                    + limits.bytes_max.saturating_sub(batch.byte_len()).div_ceil(left),
            };
            self.read(batch, share, *partition).map_err(LogError::unavailable)?;
        }
        self.turn = (self.turn + 1) % count;
        Ok(Polled::Records)
    }

    /// The ends of all partitions, once one of them lies behind its position, or when time is up.
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

    /// Adds records of one partition: at most so many, until the whole batch has so many bytes.
    fn read(&mut self, batch: &mut RecordBatch, share: PollLimits, partition: usize) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(sql!("sqlite/event_log/read.sql"))?;
        let number = i32::try_from(partition).expect("as many partitions as an i32 counts");
        let limit = i64::try_from(share.events_max).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![number, self.next[partition], limit])?;
        while batch.byte_len() < share.bytes_max
            && let Some(row) = rows.next()?
        {
            let position = Position { partition: number, offset: row.get(0)? };
            let appended_at = Timestamp::from_micros(row.get(1)?).unwrap_or_else(Timestamp::now);
            let parts = RecordParts {
                key: row.get_ref(2)?.as_blob_or_null()?,
                payload: row.get_ref(3)?.as_blob_or_null()?,
                headers: HeaderView::from_bytes(row.get_ref(4)?.as_blob()?),
            };
            batch.push(position, appended_at, parts);
            self.next[partition] = Some(position.offset + 1);
        }
        Ok(())
    }

    pub(super) fn start(&mut self, positions: &[(i32, Option<i64>)]) -> Result<(), LogError> {
        let ends = self.ends.lock();
        for (partition, next) in positions {
            let index = usize::try_from(*partition).ok().filter(|index| *index < ends.len());
            let Some(index) = index else {
                return Err(LogError::Fatal(format!(
                    "the read model has a checkpoint for partition {partition}, the log has {} partitions: they do not belong together",
                    ends.len()
                )));
            };
            let next = next.unwrap_or(0);
            if next > ends[index] {
                return Err(LogError::Fatal(format!(
                    "the read model is projected up to {partition}:{next}, the log ends at {partition}:{}: they do not belong together; restore the log, or start with an empty read model",
                    ends[index]
                )));
            }
            self.next[index] = Some(next);
        }
        Ok(())
    }

    /// Nothing is ever deleted from this log.
    pub(super) fn beginnings(&self) -> Vec<(i32, i64)> {
        (0..).take(self.next.len()).map(|partition| (partition, 0)).collect()
    }

    pub(super) fn lag(&self) -> Vec<(i32, i64)> {
        let ends = self.ends.lock();
        let lag = |(next, end): (&Option<i64>, &i64)| next.map_or(0, |next| end - next);
        (0..).zip(self.next.iter().zip(ends.iter()).map(lag)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_partition_for_ever() {
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }
}
