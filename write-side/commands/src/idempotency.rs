//! `Idempotency-Key`: a command that is sent again under the same key is accepted once and answered the same for a day.
//!
//! An entry is written before the command is tried, with the time of its first attempt. Key, command and that time give
//! every id that the command generates. So an attempt whose result is unknown (a crash, a log that did not answer) is
//! repeated as the same event, which the projector counts once. Only a lost entry makes a second event.

mod attempt;
mod error;
mod redis;
mod sqlite;

use std::path::PathBuf;

use millrace_domain::Timestamp;
use millrace_platform::redis::RedisUrl;
use uuid::Uuid;

use attempt::AttemptRequest;
pub use attempt::{Admission, Answer, Attempt, IdempotencyKey, KEY_CHARS_MAX};
pub use error::IdempotencyError;

/// Where keys are kept: in Redis, which all command processes share, or in a file of this process.
#[derive(Debug)]
pub enum IdempotencyKeys {
    /// A SQLite file of its own. Commands do not depend on the read model, so its file is not used.
    Sqlite(sqlite::SqliteKeys),
    /// Redis.
    Redis(Box<redis::RedisKeys>),
}

impl IdempotencyKeys {
    /// Keys in that file. It is opened, and created, when the first key arrives.
    pub fn sqlite(path: PathBuf) -> Self {
        Self::Sqlite(sqlite::SqliteKeys::new(path))
    }

    /// Keys in Redis. It is connected to when the first key arrives.
    pub fn redis(url: RedisUrl) -> Self {
        Self::Redis(Box::new(redis::RedisKeys::new(url)))
    }

    /// Requests to try a command. Two commands with the same `fingerprint` are the same.
    ///
    /// # Errors
    /// [`IdempotencyError`]; the command must not be tried.
    pub async fn begin(
        &self,
        key: IdempotencyKey,
        fingerprint: Uuid,
        now: Timestamp,
    ) -> Result<Admission, IdempotencyError> {
        let token = Uuid::now_v7().to_string();
        let request = AttemptRequest { key, fingerprint, token, now };
        match self {
            Self::Sqlite(keys) => keys.begin(request).await,
            Self::Redis(keys) => keys.begin(request).await,
        }
    }

    /// Stores the answer of an attempt that was accepted.
    ///
    /// # Errors
    /// [`IdempotencyError`]; the next attempt repeats the command with the same ids.
    pub async fn accepted(&self, attempt: &Attempt, answer: &Answer) -> Result<(), IdempotencyError> {
        match self {
            Self::Sqlite(keys) => keys.accepted(attempt, answer).await,
            Self::Redis(keys) => keys.accepted(attempt, answer).await,
        }
    }

    /// Ends an attempt that failed, so that the command can be tried again at once. Where nothing was appended
    /// (`is_rejected`), the key is free for any command.
    ///
    /// # Errors
    /// [`IdempotencyError`]; the attempt excludes others until its lease ends.
    pub async fn failed(&self, attempt: &Attempt, is_rejected: bool) -> Result<(), IdempotencyError> {
        match self {
            Self::Sqlite(keys) => keys.failed(attempt, is_rejected).await,
            Self::Redis(keys) => keys.failed(attempt, is_rejected).await,
        }
    }
}
