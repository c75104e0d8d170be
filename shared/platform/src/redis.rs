//! Where Redis is, and connecting to it with every wait bounded. Without Redis everything works, less is shown.
//!
//! A connection is used by one part, in turn. After any error it is dropped and made anew: the answer of a command
//! that timed out might still be under way.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, RedisError};

use crate::settings::InvalidSetting;

/// Longest wait for a connection, its handshakes included.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Longest wait for the answer to a command.
pub const ANSWER_MAX: Duration = Duration::from_secs(3);

/// `redis://user:password@host:port/db`, or `rediss://…` for TLS: `REDIS_URL`. Shown without the password.
#[derive(Clone)]
pub struct RedisUrl(ConnectionInfo);

impl FromStr for RedisUrl {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Neither the text nor the parser's error is repeated: both may hold a password.
        let expected = || {
            InvalidSetting(
                "expected redis://[user:password@]host[:port][/db], or rediss:// for TLS".to_owned(),
            )
        };
        let known = ["redis://", "rediss://", "redis+unix://"].iter().any(|scheme| text.starts_with(scheme));
        if !known {
            return Err(expected());
        }
        text.into_connection_info().map(Self).map_err(|_| expected())
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.addr().fmt(f)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

impl PartialEq for RedisUrl {
    fn eq(&self, other: &Self) -> bool {
        let secret = |url: &Self| url.0.redis_settings().password().map(str::to_owned);
        self.0.addr() == other.0.addr() && secret(self) == secret(other)
    }
}

/// Redis is away, slow, full, or does not let us in.
#[derive(Debug, thiserror::Error)]
pub enum RedisFailure {
    /// What Redis or the connection to it says.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// It did not answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
}

impl RedisUrl {
    /// A connection on which every command has [`ANSWER_MAX`] to be answered.
    ///
    /// # Errors
    /// [`RedisFailure`], after at most three seconds.
    pub async fn connect(&self) -> Result<MultiplexedConnection, RedisFailure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(ANSWER_MAX));
        let client = Client::open(self.0.clone())?;
        bounded(CONNECT_MAX, client.get_multiplexed_async_connection_with_config(&config)).await
    }

    /// A connection that hears what is published on a channel.
    ///
    /// # Errors
    /// [`RedisFailure`], after at most six seconds.
    pub async fn listen(&self, channel: &str) -> Result<PubSub, RedisFailure> {
        let client = Client::open(self.0.clone())?;
        let mut connection = bounded(CONNECT_MAX, client.get_async_pubsub()).await?;
        bounded(ANSWER_MAX, connection.subscribe(channel)).await?;
        Ok(connection)
    }
}

/// Waits for Redis, but not for ever.
///
/// # Errors
/// [`RedisFailure`].
pub async fn bounded<T>(
    longest: Duration,
    asked: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisFailure> {
    match tokio::time::timeout(longest, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(RedisFailure::Silent(longest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_address_and_never_the_password() {
        let url: RedisUrl = "rediss://ada:s3cret@example.com:6380/2".parse().unwrap();
        assert_eq!(url.to_string(), "example.com:6380");
        assert!(!format!("{url:?}").contains("s3cret"));
        assert_eq!("redis://localhost".parse::<RedisUrl>().unwrap().to_string(), "localhost:6379");
        for text in
            ["", "s3cret@host", "http://u:s3cret@host", "redis://:s3cret@host:port", "redis://:s3cret@h/db"]
        {
            let error = text.parse::<RedisUrl>().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
            assert!(error.contains("redis://"), "{error}");
        }
    }
}
