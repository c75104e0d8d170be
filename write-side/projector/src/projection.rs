//! PORT: the projection. A batch of events becomes rows, and the fence moves, in one transaction or not at all.
//!
//! The rule event → rows commutes (docs/adr/0002): any order, repetition or later redrive gives the same tables.

pub mod changes;
pub mod mssql;
pub mod sqlite;

use std::collections::BTreeMap;

use millrace_domain::{Envelope, EventType, Timestamp};
use millrace_mssql::ReadModelUrl;

use crate::dead_letter::DeadLetter;
use mssql::MssqlProjection;
use sqlite::SqliteProjection;

/// The store that holds the projected tables.
#[derive(Debug)]
pub enum Projection {
    /// A SQLite file.
    Sqlite(SqliteProjection),
    /// A SQL Server database.
    Mssql(MssqlProjection),
}

/// Records of one partition that a batch covers, and where the fence must stand for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The partition.
    pub partition: i32,
    /// Where the fence must stand: the next offset as this projector left it, `None` when it was never set.
    pub from: Option<i64>,
    /// Where the fence stands afterwards.
    pub next: i64,
}

/// What is projected together.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Topic of all positions.
    pub topic: &'a str,
    /// At most one per partition.
    pub spans: &'a [Span],
    /// The events, in any order.
    pub events: Vec<&'a Envelope>,
    /// The records that are none.
    pub letters: Vec<&'a DeadLetter>,
}

/// What became of the events of a batch, by [`EventType`] in the order of [`EventType::ALL`].
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Events given.
    pub events: [u64; 4],
    /// Of these, events whose id was counted before and so changed nothing.
    pub duplicates: [u64; 4],
}

impl Applied {
    pub(crate) fn count(events: &[&Envelope]) -> Self {
        let mut applied = Self::default();
        for envelope in events {
            applied.events[envelope.event.event_type() as usize] += 1;
        }
        applied
    }

    pub(crate) fn duplicate(&mut self, event_type: EventType, count: u64) {
        self.duplicates[event_type as usize] += count;
    }
}

/// What became of a slice of the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Rows that were removed.
    pub removed: u64,
    /// Whether there are rows that this round has not looked at yet.
    pub more: bool,
}

/// Why a batch was not projected. In every case nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Another projector has moved the fence: this batch is not ours to project.
    #[error(
        "partition {partition} is projected by another: the fence does not stand where this projector left it"
    )]
    Fenced {
        /// Whose fence.
        partition: i32,
    },
    /// The store is away, busy or full: wait, then try again.
    #[error("read model unavailable")]
    Transient(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An event in the batch cannot be stored.
    #[error("the read model refuses the event")]
    Poison(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A bug of ours, or a damaged store.
    #[error("the projection is broken")]
    Fatal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Projection {
    /// Opens the store and brings its schema up to date. Returns how many steps that took. SQL Server needs a runtime at
    /// hand, whose threads then do the work.
    ///
    /// # Errors
    /// [`ApplyError::Fatal`] or [`ApplyError::Transient`] with what the store says.
    pub fn open(url: &ReadModelUrl) -> Result<(Self, usize), ApplyError> {
        match url {
            ReadModelUrl::Sqlite(path) => {
                let (projection, steps) = SqliteProjection::open(path)?;
                Ok((Self::Sqlite(projection), steps))
            }
            ReadModelUrl::Mssql(url) => {
                let (projection, migrated) = MssqlProjection::open(url)?;
                Ok((Self::Mssql(projection), migrated.steps))
            }
        }
    }

    /// Opens the store without migrating it. SQL Server needs a runtime at hand, whose threads then do the work.
    ///
    /// # Errors
    /// [`ApplyError::Transient`] when it is unavailable, missing or older than this program: another process may mend
    /// that. [`ApplyError::Fatal`] for the rest.
    pub fn open_migrated(url: &ReadModelUrl) -> Result<Self, ApplyError> {
        match url {
            ReadModelUrl::Sqlite(path) => SqliteProjection::open_migrated(path).map(Self::Sqlite),
            ReadModelUrl::Mssql(url) => MssqlProjection::open_migrated(url).map(Self::Mssql),
        }
    }

    /// The next offset of each partition that was ever projected.
    ///
    /// # Errors
    /// [`ApplyError::Transient`] or [`ApplyError::Fatal`].
    pub fn checkpoints(&mut self, topic: &str) -> Result<BTreeMap<i32, i64>, ApplyError> {
        match self {
            Self::Sqlite(projection) => projection.checkpoints(topic),
            Self::Mssql(projection) => projection.checkpoints(topic),
        }
    }

    /// Projects a batch: rows, inbox, dead letters and fence in one transaction.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing was changed then.
    pub fn apply(&mut self, batch: &Batch<'_>) -> Result<Applied, ApplyError> {
        match self {
            Self::Sqlite(projection) => projection.apply(batch),
            Self::Mssql(projection) => projection.apply(batch),
        }
    }

    /// Looks at the next `slice` rows of the inbox and removes those that were noted before `older_than`; after the
    /// last row it begins again. Whatever is removed would count again if it were sent again.
    ///
    /// # Errors
    /// [`ApplyError::Transient`] or [`ApplyError::Fatal`]; nothing was removed then.
    pub fn prune_inbox(&mut self, older_than: Timestamp, slice: u32) -> Result<Pruned, ApplyError> {
        match self {
            Self::Sqlite(projection) => projection.prune_inbox(older_than, slice),
            Self::Mssql(projection) => projection.prune_inbox(older_than, slice),
        }
    }
}
