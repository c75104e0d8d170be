//! Dead letters in the read model's SQLite file, read and closed on a connection of their own.

mod mirror;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use shared::record::{HeaderView, Position};
use shared::sqlite::{self, Synchronous};
use shared::{Timestamp, sql};

use super::{Closed, DeadLetter, LetterError, LetterFilter, LetterGroup, Place};

const CACHE_BYTES: u32 = 2 * 1024 * 1024;
const WAL_PAGES: u32 = 16 * 1024;
/// Bytes of payloads, keys and headers on a page; the last letter may exceed it.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The store.
#[derive(Debug)]
pub struct SqliteLetters(Mutex<Connection>);

impl SqliteLetters {
    pub(super) fn open(path: &Path) -> Result<Self, LetterError> {
        if !path.exists() {
            let message =
                format!("{}: no read model there yet; run `millrace migrate` first", path.display());
            return Err(LetterError::Store(message.into()));
        }
        let connection =
            sqlite::open_writer(path, Synchronous::Full, CACHE_BYTES, WAL_PAGES).map_err(store_error)?;
        let version: u32 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(store_error)?;
        if version as usize != sqlite::READ_MODEL_SCHEMA.len() {
            let message = format!("{}: another schema version; run `millrace migrate` first", path.display());
            return Err(LetterError::Store(message.into()));
        }
        Ok(Self(Mutex::new(connection)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn page(
        &self,
        filter: &LetterFilter,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<DeadLetter>, LetterError> {
        let connection = self.connection();
        let page = || -> rusqlite::Result<_> {
            let mut places = connection.prepare_cached(sql!("sqlite/dead_letter/page.sql"))?;
            let (kind, reason, event, from, to) = bounds(filter);
            let places = places.query_map(params![kind, reason, event, from, to, limit, offset], place)?;
            let (mut letters, mut bytes) = (Vec::new(), 0);
            for place in places {
                // One that was closed a moment ago is not there any more.
                letters.extend(open_letter(&connection, &place?)?);
                bytes += letters.last().map_or(0, DeadLetter::byte_len);
                if bytes >= PAGE_BYTES_MAX {
                    break;
                }
            }
            Ok(letters)
        };
        page().map_err(store_error)
    }

    pub(super) fn get(&self, place: &Place) -> Result<Option<DeadLetter>, LetterError> {
        open_letter(&self.connection(), place).map_err(store_error)
    }

    pub(super) fn groups(&self, filter: &LetterFilter) -> Result<Vec<LetterGroup>, LetterError> {
        let connection = self.connection();
        let groups = || -> rusqlite::Result<_> {
            let mut statement = connection.prepare_cached(sql!("sqlite/dead_letter/groups.sql"))?;
            let (kind, reason, event, from, to) = bounds(filter);
            statement.query_map(params![kind, reason, event, from, to], group)?.collect()
        };
        groups().map_err(store_error)
    }

    pub(super) fn close(&self, places: &[Place], how: Closed, now: Timestamp) -> Result<u64, LetterError> {
        let mut connection = self.connection();
        let mut close = || -> rusqlite::Result<_> {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut closed = 0;
            for Place { topic, position } in places {
                let mut statement = tx.prepare_cached(sql!("sqlite/dead_letter/close.sql"))?;
                let at = params![position.partition, position.offset, topic, how.as_str(), now.micros()];
                closed += statement.execute(at)? as u64;
            }
            tx.commit()?;
            Ok(closed)
        };
        close().map_err(store_error)
    }

    pub(super) fn discard_matching(
        &self,
        filter: &LetterFilter,
        max: u32,
        now: Timestamp,
    ) -> Result<u64, LetterError> {
        let connection = self.connection();
        let discard = || -> rusqlite::Result<_> {
            let mut statement = connection.prepare_cached(sql!("sqlite/dead_letter/discard_matching.sql"))?;
            let (kind, reason, event, from, to) = bounds(filter);
            statement.execute(params![kind, reason, event, from, to, max, now.micros()])
        };
        Ok(discard().map_err(store_error)? as u64)
    }
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

fn open_letter(connection: &Connection, place: &Place) -> rusqlite::Result<Option<DeadLetter>> {
    let mut statement = connection.prepare_cached(sql!("sqlite/dead_letter/get.sql"))?;
    let Place { topic, position } = place;
    statement.query_row(params![position.partition, position.offset, topic], letter).optional()
}

fn place(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place { topic: row.get(0)?, position: Position { partition: row.get(1)?, offset: row.get(2)? } })
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
