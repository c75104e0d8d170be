//! One connection and how it is made: the bb8 manager around bb8-tiberius'.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bb8_tiberius::{ConnectionManager, rt};
use tiberius::{EncryptionLevel, Query};
use tokio::sync::broadcast;

use super::error::MssqlError;
use super::url::{Encryption, MssqlUrl};
use super::{Param, Row};

/// A connection that knows whether it may be used again.
pub(super) struct Connection {
    pub(super) client: rt::Client,
    /// Whether the last call has not, or not yet, ended in a known state: an answer may be on its way that nobody waits
    /// for, or a transaction be open.
    pub(super) dirty: bool,
    /// The generation of its pool when it was made; one that breaks ends its generation.
    made_in: u64,
    generation: Arc<AtomicU64>,
}

impl Connection {
    /// Runs one batch and returns the rows of its last result. Whatever is not known to have ended leaves the connection
    /// dirty.
    pub(super) async fn run(
        &mut self,
        sql: &'static str,
        params: Vec<Param>,
        command_timeout: Duration,
    ) -> Result<Vec<Row>, MssqlError> {
        self.dirty = true;
        let mut query = Query::new(sql);
        for param in params {
            query.bind(param);
        }
        let call = async {
            // Drained: an error may come after the rows.
            query.query(&mut self.client).await?.into_results().await
        };
        let result = match tokio::time::timeout(command_timeout, call).await {
            Ok(result) => result.map_err(MssqlError::from),
            Err(_) => Err(MssqlError::Timeout(command_timeout)),
        };
        self.dirty = result.as_ref().is_err_and(MssqlError::leaves_the_connection_unknown);
        if matches!(result, Err(MssqlError::Broken(_))) {
            // What broke this one (a server that was restarted, say) has broken those made before it as well.
            self.generation.fetch_max(self.made_in + 1, Ordering::Relaxed);
        }
        Ok(result?.pop().unwrap_or_default().into_iter().map(Row::new).collect())
    }
}

/// Makes connections and drops the dirty ones.
pub(super) struct Connections {
    encrypted: ConnectionManager,
    /// For a server that does not speak TLS at all, when the URL allows that.
    plain: Option<ConnectionManager>,
    /// Whether the server was found not to speak TLS.
    only_plain: AtomicBool,
    connect_timeout: Duration,
    /// The generation of connections that may be used.
    generation: Arc<AtomicU64>,
    /// Why connecting failed. bb8 itself lets whoever waits wait on, and tells nobody.
    failures: broadcast::Sender<MssqlError>,
}

/// Failures that a slow listener may be behind; it misses older ones, which is no loss.
const FAILURES_KEPT: usize = 16;

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
            failures: broadcast::Sender::new(FAILURES_KEPT),
        }
    }

    /// Tells of connections that fail from now on.
    pub(super) fn failures(&self) -> broadcast::Sender<MssqlError> {
        self.failures.clone()
    }

    /// Opens a connection and logs in, in bounded time.
    pub(super) async fn open(&self) -> Result<Connection, MssqlError> {
        let made_in = self.generation.load(Ordering::Relaxed);
        let opening = tokio::time::timeout(self.connect_timeout, self.connect_either());
        let client = opening.await.map_err(|_| MssqlError::ConnectTimeout(self.connect_timeout))??;
        Ok(Connection { client, dirty: false, made_in, generation: self.generation.clone() })
    }

    async fn connect_either(&self) -> Result<rt::Client, MssqlError> {
        use bb8::ManageConnection;

        let Some(plain) = &self.plain else {
            return Ok(self.encrypted.connect().await?);
        };
        if self.only_plain.load(Ordering::Relaxed) {
            return Ok(plain.connect().await?);
        }
        let refused = match self.encrypted.connect().await.map_err(MssqlError::from) {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        // A server that answers in its own words, or not at all, has not refused TLS.
        if matches!(refused, MssqlError::Server { .. } | MssqlError::Unreachable(_)) {
            return Err(refused);
        }
        let client = plain.connect().await?;
        tracing::warn!(
            "the server does not speak TLS: the password goes to it unencrypted, as encrypt=false allows"
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
            // Nobody may be listening.
            let _listeners = self.failures.send(error.clone());
        }
        connection
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), MssqlError> {
        if connection.made_in < self.generation.load(Ordering::Relaxed) {
            return Err(MssqlError::Broken("another connection has broken since".to_owned()));
        }
        Ok(())
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.dirty
    }
}
