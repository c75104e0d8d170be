//! Dead letters in the read model's SQLite file, on a connection of their own.

mod mirror;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use millrace_domain::Timestamp;
use millrace_domain::record::{HeaderView, Position};
use millrace_platform::sql;
use millrace_platform::sqlite::{self, Synchronous};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::filter::LetterFilter;
use super::letter::{DeadLetter, LetterId};
use super::review::{LetterError, LetterGroup, Resolution};

const CACHE_BYTES: u32 = 2 * 1024 * 1024;
const WAL_PAGES: u32 = 16 * 1024;
/// Bytes of payloads, keys and headers on a page; the last letter may exceed it.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The store. The file is opened when it is first needed, on a thread that may block; clones share the connection.
#[derive(Debug, Clone)]
pub struct SqliteLetters(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl SqliteLetters {
    pub(super) fn at(path: &Path) -> Self {
        Self(Arc::new(Inner { path: path.to_owned(), connection: Mutex::default() }))
    }

    /// Checks that the file can be used.
    pub(super) async fn check(&self) -> Result<(), LetterError> {
        self.run(|_| Ok(())).await
    }

    /// Runs work that may wait for the projector's transaction, or for a lock, where it holds up no other task.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LetterError> {
        let inner = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut slot = inner.connection.lock().unwrap_or_else(PoisonError::into_inner);
            let connection = match &mut *slot {
                Some(connection) => connection,
                slot => slot.insert(open(&inner.path)?),
            };
            work(connection).map_err(store_error)
        });
        done.await.map_err(|panicked| LetterError::Store(panicked.into()))?
    }

    pub(super) async fn page(
        &self,
        filter: &LetterFilter,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<DeadLetter>, LetterError> {
        let filter = filter.clone();
        self.run(move |connection| {
            let mut ids = connection.prepare_cached(sql!("sqlite/dead_letter/page.sql"))?;
            let (kind, reason, event, from, to) = bounds(&filter);
            let ids = ids.query_map(params![kind, reason, event, from, to, limit, offset], letter_id)?;
            let (mut letters, mut bytes) = (Vec::new(), 0);
            for id in ids {
                // A letter that was closed since the statement began is left out.
                letters.extend(open_letter(connection, &id?)?);
                bytes += letters.last().map_or(0, DeadLetter::byte_len);
                if bytes >= PAGE_BYTES_MAX {
                    break;
                }
            }
            Ok(letters)
        })
        .await
    }

    pub(super) async fn get(&self, id: &LetterId) -> Result<Option<DeadLetter>, LetterError> {
        let id = id.clone();
        self.run(move |connection| open_letter(connection, &id)).await
    }

    pub(super) async fn groups(&self, filter: &LetterFilter) -> Result<Vec<LetterGroup>, LetterError> {
        let filter = filter.clone();
        self.run(move |connection| {
            let mut statement = connection.prepare_cached(sql!("sqlite/dead_letter/groups.sql"))?;
            let (kind, reason, event, from, to) = bounds(&filter);
            statement.query_map(params![kind, reason, event, from, to], group)?.collect()
        })
        .await
    }

    pub(super) async fn close(
        &self,
        ids: &[LetterId],
        resolution: Resolution,
        now: Timestamp,
    ) -> Result<u64, LetterError> {
        let ids = ids.to_vec();
        self.run(move |connection| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut closed = 0;
            for LetterId { topic, position } in &ids {
                let mut statement = tx.prepare_cached(sql!("sqlite/dead_letter/close.sql"))?;
                let values =
                    params![position.partition, position.offset, topic, resolution.as_str(), now.micros()];
                closed += statement.execute(values)? as u64;
            }
            tx.commit()?;
            Ok(closed)
        })
        .await
    }

    pub(super) async fn discard_matching(
        &self,
        filter: &LetterFilter,
        max: u32,
        now: Timestamp,
    ) -> Result<u64, LetterError> {
        let filter = filter.clone();
        self.run(move |connection| {
            let mut statement = connection.prepare_cached(sql!("sqlite/dead_letter/discard_matching.sql"))?;
            let (kind, reason, event, from, to) = bounds(&filter);
            Ok(statement.execute(params![kind, reason, event, from, to, max, now.micros()])? as u64)
        })
        .await
    }
}

fn open(path: &Path) -> Result<Connection, LetterError> {
    let failed =
        |error: &dyn std::fmt::Display| LetterError::Store(format!("{}: {error}", path.display()).into());
    // Opening a writer would create an empty file.
    if !path.exists() {
        return Err(failed(&"no read model found; run `millrace migrate`"));
    }
    let connection = sqlite::open_writer(path, Synchronous::Full, CACHE_BYTES, WAL_PAGES)
        .map_err(|error| failed(&error))?;
    sqlite::check_schema(&connection, sqlite::READ_MODEL_SCHEMA).map_err(|error| failed(&error))?;
    Ok(connection)
}

/// A filter as parameters: type, reason, event id, from, to.
type Bounds<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, i64, i64);

fn bounds(filter: &LetterFilter) -> Bounds<'_> {
    (
        filter.event_type.as_deref(),
        filter.reason.as_deref(),
        filter.event_id.as_deref(),
        filter.from.map_or(i64::MIN, Timestamp::micros),
        filter.to.map_or(i64::MAX, Timestamp::micros),
    )
}

fn open_letter(connection: &Connection, id: &LetterId) -> rusqlite::Result<Option<DeadLetter>> {
    let mut statement = connection.prepare_cached(sql!("sqlite/dead_letter/get.sql"))?;
    let LetterId { topic, position } = id;
    statement.query_row(params![position.partition, position.offset, topic], letter).optional()
}

fn letter_id(row: &Row<'_>) -> rusqlite::Result<LetterId> {
    Ok(LetterId { topic: row.get(0)?, position: Position { partition: row.get(1)?, offset: row.get(2)? } })
}

fn store_error(error: rusqlite::Error) -> LetterError {
    LetterError::Store(error.into())
}

fn letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let causes: String = row.get(5)?;
    Ok(DeadLetter {
        topic: row.get(0)?,
        position: Position { partition: row.get(1)?, offset: row.get(2)? },
        reason: row.get(3)?,
        error: row.get(4)?,
        causes: serde_json::from_str(&causes).unwrap_or_default(),
        event_id: row.get(6)?,
        event_type: row.get(7)?,
        key: row.get(8)?,
        payload: row.get(9)?,
        headers: HeaderView::from_bytes(row.get_ref(10)?.as_blob()?).to_owned(),
        attempts: row.get(11)?,
        appended_at: time(row, 12)?,
        dead_at: time(row, 13)?,
    })
}

fn group(row: &Row<'_>) -> rusqlite::Result<LetterGroup> {
    let count: i64 = row.get(2)?;
    Ok(LetterGroup {
        reason: row.get(0)?,
        event_type: row.get(1)?,
        count: count.unsigned_abs(),
        oldest: time(row, 3)?,
        newest: time(row, 4)?,
        example: Position { partition: row.get(5)?, offset: row.get(6)? },
    })
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let micros: i64 = row.get(column)?;
    Timestamp::from_micros(micros).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_statement_looks_at_more_letters_than_it_must() {
        let mut connection = Connection::open_in_memory().unwrap();
        sqlite::migrate(&mut connection, sqlite::READ_MODEL_SCHEMA).unwrap();
        for (sql, index) in [
            (sql!("sqlite/dead_letter/page.sql"), "COVERING INDEX dead_letters_open"),
            (sql!("sqlite/dead_letter/groups.sql"), "COVERING INDEX dead_letters_open"),
            (sql!("sqlite/dead_letter/discard_matching.sql"), "COVERING INDEX dead_letters_open"),
            (sql!("sqlite/dead_letter/get.sql"), "PRIMARY KEY"),
            (sql!("sqlite/dead_letter/mirror_waiting.sql"), "INDEX dead_letters_to_push"),
            (sql!("sqlite/dead_letter/mirror_waiting.sql"), "INDEX dead_letters_to_remove"),
            (sql!("sqlite/dead_letter/mirror_to_push.sql"), "INDEX dead_letters_to_push"),
            (sql!("sqlite/dead_letter/mirror_to_remove.sql"), "INDEX dead_letters_to_remove"),
        ] {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps = statement.raw_query().mapped(|row| row.get::<_, String>("detail"));
            let plan = steps.collect::<rusqlite::Result<Vec<_>>>().unwrap().join("\n");
            assert!(plan.contains(index), "{index} not in:\n{plan}");
            assert!(!plan.contains("SCAN dead_letters\n"), "{plan}");
        }
    }
}
