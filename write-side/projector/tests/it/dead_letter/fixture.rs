//! A store of dead letters on either database, filled as the projector fills it.

use millrace_domain::record::Headers;
use millrace_domain::{Position, Timestamp};
use millrace_mssql::ReadModelUrl;
use millrace_projector::dead_letter::mssql::MssqlLetters;
use millrace_projector::dead_letter::{DeadLetter, DeadLetters, LetterFilter};
use millrace_projector::projection::mssql::MssqlProjection;
use millrace_projector::projection::{Batch, Projection, Span};
use millrace_testkit::sql_server::Database;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Where the tables are.
enum Tables {
    Sqlite { runtime: Box<Runtime>, _dir: TempDir },
    Mssql(Box<Database>),
}

pub(crate) struct Store {
    // Before the tables, so that connections are closed before a database is dropped.
    projection: Projection,
    pub(crate) letters: DeadLetters,
    batches: i64,
    tables: Tables,
}

impl Store {
    pub(crate) fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = ReadModelUrl::Sqlite(dir.path().join("read_model.db"));
        let (projection, _) = Projection::open(&url).unwrap();
        let letters = DeadLetters::at(&url);
        let runtime = Box::new(tokio::runtime::Builder::new_current_thread().build().unwrap());
        Self { projection, letters, batches: 0, tables: Tables::Sqlite { runtime, _dir: dir } }
    }

    /// On a live SQL Server, when one is named.
    pub(crate) fn mssql() -> Option<Self> {
        let database = Database::create()?;
        let runtime = database.runtime().handle().clone();
        let entered = runtime.enter();
        let letters = DeadLetters::Mssql(MssqlLetters::over(&database.url()));
        drop(entered);
        let projection = Projection::Mssql(MssqlProjection::over(&database.url(), runtime));
        Some(Self { projection, letters, batches: 0, tables: Tables::Mssql(Box::new(database)) })
    }

    /// Projects a batch that holds nothing but these letters.
    pub(crate) fn die(&mut self, letters: &[DeadLetter]) {
        let from = (self.batches > 0).then_some(self.batches);
        self.batches += 1;
        let spans = [Span { partition: 0, from, next: self.batches }];
        let letters = letters.iter().collect();
        self.projection
            .apply(&Batch { topic: "events", spans: &spans, events: Vec::new(), letters })
            .unwrap();
    }

    /// What a question to the store comes to.
    pub(crate) fn ask<T>(&self, question: impl Future<Output = T>) -> T {
        match &self.tables {
            Tables::Sqlite { runtime, .. } => runtime.block_on(question),
            Tables::Mssql(database) => database.runtime().block_on(question),
        }
    }

    /// All that match, newest first.
    pub(crate) fn open(&self, filter: &LetterFilter) -> Vec<DeadLetter> {
        self.ask(self.letters.page(filter, 1_000, 0)).unwrap()
    }
}

/// A letter of partition 0 that died so many microseconds after 1970.
pub(crate) fn letter(offset: i64, dead_at: i64) -> DeadLetter {
    DeadLetter {
        topic: "events".to_owned(),
        position: Position { partition: 0, offset },
        reason: "not-json".to_owned(),
        error: "the payload is no JSON".to_owned(),
        causes: Vec::new(),
        event_id: None,
        event_type: None,
        key: None,
        payload: Some(b"{".to_vec()),
        headers: Headers::EMPTY,
        attempts: 1,
        appended_at: time(dead_at),
        dead_at: time(dead_at),
    }
}

pub(crate) fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}
