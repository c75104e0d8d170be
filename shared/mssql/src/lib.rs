//! SQL Server: a pool whose connections are clean, each call a task of its own, errors sorted by what can be done.
//!
//! tiberius has no time-outs and no way to reset a connection, and bb8-tiberius never calls one broken. So a connection
//! here is dirty from before a call until the call has ended in a known state; a dirty one is dropped and never handed on.
//! A call runs as a task of its own: whoever asked may hang up, the call still ends and cleans up after itself.

mod ado;
mod connection;
mod error;
mod migrate;
mod read_model_url;
mod row;
mod url;

use std::time::Duration;

use tiberius::{ColumnData, IntoSql};
use tokio::runtime::Handle;
use tokio::sync::broadcast;

use connection::Connections;

pub use error::{FENCED, MssqlError};
pub use migrate::{Migrated, SCHEMA_VERSION, check_schema, migrate};
pub use read_model_url::ReadModelUrl;
pub use row::{Cell, Row};
pub use url::{Encryption, MssqlUrl};

/// A value that a statement is given, as `@P1`, `@P2`, …
///
/// Few types on purpose: every combination of types is a plan of its own on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param {
    /// `NVARCHAR`: JSON, or a name.
    Text(String),
    /// `NVARCHAR` that may be NULL.
    MaybeText(Option<String>),
    /// `VARBINARY`
    Bytes(Vec<u8>),
    /// `INT`
    Int(i32),
    /// `BIGINT`
    BigInt(i64),
}

impl IntoSql<'static> for Param {
    fn into_sql(self) -> ColumnData<'static> {
        match self {
            Self::Text(text) => text.into_sql(),
            Self::MaybeText(text) => text.into_sql(),
            Self::Bytes(bytes) => bytes.into_sql(),
            Self::Int(number) => number.into_sql(),
            Self::BigInt(number) => number.into_sql(),
        }
    }
}

/// Connections to one database. Clones are cheap and share them.
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
    /// A pool of at most `size` connections. Connects when it is first asked, so it never fails; see [`Pool::probe`].
    /// Must be called where a runtime is at hand, which then does the work.
    pub fn new(url: &MssqlUrl, size: u32) -> Self {
        let manager = Connections::new(url);
        let failures = manager.failures();
        let connections = bb8::Pool::builder()
            .max_size(size)
            // No round trip: it is only asked whether the connection is older than the last one that broke.
            .test_on_check_out(true)
            .connection_timeout(url.connect_timeout + Duration::from_secs(1))
            // One try for whoever waits: why it failed is told at once, and the caller decides about the next.
            .retry_connection(false)
            .build_unchecked(manager);
        Self { connections, failures, command_timeout: url.command_timeout }
    }

    /// Connects once, so that a wrong host, certificate or password is told at once and in the server's words.
    ///
    /// # Errors
    /// [`MssqlError`].
    pub async fn probe(url: &MssqlUrl) -> Result<(), MssqlError> {
        Connections::new(url).open().await.map(drop)
    }

    /// Runs one batch of T-SQL in one round trip and returns the rows of its last result.
    ///
    /// # Errors
    /// [`MssqlError`]. An error after the first row is an error, not a shorter answer.
    pub async fn query(&self, sql: &'static str, params: Vec<Param>) -> Result<Vec<Row>, MssqlError> {
        let pool = self.clone();
        let call = async move {
            let mut connection = pool.connection().await?;
            connection.run(sql, params, pool.command_timeout).await
        };
        match tokio::spawn(call).await {
            Ok(result) => result,
            Err(ended) => Err(MssqlError::Driver(ended.to_string())),
        }
    }

    /// Runs a batch that only reads, and once more when the connection broke (while it was idle, say) or the batch met
    /// others on the same rows: what only reads can be asked again.
    ///
    /// # Errors
    /// As [`Pool::query`].
    pub async fn read(&self, sql: &'static str, params: Vec<Param>) -> Result<Vec<Row>, MssqlError> {
        match self.query(sql, params.clone()).await {
            Err(error) if matches!(error, MssqlError::Broken(_)) || error.is_a_collision() => {
                self.query(sql, params).await
            }
            result => result,
        }
    }

    /// A connection; or, when there is none at all, why there is none, as soon as that is known.
    async fn connection(&self) -> Result<bb8::PooledConnection<'_, Connections>, MssqlError> {
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

/// Runs a future to its end from a thread that may belong to a runtime or not: for what happens once, at start.
pub fn wait_for<T: Send>(handle: &Handle, future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| handle.block_on(future));
        waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
