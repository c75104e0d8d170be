//! Why the store of the keys failed.

use ::redis::RedisError;
use millrace_platform::redis::RedisFailure;

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
