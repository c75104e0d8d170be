//! PORT: the dead letters, for those who review them: list, count, redrive, discard.
//!
//! Letters are written by the projection, in the transaction that moves the checkpoint past their record. Here they
//! are only read and closed. A closed letter never opens again: what fails once more dies at another place.

mod letter;
pub mod mirror;
pub mod mssql;
mod redis;
mod redrive;
mod sqlite;

use std::error::Error;

use serde::Serialize;
use shared::settings::ReadModelUrl;
use shared::{Position, Timestamp};

use crate::event_log::LogError;

pub use letter::{Attempt, DeadLetter, HISTORY_MAX, Place, REDRIVE_COUNT, REDRIVE_HISTORY, REFUSED};
pub use redrive::{Redriven, redrive, redrive_matching};

/// How a letter ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It stands in the log again.
    Redriven,
    /// A person gave it up.
    Discarded,
}

impl Closed {
    /// As the tables say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redriven => "redriven",
            Self::Discarded => "discarded",
        }
    }
}

/// Which open letters. What is `None` does not matter; the default is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// See [`DeadLetter::event_type`]; the empty text stands for letters whose type cannot be told.
    pub event_type: Option<String>,
    /// See [`DeadLetter::reason`].
    pub reason: Option<String>,
    /// See [`DeadLetter::event_id`].
    pub event_id: Option<String>,
    /// Given up at this time or later.
    pub from: Option<Timestamp>,
    /// Given up before this time.
    pub to: Option<Timestamp>,
}

impl LetterFilter {
    /// The same, without letters that die from now on. Whoever goes through letters and redrives them must not meet
    /// those that come back, or he never ends.
    #[must_use]
    pub fn until(mut self, now: Timestamp) -> Self {
        self.to = Some(self.to.map_or(now, |to| to.min(now)));
        self
    }
}

/// Open letters of one fingerprint, which is reason and type: one cause, one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LetterGroup {
    /// See [`DeadLetter::reason`].
    pub reason: String,
    /// See [`DeadLetter::event_type`]; empty when it cannot be told.
    pub event_type: String,
    /// How many.
    pub count: u64,
    /// When the first died.
    pub oldest: Timestamp,
    /// When the last died.
    pub newest: Timestamp,
    /// One of them.
    pub example: Position,
}

/// Why letters could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// The store says no.
    #[error("the dead letters cannot be read")]
    Store(#[source] Box<dyn Error + Send + Sync>),
    /// The log did not take the record; the letter stays open.
    #[error("the letter cannot be sent through the log again")]
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
    /// Opens the store that holds them, which must exist.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub fn open(url: &ReadModelUrl) -> Result<Self, LetterError> {
        match url {
            ReadModelUrl::Sqlite(path) => sqlite::SqliteLetters::open(path).map(Self::Sqlite),
            ReadModelUrl::Mssql(url) => mssql::MssqlLetters::open(url).map(Self::Mssql),
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
            Self::Sqlite(letters) => letters.page(filter, limit, offset),
            Self::Mssql(letters) => letters.page(filter, limit, offset).await,
        }
    }

    /// One open letter.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn get(&self, place: &Place) -> Result<Option<DeadLetter>, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.get(place),
            Self::Mssql(letters) => letters.get(place).await,
        }
    }

    /// Open letters by fingerprint, the most frequent first.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn groups(&self, filter: &LetterFilter) -> Result<Vec<LetterGroup>, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.groups(filter),
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
    pub async fn close(&self, places: &[Place], how: Closed) -> Result<u64, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.close(places, how, Timestamp::now()),
            Self::Mssql(letters) => letters.close(places, how).await,
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
            Self::Sqlite(letters) => letters.discard_matching(filter, max, Timestamp::now()),
            Self::Mssql(letters) => letters.discard_matching(filter, max).await,
        }
    }
}
