//! A connection, and the bb8 manager that creates connections with bb8-tiberius.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bb8_tiberius::{ConnectionManager, rt};
use tiberius::{EncryptionLevel, Query};
use tokio::sync::broadcast;

use crate::error::MssqlError;
use crate::param::Param;
use crate::row::Row;
use crate::url::{Encryption, MssqlUrl};

/// A connection with the state that decides whether the pool may use it again.
pub(super) struct Connection {
    pub(super) client: rt::Client,
    /// Whether the last call has not ended in a known state: a response may still arrive, or a transaction may be open.
    pub(super) dirty: bool,
    /// The generation of the pool when this connection was opened. A broken connection ends its generation.
    opened_in: u64,
    generation: Arc<AtomicU64>,
}

impl Connection {
    /// Runs one batch and returns the rows of its last result.
    pub(super) async fn run(
        &mut self,
        sql: &'static str,
        params: Vec<Param>,
        command_timeout: Duration,
    ) -> Result<Vec<Row>, MssqlError> {
        // Set before the first await: a call that is cancelled leaves the connection dirty.
        self.dirty = true;
        let mut query = Query::new(sql);
        for param in params {
            query.bind(param);
        }
        let call = async {
            // Read completely: an error can follow the rows.
            query.query(&mut self.client).await?.into_results().await
        };
        let result = match tokio::time::timeout(command_timeout, call).await {
            Ok(result) => result.map_err(MssqlError::from),
            Err(_) => Err(MssqlError::Timeout(command_timeout)),
        };
        self.dirty = result.as_ref().is_err_and(MssqlError::leaves_connection_dirty);
        if matches!(result, Err(MssqlError::Broken(_))) {
            // The cause, for example a restart of the server, has broken all older connections too.
            self.generation.fetch_max(self.opened_in + 1, Ordering::Relaxed);
        }
        Ok(result?.pop().unwrap_or_default().into_iter().map(Row::new).collect())
    }
}

/// Creates connections for the pool, which drops the dirty ones.
pub(super) struct Connections {
    encrypted: ConnectionManager,
    /// For a server without TLS, if the URL allows that.
    plain: Option<ConnectionManager>,
    /// Whether the server is known to have no TLS.
    only_plain: AtomicBool,
    connect_timeout: Duration,
    /// Connections of older generations are not used again.
    generation: Arc<AtomicU64>,
    /// The errors of failed connections, which bb8 does not report to the waiting callers.
    failures: broadcast::Sender<MssqlError>,
}

/// Errors that a slow receiver can be behind. It needs only one of them.
const FAILURES_BUFFERED: usize = 16;

impl Connections {
    pub(super) fn new(url: &MssqlUrl) -> Self {
        let manager = |level| ConnectionManager::new(url.config(level));
        let plain = || manager(EncryptionLevel::NotSupported);
        let (encrypted, plain) = match url.encryption {
            Encryption::Required => (manager(EncryptionLevel::Required), None),
            Encryption::LoginOnly => (manager(EncryptionLevel::Off), Some(plain())),
            Encryption::Plaintext => (plain(), None),
        };
        Self {
            encrypted,
            plain,
            only_plain: AtomicBool::new(false),
            connect_timeout: url.connect_timeout,
            generation: Arc::default(),
            failures: broadcast::Sender::new(FAILURES_BUFFERED),
        }
    }

    /// The channel of the errors of failed connections.
    pub(super) fn failures(&self) -> broadcast::Sender<MssqlError> {
        self.failures.clone()
    }

    /// Opens a connection and logs in, with a time-out.
    pub(super) async fn open(&self) -> Result<Connection, MssqlError> {
        let opened_in = self.generation.load(Ordering::Relaxed);
        let opening = tokio::time::timeout(self.connect_timeout, self.connect_either());
        let client = opening.await.map_err(|_| MssqlError::ConnectTimeout(self.connect_timeout))??;
        Ok(Connection { client, dirty: false, opened_in, generation: self.generation.clone() })
    }

    async fn connect_either(&self) -> Result<rt::Client, MssqlError> {
        use bb8::ManageConnection;

        let Some(plain) = &self.plain else {
            return Ok(self.encrypted.connect().await?);
        };
        if self.only_plain.load(Ordering::Relaxed) {
            return Ok(plain.connect().await?);
        }
        let failure = match self.encrypted.connect().await.map_err(MssqlError::from) {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        // A server that responds with an error, or not at all, has not refused TLS.
        if matches!(failure, MssqlError::Server { .. } | MssqlError::Unreachable(_)) {
            return Err(failure);
        }
        let client = plain.connect().await?;
        tracing::warn!(
            target: "millrace::mssql",
            "SQL Server does not support TLS: the password is sent unencrypted, because encrypt=false allows it"
        );
        self.only_plain.store(true, Ordering::Relaxed);
        Ok(client)
    }
}

impl bb8::ManageConnection for Connections {
    type Connection = Connection;
    type Error = MssqlError;

    async fn connect(&self) -> Result<Connection, MssqlError> {
        let connection = self.open().await;
        if let Err(error) = &connection {
            // Fails if no caller is waiting.
            let _no_receiver = self.failures.send(error.clone());
        }
        connection
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), MssqlError> {
        if connection.opened_in < self.generation.load(Ordering::Relaxed) {
            return Err(MssqlError::Broken("the connection is older than one that has broken".to_owned()));
        }
        Ok(())
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.dirty
    }
}
