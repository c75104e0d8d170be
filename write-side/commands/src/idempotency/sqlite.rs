//! Idempotency keys in a SQLite file. Every commit is forced to disk: an entry must outlive the event that it belongs to.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millrace_domain::Timestamp;
use millrace_platform::sql;
use millrace_platform::sqlite::{MigrateError, Synchronous, migrate, open_writer};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::attempt::{Admission, Answer, Attempt, AttemptRequest, KEPT, LEASE};
use super::error::IdempotencyError;

const CACHE_BYTES: u32 = 1024 * 1024;
const WAL_PAGES: u32 = 1_000;
const SCHEMA: &[&str] = &[sql!("sqlite/schema/idempotency_1.sql")];

/// The file. It is opened when it is first needed.
#[derive(Debug, Clone)]
pub struct SqliteKeys(Arc<File>);

#[derive(Debug)]
struct File {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl SqliteKeys {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(Arc::new(File { path, connection: Mutex::default() }))
    }

    /// Runs work that forces bytes to disk on a thread that may block.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, IdempotencyError> {
        let file = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut slot = file.connection.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *slot {
                Some(connection) => work(connection),
                slot => work(slot.insert(open(&file.path)?)),
            }
        });
        // The runtime is shutting down, or the work panicked.
        Ok(done.await.map_err(|_| IdempotencyError::InvalidEntry)??)
    }

    pub(super) async fn begin(&self, request: AttemptRequest) -> Result<Admission, IdempotencyError> {
        self.run(move |connection| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.prepare_cached(sql!("sqlite/idempotency/expire.sql"))?.execute([request.now.micros()])?;
            let found = entry(&tx, &request)?;
            let admission = match found {
                None => {
                    let mut insert = tx.prepare_cached(sql!("sqlite/idempotency/insert.sql"))?;
                    insert.execute(params![
                        request.key.as_str(),
                        request.fingerprint.to_string(),
                        request.now.micros(),
                        request.now.micros() + micros(LEASE),
                        request.token,
                        request.now.micros() + micros(KEPT),
                    ])?;
                    let now = request.now;
                    Admission::Attempt(request.attempt(now))
                }
                Some(entry) if entry.fingerprint != request.fingerprint.to_string() => {
                    Admission::AnotherCommand
                }
                Some(Entry { answer: Some(answer), .. }) => Admission::Answered(answer),
                Some(entry) if entry.leased_until > request.now.micros() => Admission::InFlight,
                Some(entry) => {
                    let until = request.now.micros() + micros(LEASE);
                    let mut lease = tx.prepare_cached(sql!("sqlite/idempotency/lease.sql"))?;
                    lease.execute(params![request.key.as_str(), until, request.token])?;
                    Admission::Attempt(request.attempt(entry.started_at))
                }
            };
            tx.commit()?;
            Ok(admission)
        })
        .await
    }

    pub(super) async fn accepted(&self, attempt: &Attempt, answer: &Answer) -> Result<(), IdempotencyError> {
        let (key, started_at) = (attempt.key.as_str().to_owned(), attempt.started_at.micros());
        let answer = serde_json::to_string(answer).expect("texts always serialise");
        self.run(move |connection| {
            let mut statement = connection.prepare_cached(sql!("sqlite/idempotency/granted.sql"))?;
            statement.execute(params![key, started_at, answer]).map(drop)
        })
        .await
    }

    pub(super) async fn failed(&self, attempt: &Attempt, is_rejected: bool) -> Result<(), IdempotencyError> {
        let (key, token) = (attempt.key.as_str().to_owned(), attempt.token.clone());
        self.run(move |connection| {
            let statement = if is_rejected {
                sql!("sqlite/idempotency/forget.sql")
            } else {
                sql!("sqlite/idempotency/release.sql")
            };
            connection.prepare_cached(statement)?.execute([key, token]).map(drop)
        })
        .await
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

struct Entry {
    fingerprint: String,
    started_at: Timestamp,
    leased_until: i64,
    answer: Option<Answer>,
}

fn entry(connection: &Connection, request: &AttemptRequest) -> rusqlite::Result<Option<Entry>> {
    let mut statement = connection.prepare_cached(sql!("sqlite/idempotency/get.sql"))?;
    let entry = statement.query_row(params![request.key.as_str(), request.now.micros()], |row| {
        let answer: Option<String> = row.get(3)?;
        let started_at: i64 = row.get(1)?;
        Ok(Entry {
            fingerprint: row.get(0)?,
            started_at: Timestamp::from_micros(started_at)
                .ok_or(rusqlite::Error::IntegralValueOutOfRange(1, started_at))?,
            leased_until: row.get(2)?,
            answer: answer.and_then(|text| serde_json::from_str(&text).ok()),
        })
    });
    entry.optional()
}

fn open(path: &std::path::Path) -> rusqlite::Result<Connection> {
    if let Some(folder) = path.parent() {
        // Should this fail, opening the file reports it.
        let _created = std::fs::create_dir_all(folder);
    }
    let mut connection = open_writer(path, Synchronous::Full, CACHE_BYTES, WAL_PAGES)?;
    match migrate(&mut connection, SCHEMA) {
        Ok(_) => Ok(connection),
        Err(MigrateError::Sqlite(error)) => Err(error),
        Err(error @ MigrateError::Schema(_)) => Err(rusqlite::Error::ToSqlConversionFailure(error.into())),
    }
}
