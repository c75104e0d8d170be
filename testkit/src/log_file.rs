//! Reads the file of an embedded event log without the code of the log.

use std::path::{Path, PathBuf};

use millrace_domain::record::{HeaderView, Headers};
use millrace_domain::{DecodeError, Envelope, Position, Record, Timestamp};
use rusqlite::{Connection, Row};

pub struct LogFile(PathBuf);

/// A record in the file.
pub struct StoredRecord {
    pub position: Position,
    pub key: Option<Vec<u8>>,
    pub payload: Vec<u8>,
    headers: Headers,
}

impl StoredRecord {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            position: Position { partition: row.get(0)?, offset: row.get(1)? },
            key: row.get(2)?,
            payload: row.get(3)?,
            headers: HeaderView::from_bytes(row.get_ref(4)?.as_blob()?).to_owned(),
        })
    }

    /// The key as text.
    pub fn key(&self) -> &str {
        std::str::from_utf8(self.key.as_deref().unwrap()).unwrap()
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.view().get_str(name)
    }

    /// # Panics
    /// When the record does not decode.
    pub fn decode(&self) -> Envelope {
        self.try_decode().unwrap()
    }

    pub fn try_decode(&self) -> Result<Envelope, DecodeError> {
        millrace_domain::decode(&Record {
            topic: "events",
            position: self.position,
            appended_at: Timestamp::now(),
            key: self.key.as_deref(),
            payload: Some(&self.payload),
            headers: self.headers.view(),
        })
    }
}

impl LogFile {
    pub fn in_folder(dir: &Path) -> Self {
        Self(dir.join("events.db"))
    }

    /// A connection, for example to damage the file.
    pub fn connect(&self) -> Connection {
        Connection::open(&self.0).unwrap()
    }

    pub fn records(&self) -> Vec<StoredRecord> {
        let connection = self.connect();
        let query = r#"SELECT partition, "offset", key, payload, headers FROM records"#;
        let mut statement = connection.prepare(query).unwrap();
        statement.query_map([], StoredRecord::of).unwrap().map(Result::unwrap).collect()
    }

    pub fn record(&self, position: Position) -> StoredRecord {
        let mut records = self.records().into_iter();
        records.find(|record| record.position == position).expect("a record at that position")
    }

    /// Makes every append fail, like a full disk: its transaction is rolled back.
    pub fn fill_disk(&self) {
        let trigger =
            "CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'disk is full'); END";
        self.connect().execute_batch(trigger).unwrap();
    }

    /// Ends [`LogFile::fill_disk`].
    pub fn free_disk(&self) {
        self.connect().execute_batch("DROP TRIGGER full").unwrap();
    }
}
