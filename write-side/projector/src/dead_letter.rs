//! PORT: the review of dead letters: list, count, redrive, discard.
//!
//! The projection writes letters, in the transaction that moves the checkpoint past their record. Here they are only read
//! and closed. A closed letter stays closed: a redriven record that fails again becomes another letter.

mod filter;
mod letter;
pub mod mirror;
mod mirror_state;
pub mod mssql;
mod redis;
mod redrive;
mod review;
mod sqlite;

use millrace_domain::Timestamp;
use millrace_mssql::ReadModelUrl;

pub use filter::LetterFilter;
pub(crate) use letter::LetterJson;
pub use letter::{Attempt, DeadLetter, HISTORY_MAX, LetterId, REDRIVE_COUNT, REDRIVE_HISTORY, REFUSED};
pub use redrive::{Redriven, redrive, redrive_matching};
pub use review::{LetterError, LetterGroup, Resolution};

/// The letters in the read model's store.
#[derive(Debug)]
pub enum DeadLetters {
    Sqlite(sqlite::SqliteLetters),
    Mssql(mssql::MssqlLetters),
}

impl DeadLetters {
    /// The letters of that store, which is connected to when it is first needed. Must be called within a runtime.
    pub fn at(url: &ReadModelUrl) -> Self {
        match url {
            ReadModelUrl::Sqlite(path) => Self::Sqlite(sqlite::SqliteLetters::at(path)),
            ReadModelUrl::Mssql(url) => Self::Mssql(mssql::MssqlLetters::over(url)),
        }
    }

    /// Checks that the store can be reached and has the schema of this program.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn check(&self) -> Result<(), LetterError> {
        match self {
            Self::Sqlite(letters) => letters.check().await,
            Self::Mssql(letters) => letters.check().await,
        }
    }

    /// Open letters, newest first: at most `limit`, after the first `offset`. A page also ends at 16 MiB, so one that is
    /// shorter than `limit` need not be the last.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn page(
        &self,
        filter: &LetterFilter,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<DeadLetter>, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.page(filter, limit, offset).await,
            Self::Mssql(letters) => letters.page(filter, limit, offset).await,
        }
    }

    /// One open letter.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn get(&self, id: &LetterId) -> Result<Option<DeadLetter>, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.get(id).await,
            Self::Mssql(letters) => letters.get(id).await,
        }
    }

    /// Open letters by reason and type, the most frequent first.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn groups(&self, filter: &LetterFilter) -> Result<Vec<LetterGroup>, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.groups(filter).await,
            Self::Mssql(letters) => letters.groups(filter).await,
        }
    }

    /// How many open letters match.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn depth(&self, filter: &LetterFilter) -> Result<u64, LetterError> {
        Ok(self.groups(filter).await?.iter().map(|group| group.count).sum())
    }

    /// Closes these letters in one transaction. Returns how many of them were open.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn close(&self, ids: &[LetterId], resolution: Resolution) -> Result<u64, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.close(ids, resolution, Timestamp::now()).await,
            Self::Mssql(letters) => letters.close(ids, resolution).await,
        }
    }

    /// Discards the letters that match and have died by now, `slice` in a transaction, and calls `discarded` with the
    /// count of each. Letters that die meanwhile are kept: no one has seen them yet.
    ///
    /// # Errors
    /// [`LetterError::Store`]; the letters that `discarded` has counted are discarded.
    pub async fn discard_all_matching(
        &self,
        filter: &LetterFilter,
        slice: u32,
        mut discarded: impl FnMut(u64),
    ) -> Result<(), LetterError> {
        let filter = filter.clone().until(Timestamp::now());
        loop {
            match self.discard_matching(&filter, slice).await? {
                0 => return Ok(()),
                letters => discarded(letters),
            }
        }
    }

    /// Discards the oldest letters that match, at most `max`. Returns how many.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn discard_matching(&self, filter: &LetterFilter, max: u32) -> Result<u64, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.discard_matching(filter, max, Timestamp::now()).await,
            Self::Mssql(letters) => letters.discard_matching(filter, max).await,
        }
    }
}
