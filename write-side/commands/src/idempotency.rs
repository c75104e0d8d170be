//! `Idempotency-Key`: a command that is sent again under the same key is accepted once and answered the same for a day.
//!
//! An entry is written before the command is tried, with the time of its first attempt. Key, command and that time give
//! every id that the command generates. So an attempt whose result is unknown (a crash, a log that did not answer) is
//! repeated as the same event, which the projector counts once. Only a lost entry makes a second event.

mod redis;
mod sqlite;

use std::path::PathBuf;
use std::time::Duration;

use ::redis::RedisError;
use millrace_domain::Timestamp;
use millrace_platform::redis::{RedisFailure, RedisUrl};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long a key is kept.
pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an attempt excludes others. After that the command may be tried again beside it, with the same ids.
const LEASE: Duration = Duration::from_secs(30);
/// Longest key, in characters.
pub const KEY_CHARS_MAX: usize = 255;

/// A key: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key in the value of a header, if it is valid.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let fits = (1..=KEY_CHARS_MAX).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        fits.then(|| Self(text.iter().copied().map(char::from).collect()))
    }
}

/// An answer that is stored, to be sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Headers, without those that every answer has.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// The right to try a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    key: IdempotencyKey,
    /// Identifies this attempt.
    token: String,
    /// When the first attempt started: the time of the command, in every attempt.
    pub started_at: Timestamp,
    /// Every id that the command generates is derived from it.
    pub seed: Uuid,
}

/// What may be done with a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It may be tried.
    Attempt(Attempt),
    /// It was accepted before, with this answer.
    Answered(Answer),
    /// Another attempt is in progress.
    InFlight,
    /// The key was used for another command.
    AnotherCommand,
}

/// The store of the keys failed, so a command cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// SQLite reports an error.
    #[error("failed to use the file of idempotency keys")]
    Sqlite(#[from] rusqlite::Error),
    /// Redis reports an error.
    #[error("failed to use the idempotency keys in Redis")]
    Redis(#[from] RedisFailure),
    /// Another request has just failed to connect to Redis.
    #[error("Redis, which holds the idempotency keys, is unreachable")]
    Unreachable,
    /// An entry has an unknown form.
    #[error("the entry of an idempotency key is invalid")]
    InvalidEntry,
}

impl From<RedisError> for IdempotencyError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error.into())
    }
}

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

/// What [`IdempotencyKeys::begin`] requests from the store.
#[derive(Debug, Clone)]
struct AttemptRequest {
    key: IdempotencyKey,
    fingerprint: Uuid,
    token: String,
    now: Timestamp,
}

impl AttemptRequest {
    /// The attempt, when the first one started at that time.
    fn attempt(self, started_at: Timestamp) -> Attempt {
        let name = format!("{}\n{}\n{}", self.key.0, self.fingerprint, started_at.micros());
        let seed = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        Attempt { key: self.key, token: self.token, started_at, seed }
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii() {
        assert!(IdempotencyKey::parse(b"0198c7f2-6a5d").is_some());
        assert!(IdempotencyKey::parse(&[b'x'; 255]).is_some());
        for text in [&b""[..], b"a b", b"a\tb", "\u{e9}".as_bytes(), &[b'x'; 256]] {
            assert_eq!(IdempotencyKey::parse(text), None, "{text:?}");
        }
    }
}
