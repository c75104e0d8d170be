//! `Idempotency-Key`: the same command under the same key is granted once and answered the same for a day.
//!
//! An entry is made before the command is tried and holds the time of its first attempt. Key, command and that time give
//! all ids that the command makes, so that an attempt whose end nobody saw (a crash, a log that did not answer) is
//! repeated as the same event, which changes nothing twice. Only an entry that is lost makes another event.

mod redis;
mod sqlite;

use std::path::PathBuf;
use std::time::Duration;

use ::redis::RedisError;
use millrace_domain::Timestamp;
use millrace_platform::redis::{RedisFailure, RedisUrl};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long a key is remembered.
pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an attempt keeps others away. One that takes longer is repeated beside it, with the same ids.
const LEASE: Duration = Duration::from_secs(30);
/// Longest key, in characters.
pub const KEY_CHARS_MAX: usize = 255;

/// A key: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Takes a text as a key, if it is one.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let fits = (1..=KEY_CHARS_MAX).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        fits.then(|| Self(text.iter().copied().map(char::from).collect()))
    }
}

/// An answer that is kept to be given again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers that belong to it.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// The right to try a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    key: IdempotencyKey,
    /// Names this attempt.
    token: String,
    /// When the first attempt began; the time of the command, however often it is tried.
    pub started_at: Timestamp,
    /// What all ids that the command makes come from.
    pub seed: Uuid,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nothing that stands in the way: try it.
    Attempt(Attempt),
    /// It was granted before, with this answer.
    Answered(Answer),
    /// Another attempt is under way.
    InFlight,
    /// The key belongs to another command.
    AnotherCommand,
}

/// The store is away, so nothing can be promised.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// The embedded store.
    #[error("the store of idempotency keys")]
    Sqlite(#[from] rusqlite::Error),
    /// Redis.
    #[error("Redis, which keeps the idempotency keys")]
    Redis(#[from] RedisFailure),
    /// Redis, which another request was connecting to.
    #[error("Redis, which keeps the idempotency keys, was not reached a moment ago")]
    Unreached,
    /// What stands there was not written by us.
    #[error("an idempotency key holds what cannot be read")]
    Unreadable,
}

impl From<RedisError> for IdempotencyError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error.into())
    }
}

/// Where keys are kept. Redis, when there is one, so that all write sides know them; else a file of this process.
#[derive(Debug)]
pub enum IdempotencyKeys {
    /// A SQLite file of its own: the read model's has another writer, and may be another database.
    Sqlite(sqlite::SqliteKeys),
    /// Redis.
    Redis(Box<redis::RedisKeys>),
}

impl IdempotencyKeys {
    /// Keys in that file, which is opened, or made, when the first key comes.
    pub fn sqlite(path: PathBuf) -> Self {
        Self::Sqlite(sqlite::SqliteKeys::new(path))
    }

    /// Keys in Redis, which is connected to when the first key comes.
    pub fn redis(url: RedisUrl) -> Self {
        Self::Redis(Box::new(redis::RedisKeys::new(url)))
    }

    /// Asks to try a command, of which `fingerprint` tells whether it is the same.
    ///
    /// # Errors
    /// [`IdempotencyError`]; nothing is begun.
    pub async fn begin(
        &self,
        key: IdempotencyKey,
        fingerprint: Uuid,
        now: Timestamp,
    ) -> Result<Begun, IdempotencyError> {
        let token = Uuid::now_v7().to_string();
        let asked = Asked { key, fingerprint, token, now };
        match self {
            Self::Sqlite(keys) => keys.begin(asked).await,
            Self::Redis(keys) => keys.begin(asked).await,
        }
    }

    /// Keeps the answer of an attempt that was granted.
    ///
    /// # Errors
    /// [`IdempotencyError`]; the next attempt is the same command with the same ids then.
    pub async fn granted(&self, attempt: &Attempt, answer: &Answer) -> Result<(), IdempotencyError> {
        match self {
            Self::Sqlite(keys) => keys.granted(attempt, answer).await,
            Self::Redis(keys) => keys.granted(attempt, answer).await,
        }
    }

    /// Lets the same command be tried again at once. When `nothing_happened`, the key is free for any command.
    ///
    /// # Errors
    /// [`IdempotencyError`]; the attempt keeps others away until its time is over.
    pub async fn failed(&self, attempt: &Attempt, nothing_happened: bool) -> Result<(), IdempotencyError> {
        match self {
            Self::Sqlite(keys) => keys.failed(attempt, nothing_happened).await,
            Self::Redis(keys) => keys.failed(attempt, nothing_happened).await,
        }
    }
}

/// What [`IdempotencyKeys::begin`] asks the store.
#[derive(Debug, Clone)]
struct Asked {
    key: IdempotencyKey,
    fingerprint: Uuid,
    token: String,
    now: Timestamp,
}

impl Asked {
    /// The attempt that this becomes, when the first one began at that time.
    fn attempt(self, started_at: Timestamp) -> Attempt {
        let name = format!("{}\n{}\n{}", self.key.0, self.fingerprint, started_at.micros());
        let seed = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        Attempt { key: self.key, token: self.token, started_at, seed }
    }
}

/// A length of time in microseconds.
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
