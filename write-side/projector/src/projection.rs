//! PORT: the projection. A batch of events becomes rows, and the fence moves, in one transaction or not at all.
//!
//! The rule event → rows commutes (docs/adr/0002): any order, repetition or later redrive gives the same tables.

pub(crate) mod batch;
pub mod changes;
pub(crate) mod error;
pub mod mssql;
pub mod sqlite;

use std::collections::BTreeMap;

use millrace_domain::Timestamp;
use millrace_mssql::ReadModelUrl;

pub use batch::{Applied, Batch, Pruned, Span};
pub use error::ApplyError;
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

impl Projection {
    /// Opens the store and migrates its schema. Returns how many migration steps were run. For SQL Server it must be
    /// called within a runtime, whose threads then do the requests.
    ///
    /// # Errors
    /// [`ApplyError::Transient`] or [`ApplyError::Fatal`].
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

    /// Opens the store without migrating it; see [`Projection::open`].
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
    /// [`ApplyError`]; then nothing was changed.
    pub fn apply(&mut self, batch: &Batch<'_>) -> Result<Applied, ApplyError> {
        match self {
            Self::Sqlite(projection) => projection.apply(batch),
            Self::Mssql(projection) => projection.apply(batch),
        }
    }

    /// Reads the next `slice` rows of the inbox and removes those that are older than `older_than`; after the last row
    /// it starts again. An event whose row was removed counts again if it is sent again.
    ///
    /// # Errors
    /// [`ApplyError::Transient`] or [`ApplyError::Fatal`]; then nothing was removed.
    pub fn prune_inbox(&mut self, older_than: Timestamp, slice: u32) -> Result<Pruned, ApplyError> {
        match self {
            Self::Sqlite(projection) => projection.prune_inbox(older_than, slice),
            Self::Mssql(projection) => projection.prune_inbox(older_than, slice),
        }
    }
}
