//! Opens SQLite files with the settings of this project, migrates them, and classifies errors.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

pub use crate::error_class::ErrorClass;
use crate::schema::{self, SchemaMismatch};

/// How long a connection waits for the write lock of another one before it returns `SQLITE_BUSY`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements in the cache of a connection: more than any role uses.
const STATEMENTS_CACHED: usize = 64;

/// What a commit survives (docs/adr/0006).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// Power loss: every commit is synced to disk. For the event log.
    Full,
    /// A crash of the process. Power loss can undo the last commits, which is enough for tables that can be projected
    /// again: the checkpoint is undone together with the rows.
    Normal,
}

pub fn classify(error: &rusqlite::Error) -> ErrorClass {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted
            | ErrorCode::FileLockingProtocolFailed,
        ) => ErrorClass::Transient,
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
            ErrorClass::Poison
        }
        _ => ErrorClass::Fatal,
    }
}

/// Opens or creates a database for its single writer, with a page cache of `cache_bytes` and a checkpoint of the
/// write-ahead log every `wal_pages` pages.
///
/// # Errors
/// An error of SQLite about the file.
pub fn open_writer(
    path: &Path,
    synchronous: Synchronous,
    cache_bytes: u32,
    wal_pages: u32,
) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let level = if synchronous == Synchronous::Full { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", level)?;
    connection.pragma_update(None, "wal_autocheckpoint", wal_pages)?;
    // After a checkpoint the write-ahead log is truncated to this size.
    connection.pragma_update(None, "journal_size_limit", i64::from(wal_pages) * 4096)?;
    tune(&connection, cache_bytes)?;
    Ok(connection)
}

/// Opens an existing database for reading. Up to `mapped_bytes` of the file are read through a memory map: faster for
/// tables that are read again and again, slower for a log that is read once.
///
/// # Errors
/// An error of SQLite about the file. A missing file is an error too.
pub fn open_reader(path: &Path, cache_bytes: u32, mapped_bytes: u64) -> rusqlite::Result<Connection> {
    // Readers of a write-ahead log update its shared index, so even they open the file for writing.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "mmap_size", i64::try_from(mapped_bytes).unwrap_or(i64::MAX))?;
    tune(&connection, cache_bytes)?;
    Ok(connection)
}

fn tune(connection: &Connection, cache_bytes: u32) -> rusqlite::Result<()> {
    // Plans must not depend on parameters. Otherwise SQLite prepares a statement with `LIMIT ?` again for each new
    // limit, which takes several times as long as running it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    // A negative size counts KiB instead of pages.
    connection.pragma_update(None, "cache_size", -i64::from(cache_bytes / 1024))
}

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Schema(#[from] SchemaMismatch),
}

impl MigrateError {
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Sqlite(error) => classify(error),
            // Another process may migrate an older schema, so waiting helps.
            Self::Schema(SchemaMismatch::Older { .. }) => ErrorClass::Transient,
            Self::Schema(SchemaMismatch::Newer { .. }) => ErrorClass::Fatal,
        }
    }
}

/// The schema of the read model for [`migrate`]: one step for each version.
pub const READ_MODEL_SCHEMA: &[&str] = &[
    crate::sql!("sqlite/schema/read_model_1.sql"),
    crate::sql!("sqlite/schema/read_model_2.sql"),
    crate::sql!("sqlite/schema/read_model_3.sql"),
    crate::sql!("sqlite/schema/read_model_4.sql"),
];

/// Migrates a database to the newest schema. `user_version` counts the steps that have run; each missing step runs in a
/// transaction. Two processes may do this at the same time.
///
/// Returns the number of steps that it ran.
///
/// # Errors
/// [`MigrateError`].
pub fn migrate(connection: &mut Connection, steps: &[&str]) -> Result<usize, MigrateError> {
    let mut ran = 0;
    loop {
        let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let version: u32 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let seen = version as usize;
        let Some(step) = steps.get(seen) else {
            schema::check(seen, steps.len())?;
            return Ok(ran);
        };
        tx.execute_batch(step)?;
        tx.pragma_update(None, "user_version", version + 1)?;
        tx.commit()?;
        ran += 1;
    }
}

/// Checks that a database has the newest schema.
///
/// # Errors
/// [`MigrateError`].
pub fn check_schema(connection: &Connection, steps: &[&str]) -> Result<(), MigrateError> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(schema::check(version as usize, steps.len())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_run_once_and_refuse_a_newer_schema() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = ["CREATE TABLE a (x)", "CREATE TABLE b (x)"];
        assert_eq!(migrate(&mut connection, &steps[..1]).unwrap(), 1);
        assert_eq!(migrate(&mut connection, &steps).unwrap(), 1);
        assert_eq!(migrate(&mut connection, &steps).unwrap(), 0);
        let error = migrate(&mut connection, &steps[..1]).unwrap_err().to_string();
        assert!(error.contains("newer than version 1"), "{error}");
    }
}
