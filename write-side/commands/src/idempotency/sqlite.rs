//! Idempotency keys in a SQLite file. Every commit is forced to disk: an entry must outlive what it stands for.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use millrace_domain::Timestamp;
use millrace_platform::sql;
use millrace_platform::sqlite::{MigrateError, Synchronous, migrate, open_writer};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{Answer, Asked, Attempt, Begun, IdempotencyError, KEPT, LEASE, micros};

const CACHE_BYTES: u32 = 1024 * 1024;
const WAL_PAGES: u32 = 1_000;
const SCHEMA: &[&str] = &[sql!("sqlite/schema/idempotency_1.sql")];

/// The file, opened when it is first needed.
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

    /// Runs what forces bytes to disk where it keeps no other request waiting.
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
        // The runtime is going down, or the work panicked: either way nothing is known.
        Ok(done.await.map_err(|_| IdempotencyError::Unreadable)??)
    }

    pub(super) async fn begin(&self, asked: Asked) -> Result<Begun, IdempotencyError> {
        self.run(move |connection| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.prepare_cached(sql!("sqlite/idempotency/expire.sql"))?.execute([asked.now.micros()])?;
            let found = entry(&tx, &asked)?;
            let begun = match found {
                None => {
                    let mut insert = tx.prepare_cached(sql!("sqlite/idempotency/insert.sql"))?;
                    insert.execute(params![
                        asked.key.0,
                        asked.fingerprint.to_string(),
                        asked.now.micros(),
                        asked.now.micros() + micros(LEASE),
                        asked.token,
                        asked.now.micros() + micros(KEPT),
                    ])?;
                    let now = asked.now;
                    Begun::Attempt(asked.attempt(now))
                }
                Some(entry) if entry.fingerprint != asked.fingerprint.to_string() => Begun::AnotherCommand,
                Some(Entry { answer: Some(answer), .. }) => Begun::Answered(answer),
                Some(entry) if entry.leased_until > asked.now.micros() => Begun::InFlight,
                Some(entry) => {
                    let until = asked.now.micros() + micros(LEASE);
                    let mut lease = tx.prepare_cached(sql!("sqlite/idempotency/lease.sql"))?;
                    lease.execute(params![asked.key.0, until, asked.token])?;
                    Begun::Attempt(asked.attempt(entry.started_at))
                }
            };
            tx.commit()?;
            Ok(begun)
        })
        .await
    }

    pub(super) async fn granted(&self, attempt: &Attempt, answer: &Answer) -> Result<(), IdempotencyError> {
        let (key, started_at) = (attempt.key.0.clone(), attempt.started_at.micros());
        let answer = serde_json::to_string(answer).expect("texts always serialise");
        self.run(move |connection| {
            let mut statement = connection.prepare_cached(sql!("sqlite/idempotency/granted.sql"))?;
            statement.execute(params![key, started_at, answer]).map(drop)
        })
        .await
    }

    pub(super) async fn failed(
        &self,
        attempt: &Attempt,
        nothing_happened: bool,
    ) -> Result<(), IdempotencyError> {
        let (key, token) = (attempt.key.0.clone(), attempt.token.clone());
        self.run(move |connection| {
            let statement = if nothing_happened {
                sql!("sqlite/idempotency/forget.sql")
            } else {
                sql!("sqlite/idempotency/release.sql")
            };
            connection.prepare_cached(statement)?.execute([key, token]).map(drop)
        })
        .await
    }
}

struct Entry {
    fingerprint: String,
    started_at: Timestamp,
    leased_until: i64,
    answer: Option<Answer>,
}

fn entry(connection: &Connection, asked: &Asked) -> rusqlite::Result<Option<Entry>> {
    let mut statement = connection.prepare_cached(sql!("sqlite/idempotency/get.sql"))?;
    let entry = statement.query_row(params![asked.key.0, asked.now.micros()], |row| {
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
        // Should this fail, opening the file says so.
        let _made = std::fs::create_dir_all(folder);
    }
    let mut connection = open_writer(path, Synchronous::Full, CACHE_BYTES, WAL_PAGES)?;
    match migrate(&mut connection, SCHEMA) {
        Ok(_) => Ok(connection),
        Err(MigrateError::Sqlite(error)) => Err(error),
        Err(error @ MigrateError::Schema(_)) => Err(rusqlite::Error::ToSqlConversionFailure(error.into())),
    }
}
