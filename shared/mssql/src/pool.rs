//! The connection pool.
//!
//! tiberius has no time-outs and cannot reset a connection, and bb8-tiberius never reports a connection as broken. So a
//! connection here is dirty from the start of a call until the call has ended in a known state. A dirty connection is
//! dropped and never used again (docs/adr/0007). Each call runs in a separate task: when the caller is cancelled, the
//! call still completes and leaves its connection clean.

use std::time::Duration;

use tokio::sync::broadcast;

use crate::connection::Connections;
use crate::error::MssqlError;
use crate::param::Param;
use crate::row::Row;
use crate::url::MssqlUrl;

/// Connections to one database. Clones share them.
#[derive(Clone)]
pub struct Pool {
    connections: bb8::Pool<Connections>,
    failures: broadcast::Sender<MssqlError>,
    command_timeout: Duration,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("state", &self.connections.state()).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool of at most `size` connections. It connects with the first call; see [`Pool::probe`]. Must be called
    /// within a runtime.
    pub fn new(url: &MssqlUrl, size: u32) -> Self {
        let manager = Connections::new(url);
        let failures = manager.failures();
        let connections = bb8::Pool::builder()
            .max_size(size)
            // `is_valid` makes no round trip. It only compares the generation of the connection.
            .test_on_check_out(true)
            .connection_timeout(url.connect_timeout + Duration::from_secs(1))
            // A failed attempt is reported at once, and the caller decides whether to retry.
            .retry_connection(false)
            .build_unchecked(manager);
        Self { connections, failures, command_timeout: url.command_timeout }
    }

    /// Connects once, to detect a wrong host, certificate or password early.
    ///
    /// # Errors
    /// [`MssqlError`].
    pub async fn probe(url: &MssqlUrl) -> Result<(), MssqlError> {
        Connections::new(url).open().await.map(drop)
    }

    /// Runs one batch of T-SQL in one round trip and returns the rows of its last result.
    ///
    /// # Errors
    /// [`MssqlError`], also for an error after the first row.
    pub async fn query(&self, sql: &'static str, params: Vec<Param>) -> Result<Vec<Row>, MssqlError> {
        let pool = self.clone();
        let call = async move {
            let mut connection = pool.connection().await?;
            connection.run(sql, params, pool.command_timeout).await
        };
        match tokio::spawn(call).await {
            Ok(result) => result,
            Err(panicked) => Err(MssqlError::Driver(panicked.to_string())),
        }
    }

    /// Runs a batch that only reads. It is retried once when the connection was broken, for example while it was idle,
    /// or when it conflicted with another transaction.
    ///
    /// # Errors
    /// As [`Pool::query`].
    pub async fn read(&self, sql: &'static str, params: Vec<Param>) -> Result<Vec<Row>, MssqlError> {
        match self.query(sql, params.clone()).await {
            Err(error) if matches!(error, MssqlError::Broken(_)) || error.is_conflict() => {
                self.query(sql, params).await
            }
            result => result,
        }
    }

    /// A connection of the pool.
    async fn connection(&self) -> Result<bb8::PooledConnection<'_, Connections>, MssqlError> {
        // bb8 waits for its time-out even if every attempt to connect fails. Without any connection, return the error
        // of the first attempt instead.
        let mut failures = self.failures.subscribe();
        let mut waiting = std::pin::pin!(self.connections.get());
        loop {
            tokio::select! {
                biased;
                connection = &mut waiting => return Ok(connection?),
                Ok(error) = failures.recv() => {
                    if self.connections.state().connections == 0 {
                        return Err(error);
                    }
                }
            }
        }
    }
}
