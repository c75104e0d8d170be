//! A log, a read model and projectors over them in a folder of their own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use millrace_domain::{Envelope, NewRecord, Position};
use millrace_event_log::embedded::EmbeddedLog;
use millrace_event_log::{EventLog, PollLimits};
use millrace_mssql::ReadModelUrl;
use millrace_platform::metrics::{MetricsRegistry, StoreMetrics};
use millrace_projector::breaker::BreakerSettings;
use millrace_projector::dead_letter::{DeadLetter, DeadLetters, LetterFilter};
use millrace_projector::metrics::ProjectorMetrics;
use millrace_projector::projection::Projection;
use millrace_projector::projector::{Progress, Projector, ProjectorSettings, Step};
use millrace_projector::retry::Backoff;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tempfile::TempDir;

pub(crate) const SETTINGS: ProjectorSettings = ProjectorSettings {
    limits: PollLimits { events_max: 1_000, bytes_max: 4 * 1024 * 1024 },
    wait: Duration::ZERO,
    backoff: Backoff { initial: Duration::from_millis(1), max: Duration::from_millis(1) },
    breaker: BreakerSettings {
        failures_max: 1_000,
        timeout: Duration::from_secs(30),
        probes: 1,
        interval: Duration::from_secs(60),
    },
    attempts_max: 3,
    inbox_retention: None,
};

/// Everything a projector needs.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) log: EventLog,
    pub(crate) registry: MetricsRegistry,
    pub(crate) metrics: ProjectorMetrics,
    runtime: tokio::runtime::Runtime,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::Embedded(EmbeddedLog::open(dir.path(), 3).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let registry = MetricsRegistry::new();
        let metrics = ProjectorMetrics::register(&registry, StoreMetrics::register(&registry));
        Self { dir, log, registry, metrics, runtime }
    }

    pub(crate) fn read_model(&self) -> PathBuf {
        self.dir.path().join("read_model.db")
    }

    pub(crate) fn url(&self) -> ReadModelUrl {
        ReadModelUrl::Sqlite(self.read_model())
    }

    pub(crate) fn projector(&self) -> Projector {
        self.projector_with(SETTINGS)
    }

    pub(crate) fn projector_with(&self, settings: ProjectorSettings) -> Projector {
        self.projector_reporting(settings, Progress::new(self.log.topic(), settings.breaker))
    }

    /// A projector into tables that are elsewhere.
    pub(crate) fn projector_over(&self, projection: Projection) -> Projector {
        let progress = Progress::new(self.log.topic(), SETTINGS.breaker);
        Projector::new(&self.log, projection, SETTINGS, self.metrics.clone(), progress).unwrap()
    }

    pub(crate) fn projector_reporting(&self, settings: ProjectorSettings, progress: Progress) -> Projector {
        let (projection, _) = Projection::open(&self.url()).unwrap();
        Projector::new(&self.log, projection, settings, self.metrics.clone(), progress).unwrap()
    }

    pub(crate) fn append(&self, records: Vec<NewRecord>) -> Vec<Position> {
        self.runtime.block_on(self.log.append(records)).unwrap()
    }

    pub(crate) fn append_events<'a>(&self, events: impl IntoIterator<Item = &'a Envelope>) -> Vec<Position> {
        self.append(events.into_iter().map(Envelope::to_record).collect())
    }

    pub(crate) fn redrive(&self, letter: &DeadLetter) {
        let letters = self.letters();
        self.runtime
            .block_on(millrace_projector::dead_letter::redrive(
                &letters,
                &self.log,
                std::slice::from_ref(letter),
            ))
            .unwrap();
    }

    /// What a future comes to.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn letters(&self) -> DeadLetters {
        let _entered = self.runtime.enter();
        DeadLetters::at(&self.url())
    }

    pub(crate) fn open_letters(&self) -> Vec<DeadLetter> {
        self.wait(self.letters().page(&LetterFilter::default(), 1_000, 0)).unwrap()
    }

    /// A connection for looking into the tables, or for breaking them.
    pub(crate) fn sql(&self) -> Connection {
        Connection::open(self.read_model()).unwrap()
    }

    pub(crate) fn tables(&self) -> Vec<String> {
        tables(&self.read_model())
    }

    pub(crate) fn count(&self, event_type: &str, status: &str) -> u64 {
        self.metrics.events_processed.with_label_values(&[event_type, status]).get()
    }
}

/// Steps until there is nothing left to do.
pub(crate) fn drain(projector: &mut Projector) {
    loop {
        match projector.step().unwrap() {
            Step::Idle => return,
            Step::Waiting(_) => panic!("everything is available here"),
            Step::Rebalanced | Step::Projected(_) | Step::Fenced => {}
        }
    }
}

/// The projected tables, a row a line, for comparison. When something was projected is no part of what was.
pub(crate) fn tables(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let queries = [
        "SELECT 'user', * FROM users ORDER BY user_id",
        "SELECT 'order', * FROM orders ORDER BY order_id",
        "SELECT 'payment', * FROM payments ORDER BY order_id",
        "SELECT 'inventory', * FROM inventory ORDER BY sku",
        "SELECT 'inbox', event_id FROM projected_events ORDER BY event_id",
    ];
    queries.iter().flat_map(|query| rows(&connection, query)).collect()
}

pub(crate) fn rows(connection: &Connection, query: &str) -> Vec<String> {
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
