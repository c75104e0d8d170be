//! Opening SQLite the one way this project does it, and sorting its errors.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

pub use crate::error_class::ErrorClass;
use crate::schema::{self, SchemaMismatch};

/// How long a connection waits for another's write lock before it reports `SQLITE_BUSY`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection; more than any role uses.
const STATEMENTS_CACHED: usize = 64;

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// Power loss: every commit is forced to disk. For the event log.
    Full,
    /// A crash of the process, and power loss but for the last commits. Enough for tables whose checkpoint goes
    /// back together with their rows.
    Normal,
}

/// Sorts an error by what can be done about it.
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

/// Opens (and creates) a database for its one writer: write-ahead log, page cache of `cache_bytes`, a checkpoint
/// of the write-ahead log every `wal_pages` pages.
///
/// # Errors
/// Whatever SQLite says about the file.
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
    // Once a checkpoint has emptied it, the write-ahead log shrinks back to this size.
    connection.pragma_update(None, "journal_size_limit", i64::from(wal_pages) * 4096)?;
    tune(&connection, cache_bytes)?;
    Ok(connection)
}

/// Opens an existing database for reading only. Up to `mapped_bytes` of the file are looked at where the system keeps
/// them instead of being copied page by page: right for tables that are read all over again and again, wrong for a log
/// that is read through once.
///
/// # Errors
/// Whatever SQLite says about the file; a missing file is an error, not an empty database.
pub fn open_reader(path: &Path, cache_bytes: u32, mapped_bytes: u64) -> rusqlite::Result<Connection> {
    // Readers of a write-ahead log share its index in memory, for which they must be able to write it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "mmap_size", i64::try_from(mapped_bytes).unwrap_or(i64::MAX))?;
    tune(&connection, cache_bytes)?;
    Ok(connection)
}

fn tune(connection: &Connection, cache_bytes: u32) -> rusqlite::Result<()> {
    // Plans do not depend on parameters. Otherwise SQLite plans a statement with `LIMIT ?` anew each time the limit is
    // bound, which costs several times what running it does.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    // A negative size counts KiB instead of pages.
    connection.pragma_update(None, "cache_size", -i64::from(cache_bytes / 1024))
}

/// Why a database cannot be migrated, or used as it is.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// SQLite reports an error.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The schema is that of another version of this program.
    #[error(transparent)]
    Schema(#[from] SchemaMismatch),
}

impl MigrateError {
    /// What can be done about it. An older schema is waited for: another process may migrate it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Sqlite(error) => classify(error),
            Self::Schema(SchemaMismatch::Older { .. }) => ErrorClass::Transient,
            Self::Schema(SchemaMismatch::Newer { .. }) => ErrorClass::Fatal,
        }
    }
}

/// The schema of the read model, a step per version, for [`migrate`].
pub const READ_MODEL_SCHEMA: &[&str] = &[
    crate::sql!("sqlite/schema/read_model_1.sql"),
    crate::sql!("sqlite/schema/read_model_2.sql"),
    crate::sql!("sqlite/schema/read_model_3.sql"),
    crate::sql!("sqlite/schema/read_model_4.sql"),
];

/// Brings a database to the newest schema: runs, in one transaction each, those of `steps` it has not seen.
/// Their count is kept in `user_version`. Safe when two processes start at once.
///
/// Returns how many steps it ran.
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

/// Checks that a database has the newest schema, without changing it.
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
    fn migrations_run_once_and_refuse_the_future() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = ["CREATE TABLE a (x)", "CREATE TABLE b (x)"];
        assert_eq!(migrate(&mut connection, &steps[..1]).unwrap(), 1);
        assert_eq!(migrate(&mut connection, &steps).unwrap(), 1);
        assert_eq!(migrate(&mut connection, &steps).unwrap(), 0);
        let error = migrate(&mut connection, &steps[..1]).unwrap_err().to_string();
        assert!(error.contains("newer than version 1"), "{error}");
    }
}
