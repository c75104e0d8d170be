//! The files of a data folder, read by another process.

use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use crate::process::{Home, until};

/// Events in the sample shop.
pub(crate) const SAMPLE_EVENTS: i64 = 5_066;

impl Home {
    pub(crate) fn read_model(&self) -> PathBuf {
        self.data().join("read_model.db")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.data().join("events.db")
    }

    /// Records in the log; 0 if the log does not exist.
    pub(crate) fn records(&self) -> i64 {
        number(&self.log(), "SELECT COUNT(*) FROM records").unwrap_or(0)
    }

    /// Projected records, from the checkpoints; 0 if the read model does not exist.
    pub(crate) fn projected(&self) -> i64 {
        let query = "SELECT COALESCE(SUM(next_offset), 0) FROM checkpoints";
        number(&self.read_model(), query).unwrap_or(0)
    }

    #[track_caller]
    pub(crate) fn until_projected(&self, records: i64) {
        until("everything is projected", || (self.projected() >= records).then_some(()));
        assert_eq!(self.projected(), records);
    }

    /// The result of a query for one number to the read model.
    #[track_caller]
    pub(crate) fn count(&self, query: &str) -> i64 {
        number(&self.read_model(), query).unwrap()
    }

    /// The projected tables, one line per row, without the times of projection.
    pub(crate) fn tables(&self) -> Vec<String> {
        let connection = open(&self.read_model()).unwrap();
        let queries = [
            "SELECT 'user', * FROM users ORDER BY user_id",
            "SELECT 'order', * FROM orders ORDER BY order_id",
            "SELECT 'payment', * FROM payments ORDER BY order_id",
            "SELECT 'inventory', * FROM inventory ORDER BY sku",
            "SELECT 'inbox', event_id FROM projected_events ORDER BY event_id",
            r#"SELECT 'letter', partition, "offset", reason, payload FROM dead_letters ORDER BY 2, 3"#,
        ];
        queries.iter().flat_map(|query| rows(&connection, query)).collect()
    }

    /// Every key in the log.
    pub(crate) fn keys(&self) -> std::collections::BTreeSet<String> {
        let connection = open(&self.log()).unwrap();
        let keys = rows(&connection, "SELECT DISTINCT key FROM records");
        keys.into_iter().collect()
    }

    /// Every payload in the log, in any order.
    pub(crate) fn payloads(&self) -> Vec<String> {
        rows(&open(&self.log()).unwrap(), "SELECT payload FROM records")
    }

    /// Every record of the log that is an event.
    pub(crate) fn events(&self) -> Vec<millrace_domain::Envelope> {
        let connection = open(&self.log()).unwrap();
        let mut statement = connection.prepare("SELECT key, payload FROM records").unwrap();
        let decoded = statement.query_map([], |row| {
            Ok(millrace_domain::decode(&millrace_domain::Record {
                topic: "events",
                position: millrace_domain::Position { partition: 0, offset: 0 },
                appended_at: millrace_domain::Timestamp::now(),
                key: row.get_ref(0)?.as_blob_or_null()?,
                payload: row.get_ref(1)?.as_blob_or_null()?,
                headers: millrace_domain::record::HeaderView::default(),
            }))
        });
        decoded.unwrap().filter_map(|event| event.unwrap().ok()).collect()
    }

    /// A connection to one of the files.
    pub(crate) fn sql(&self, file: &Path) -> Connection {
        open(file).unwrap()
    }

    /// Holds the file's one write lock until it is dropped.
    pub(crate) fn locked(&self, file: &Path) -> Connection {
        let connection = open(file).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        connection
    }

    /// Whether another connection holds the file's write lock.
    pub(crate) fn is_locked(&self, file: &Path) -> bool {
        let connection = open(file).unwrap();
        connection.busy_timeout(std::time::Duration::ZERO).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err()
    }

    /// Distinct events in the log, which may have duplicates.
    pub(crate) fn different_events(&self) -> i64 {
        let query = "SELECT COUNT(DISTINCT json_extract(CAST(payload AS TEXT), '$.id')) FROM records";
        number(&self.log(), query).unwrap()
    }

    /// A home whose log is a copy of this one, and whose read model is empty.
    pub(crate) fn copy_of_log(&self) -> Self {
        let copy = Self::new();
        std::fs::create_dir(copy.data()).unwrap();
        let connection = open(&self.log()).unwrap();
        connection.execute("VACUUM INTO ?1", [copy.log().to_str().unwrap()]).unwrap();
        copy
    }
}

/// Never creates a file: a missing one is an error.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(std::time::Duration::from_secs(60))?;
    Ok(connection)
}

fn number(path: &Path, query: &str) -> rusqlite::Result<i64> {
    open(path)?.query_row(query, [], |row| row.get(0))
}

fn rows(connection: &Connection, query: &str) -> Vec<String> {
    let mut statement = connection.prepare(query).unwrap();
    let columns = statement.column_count();
    let row_text = |row: &rusqlite::Row<'_>| {
        let cells = (0..columns).map(|column| match row.get_ref(column).unwrap() {
            ValueRef::Null => "-".to_owned(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => format!("float {number}"),
            ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
        });
        Ok(cells.collect::<Vec<_>>().join(" | "))
    };
    statement.query_map([], row_text).unwrap().map(Result::unwrap).collect()
}
