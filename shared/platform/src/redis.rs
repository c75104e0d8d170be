//! The address of Redis, and connections with time-outs.
//!
//! Each connection has one user, which sends one command at a time. After an error the user drops the connection and
//! connects again: the response of a command that timed out could otherwise be read as the response of the next one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, RedisError};

use crate::settings::InvalidSetting;

/// Time-out for a connection, including its handshakes.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Time-out for the response to a command.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);

/// The setting `REDIS_URL`: `redis://user:password@host:port/db`, or `rediss://…` for TLS. `Display` and `Debug` show
/// the address only.
#[derive(Clone)]
pub struct RedisUrl(ConnectionInfo);

impl FromStr for RedisUrl {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The error repeats neither the text nor the parser's error: both may contain the password.
        let expected = || {
            InvalidSetting(
                "expected redis://[user:password@]host[:port][/db], or rediss:// for TLS".to_owned(),
            )
        };
        let has_scheme =
            ["redis://", "rediss://", "redis+unix://"].iter().any(|scheme| text.starts_with(scheme));
        if !has_scheme {
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

#[derive(Debug, thiserror::Error)]
pub enum RedisFailure {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
}

impl RedisUrl {
    /// A connection whose commands time out after [`RESPONSE_TIMEOUT`].
    ///
    /// # Errors
    /// [`RedisFailure`], within three seconds.
    pub async fn connect(&self) -> Result<MultiplexedConnection, RedisFailure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let client = Client::open(self.0.clone())?;
        with_timeout(CONNECT_MAX, client.get_multiplexed_async_connection_with_config(&config)).await
    }

    /// A connection that receives the messages of a channel.
    ///
    /// # Errors
    /// [`RedisFailure`], within six seconds.
    pub async fn subscribe(&self, channel: &str) -> Result<PubSub, RedisFailure> {
        let client = Client::open(self.0.clone())?;
        let mut connection = with_timeout(CONNECT_MAX, client.get_async_pubsub()).await?;
        with_timeout(RESPONSE_TIMEOUT, connection.subscribe(channel)).await?;
        Ok(connection)
    }
}

/// Runs an operation with a time-out.
///
/// # Errors
/// [`RedisFailure`].
pub async fn with_timeout<T>(
    timeout: Duration,
    operation: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisFailure> {
    match tokio::time::timeout(timeout, operation).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(RedisFailure::Timeout(timeout)),
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
