//! The event log in a SQLite file: partitions, durable appends, group commit, and consumers that wake on an append.
//!
//! A lock file keeps a second process out.

mod consumer;
mod ends;
mod writer;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millrace_domain::{NewRecord, Position};
use millrace_platform::sql;
use millrace_platform::sqlite::{self, Synchronous};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::{mpsc, oneshot};

use crate::error::LogError;
use crate::url::DEFAULT_TOPIC;
use ends::Ends;
use writer::{Append, Writer};

pub use consumer::EmbeddedConsumer;

const FILE: &str = "events.db";
const SCHEMA: &[&str] = &[sql!("sqlite/schema/event_log_1.sql")];
/// Appends that can wait in the queue of the writer. Beyond it, `append` waits for a place.
const QUEUE_APPENDS_MAX: usize = 1024;
/// How long [`EmbeddedLog::ping`] reports a failed append. The state expires, because otherwise no client would be sent
/// here again and no append could succeed.
const FAILURE_REPORTED_FOR: Duration = Duration::from_secs(30);
const WRITER_CACHE_BYTES: u32 = 8 * 1024 * 1024;
const READER_CACHE_BYTES: u32 = 4 * 1024 * 1024;
/// 16 MiB. A checkpoint of the WAL syncs the database file, so it should be rare.
const WAL_PAGES: u32 = 4096;

/// Clones share the log. The file is closed when the last one is dropped.
#[derive(Debug, Clone)]
pub struct EmbeddedLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    queue: mpsc::Sender<Append>,
    ends: Arc<Ends>,
    /// Counter that spreads records without a key.
    keyless: AtomicU32,
    _lock: File,
}

impl EmbeddedLog {
    /// Opens the log in that folder, or creates it. An existing log keeps its number of partitions.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when the folder cannot be used, or another process has the log open.
    pub fn open(dir: &Path, partitions: i32) -> Result<Self, LogError> {
        let fatal = |error: &dyn std::fmt::Display| LogError::Fatal(format!("{}: {error}", dir.display()));
        std::fs::create_dir_all(dir).map_err(|error| fatal(&error))?;
        let lock = File::create(dir.join("lock")).map_err(|error| fatal(&error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                fatal(
                &"in use by another millrace process; an embedded log belongs to one process: stop that process, choose \
                 another folder, or use Kafka (EVENT_LOG=kafka://host:port/topic) to run the roles separately",
            )
            }
            TryLockError::Error(error) => fatal(&error),
        })?;
        let path = dir.join(FILE);
        let mut connection = sqlite::open_writer(&path, Synchronous::Full, WRITER_CACHE_BYTES, WAL_PAGES)
            .map_err(|error| fatal(&error))?;
        sqlite::migrate(&mut connection, SCHEMA).map_err(|error| fatal(&error))?;
        let next = read_ends(&connection, partitions).map_err(|error| fatal(&error))?;
        let ends = Arc::new(Ends::new(next));
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

    /// Whether no record was ever appended.
    pub fn is_empty(&self) -> bool {
        self.0.ends.lock().iter().all(|next| *next == 0)
    }

    /// Appends all records or none.
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
        let closed = || LogError::unavailable("the writer of the log has stopped");
        self.0.queue.send(Append { records, reply }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    fn partition_of(&self, key: Option<&[u8]>, partitions: usize) -> i32 {
        let hash = key.map_or_else(|| self.0.keyless.fetch_add(1, Ordering::Relaxed), fnv1a);
        i32::try_from(hash as usize % partitions).expect("the number of partitions is an i32")
    }

    /// # Errors
    /// [`LogError::Unavailable`] when the file cannot be opened.
    pub fn consumer(&self) -> Result<EmbeddedConsumer, LogError> {
        let connection =
            sqlite::open_reader(&self.0.path, READER_CACHE_BYTES, 0).map_err(LogError::unavailable)?;
        Ok(EmbeddedConsumer::new(connection, self.0.ends.clone()))
    }

    /// # Errors
    /// [`LogError::Unavailable`] when the writer has stopped, or the last append failed recently.
    pub fn ping(&self) -> Result<(), LogError> {
        if self.0.queue.is_closed() {
            return Err(LogError::unavailable("the writer of the log has stopped"));
        }
        match &*self.0.ends.failure() {
            Some((at, error)) if at.elapsed() < FAILURE_REPORTED_FOR => {
                Err(LogError::unavailable(error.clone()))
            }
            _ => Ok(()),
        }
    }
}

/// FNV-1a, 32 bits. It maps keys to partitions, so it must never change.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The next offset of each partition. Stores the number of partitions in a new log.
fn read_ends(connection: &Connection, partitions: i32) -> rusqlite::Result<Vec<i64>> {
    let existing: Option<i32> =
        connection.query_row(sql!("sqlite/event_log/partitions.sql"), [], |row| row.get(0)).optional()?;
    match existing {
        Some(existing) if existing != partitions => {
            tracing::warn!(
                target: "millrace::event_log",
                existing,
                configured = partitions,
                "PARTITIONS is ignored: an existing log keeps its number of partitions"
            );
        }
        Some(_) => {}
        None => {
            connection.execute(sql!("sqlite/event_log/set_partitions.sql"), [partitions])?;
        }
    }
    let mut statement = connection.prepare(sql!("sqlite/event_log/end.sql"))?;
    (0..existing.unwrap_or(partitions)).map(|p| statement.query_row([p], |row| row.get(0))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_of_a_key_never_changes() {
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }
}
