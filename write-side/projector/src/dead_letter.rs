//! PORT: the dead letters, for those who review them: list, count, redrive, discard.
//!
//! Letters are written by the projection, in the transaction that moves the checkpoint past their record. Here they
//! are only read and closed. A closed letter never opens again: what fails once more dies at another place.

mod filter;
mod letter;
pub mod mirror;
pub mod mssql;
mod redis;
mod redrive;
mod sqlite;

use std::error::Error;

use millrace_domain::{Position, Timestamp};
use millrace_event_log::LogError;
use millrace_mssql::ReadModelUrl;
use serde::Serialize;
use utoipa::ToSchema;

pub use filter::LetterFilter;
pub(crate) use letter::LetterJson;
pub use letter::{Attempt, DeadLetter, HISTORY_MAX, LetterId, REDRIVE_COUNT, REDRIVE_HISTORY, REFUSED};
pub use redrive::{Redriven, redrive, redrive_matching};

/// How a letter was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Its record was appended to the log again.
    Redriven,
    /// It was discarded.
    Discarded,
}

impl Resolution {
    /// As the tables store it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redriven => "redriven",
            Self::Discarded => "discarded",
        }
    }
}

/// Open letters of one fingerprint, which is reason and type: one cause, one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LetterGroup {
    /// See [`DeadLetter::reason`].
    pub reason: String,
    /// See [`DeadLetter::event_type`]; empty when it cannot be told.
    pub event_type: String,
    /// How many.
    pub count: u64,
    /// When the first died.
    #[schema(value_type = String, format = DateTime)]
    pub oldest: Timestamp,
    /// When the last died.
    #[schema(value_type = String, format = DateTime)]
    pub newest: Timestamp,
    /// One of them.
    #[schema(value_type = String)]
    pub example: Position,
}

/// Why letters could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// The store is unavailable, or its answer is an error.
    #[error("dead letters unavailable")]
    Store(#[source] Box<dyn Error + Send + Sync>),
    /// The log did not take the record; the letter stays open.
    #[error("failed to append the letter to the event log")]
    Log(#[from] LogError),
}

/// The open letters in the store.
#[derive(Debug)]
pub enum DeadLetters {
    /// In a SQLite file.
    Sqlite(sqlite::SqliteLetters),
    /// In a SQL Server database.
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

    /// Open letters, newest first: at most `limit`, the first `offset` left out. A page also ends once it holds
    /// 16 MiB, so one that is shorter than `limit` need not be the last.
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

    /// Open letters by fingerprint, the most frequent first.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn groups(&self, filter: &LetterFilter) -> Result<Vec<LetterGroup>, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.groups(filter).await,
            Self::Mssql(letters) => letters.groups(filter).await,
        }
    }

    /// How many letters are open.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn depth(&self, filter: &LetterFilter) -> Result<u64, LetterError> {
        Ok(self.groups(filter).await?.iter().map(|group| group.count).sum())
    }

    /// Closes these letters, all or none. Returns how many of them were open.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn close(&self, ids: &[LetterId], resolution: Resolution) -> Result<u64, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.close(ids, resolution, Timestamp::now()).await,
            Self::Mssql(letters) => letters.close(ids, resolution).await,
        }
    }

    /// Discards the letters that match and are dead by now, so many in a transaction, and tells `discarded` how many
    /// after each. Those that die meanwhile have been seen by nobody and are left alone.
    ///
    /// # Errors
    /// [`LetterError::Store`]; what `discarded` was told of is discarded.
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

    /// Discards the letters that match, the oldest first, at most `max` of them. Returns how many that were.
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
