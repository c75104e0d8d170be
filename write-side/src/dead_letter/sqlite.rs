//! Dead letters in the read model's SQLite file, read and closed on a connection of their own.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};
use shared::record::{HeaderView, Position};
use shared::sqlite::{self, Synchronous};
use shared::{Timestamp, sql};

use super::{Closed, DeadLetter, LetterError, LetterGroup};

const CACHE_BYTES: u32 = 2 * 1024 * 1024;
const WAL_PAGES: u32 = 16 * 1024;

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
        Ok(Self(Mutex::new(connection)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn list(&self, limit: u32, offset: u32) -> Result<Vec<DeadLetter>, LetterError> {
        let connection = self.connection();
        let list = || -> rusqlite::Result<_> {
            let mut statement = connection.prepare_cached(sql!("sqlite/dead_letter/list.sql"))?;
            statement.query_map([limit, offset], letter)?.collect()
        };
        list().map_err(store_error)
    }

    pub(super) fn get(&self, topic: &str, at: Position) -> Result<Option<DeadLetter>, LetterError> {
        let connection = self.connection();
        let get = || -> rusqlite::Result<_> {
            let mut statement = connection.prepare_cached(sql!("sqlite/dead_letter/get.sql"))?;
            statement.query_row(params![at.partition, at.offset, topic], letter).optional()
        };
        get().map_err(store_error)
    }

    pub(super) fn stats(&self) -> Result<Vec<LetterGroup>, LetterError> {
        let connection = self.connection();
        let stats = || -> rusqlite::Result<_> {
            let mut statement = connection.prepare_cached(sql!("sqlite/dead_letter/stats.sql"))?;
            statement.query_map([], group)?.collect()
        };
        stats().map_err(store_error)
    }

    pub(super) fn close(
        &self,
        topic: &str,
        at: Position,
        how: Closed,
        now: Timestamp,
    ) -> Result<bool, LetterError> {
        let state = match how {
            Closed::Redriven => "redriven",
            Closed::Discarded => "discarded",
        };
        let connection = self.connection();
        let close = || -> rusqlite::Result<_> {
            let mut statement = connection.prepare_cached(sql!("sqlite/dead_letter/close.sql"))?;
            statement.execute(params![at.partition, at.offset, topic, state, now.micros()])
        };
        Ok(close().map_err(store_error)? == 1)
    }
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
    })
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let micros: i64 = row.get(column)?;
    Timestamp::from_micros(micros).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, micros))
}
