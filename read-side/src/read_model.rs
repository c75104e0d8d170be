//! PORT: everything the read side asks of the projected tables, whichever database holds them.
//!
//! An enum with a `match`, not a trait: there are few adapters, chosen once, at start, by `READ_MODEL`. Each method
//! is one statement, however many ids it is asked for; [`ReadError`] is its only error. An id that is unknown gives
//! no row. Rows come in no particular order unless the method says so.

pub mod mssql;
pub mod sqlite;

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use millrace_domain::id::{OrderId, Sku, UserId};
use millrace_domain::text::OrderStatus;
use millrace_mssql::ReadModelUrl;
use millrace_platform::metrics::StoreMetrics;
use millrace_platform::telemetry::chain;
use tokio::task::JoinError;

use crate::page::Page;
use crate::view::{InventoryItem, Order, User};

/// The projected tables, read only. Clones are cheap and share their connections.
///
/// It may be opened after it was handed out: until then every query is [`ReadError::Unavailable`], so that the ports are
/// served while the store is still waited for.
#[derive(Debug, Clone)]
pub struct ReadModel(Arc<Slot>);

#[derive(Debug)]
struct Slot {
    store: OnceLock<Store>,
    /// Why there is no store yet.
    reason: Mutex<String>,
}

/// The adapters of the port.
#[derive(Debug)]
pub enum Store {
    /// A SQLite file.
    Sqlite(sqlite::SqliteReadModel),
    /// A SQL Server database.
    Mssql(mssql::MssqlReadModel),
}

/// By topic and partition, the offset up to which, not including it, everything is projected.
pub type Checkpoints = HashMap<Box<str>, HashMap<i32, i64>>;

/// Why the read model cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("read model {name}: {source}")]
pub struct OpenError {
    /// Of the store, without a password.
    name: String,
    /// Whether waiting can mend it.
    is_temporary: bool,
    source: Box<dyn Error + Send + Sync>,
}

impl OpenError {
    /// Whether waiting can mend it: an unavailable server, a missing or older database. Not a refused login, nor a
    /// database of a newer program.
    pub fn is_temporary(&self) -> bool {
        self.is_temporary
    }
}

/// Why a query has no answer. The cause is for the log, never for the client.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store is unavailable or busy; a retry may succeed.
    #[error("the read model is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// A bug of ours or damaged rows; a retry does not help.
    #[error("the read model returned an invalid row")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

/// First and longest wait between two tries to open the store.
const OPEN_RETRY_MIN: Duration = Duration::from_millis(250);
const OPEN_RETRY_MAX: Duration = Duration::from_secs(5);

impl ReadModel {
    /// Opens the store and checks the version of its schema.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(url: &ReadModelUrl, metrics: StoreMetrics) -> Result<Self, OpenError> {
        Store::open(url, metrics).map(Self::over)
    }

    /// The tables of a store that is open.
    pub fn over(store: Store) -> Self {
        let read_model = Self::closed();
        read_model.set(store);
        read_model
    }

    /// A read model whose store is opened later, by [`ReadModel::open_when_available`].
    pub fn closed() -> Self {
        let reason = Mutex::new("it is being opened".to_owned());
        Self(Arc::new(Slot { store: OnceLock::new(), reason }))
    }

    /// Opens the store, waiting for as long as that can help.
    ///
    /// # Errors
    /// An [`OpenError`] that is not temporary.
    pub async fn open_when_available(
        &self,
        url: ReadModelUrl,
        metrics: StoreMetrics,
    ) -> Result<(), OpenError> {
        let mut pause = OPEN_RETRY_MIN;
        loop {
            let error = match open_detached(url.clone(), metrics.clone()).await {
                Ok(store) => {
                    self.set(store);
                    return Ok(());
                }
                Err(error) => error,
            };
            let is_new = self.set_reason(chain(&error));
            if !error.is_temporary {
                return Err(error);
            }
            if is_new {
                tracing::warn!("waiting: {}", chain(&error));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(OPEN_RETRY_MAX);
        }
    }

    fn set(&self, store: Store) {
        // Opened twice, the first store stays; they are the same.
        let _opened = self.0.store.set(store);
    }

    /// Returns whether the reason differs from the last one.
    fn set_reason(&self, reason: String) -> bool {
        let mut current = self.0.reason.lock().unwrap_or_else(PoisonError::into_inner);
        let differs = *current != reason;
        *current = reason;
        differs
    }

    fn store(&self) -> Result<&Store, ReadError> {
        self.0.store.get().ok_or_else(|| {
            let reason = self.0.reason.lock().unwrap_or_else(PoisonError::into_inner);
            ReadError::Unavailable(reason.clone().into())
        })
    }

    /// Users by id.
    pub async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, ReadError> {
        match self.store()? {
            Store::Sqlite(tables) => tables.users(ids),
            Store::Mssql(tables) => tables.users(ids).await,
        }
    }

    /// Orders by id, each with its payment.
    pub async fn orders(&self, ids: &[OrderId]) -> Result<Vec<Order>, ReadError> {
        match self.store()? {
            Store::Sqlite(tables) => tables.orders(ids),
            Store::Mssql(tables) => tables.orders(ids).await,
        }
    }

    /// The last `limit` orders of each of these users, each with its payment; newest first. No id may stand twice.
    pub async fn recent_orders(&self, users: &[UserId], limit: u32) -> Result<Vec<Order>, ReadError> {
        match self.store()? {
            Store::Sqlite(tables) => tables.recent_orders(users, limit),
            Store::Mssql(tables) => tables.recent_orders(users, limit).await,
        }
    }

    /// A user with the last `limit` orders, each with its payment; newest first.
    pub async fn user_with_orders(
        &self,
        id: &UserId,
        limit: u32,
    ) -> Result<Option<(User, Vec<Order>)>, ReadError> {
        match self.store()? {
            Store::Sqlite(tables) => tables.user_with_orders(id, limit),
            Store::Mssql(tables) => tables.user_with_orders(id, limit).await,
        }
    }

    /// The `limit` users created last, newest first.
    pub async fn recent_users(&self, limit: u32) -> Result<Vec<User>, ReadError> {
        match self.store()? {
            Store::Sqlite(tables) => tables.recent_users(limit),
            Store::Mssql(tables) => tables.recent_users(limit).await,
        }
    }

    /// A page of all users by when the event happened that told of them.
    ///
    /// As for every page: rows come in `page.direction`, by time, of the same time by id (byte by byte); the places
    /// `newer_than` and `older_than` are left out; at most `page.limit` rows, the first in that direction.
    pub async fn users_page(&self, page: &Page) -> Result<Vec<User>, ReadError> {
        match self.store()? {
            Store::Sqlite(tables) => tables.users_page(page),
            Store::Mssql(tables) => tables.users_page(page).await,
        }
    }

    /// A page of all orders by when they were placed, or of those of one status; each with its payment.
    pub async fn orders_page(
        &self,
        status: Option<&OrderStatus>,
        page: &Page,
    ) -> Result<Vec<Order>, ReadError> {
        match self.store()? {
            Store::Sqlite(tables) => tables.orders_page(status, page),
            Store::Mssql(tables) => tables.orders_page(status, page).await,
        }
    }

    /// The same page of the orders of each of these users: `page.limit` counts for each, the rows of all of them come in
    /// one order. No id may stand twice.
    pub async fn orders_of_users(
        &self,
        users: &[UserId],
        status: Option<&OrderStatus>,
        page: &Page,
    ) -> Result<Vec<Order>, ReadError> {
        match self.store()? {
            Store::Sqlite(tables) => tables.orders_of_users(users, status, page),
            Store::Mssql(tables) => tables.orders_of_users(users, status, page).await,
        }
    }

    /// Stock by SKU.
    pub async fn inventory(&self, skus: &[Sku]) -> Result<Vec<InventoryItem>, ReadError> {
        match self.store()? {
            Store::Sqlite(tables) => tables.inventory(skus),
            Store::Mssql(tables) => tables.inventory(skus).await,
        }
    }

    /// How far every partition of every topic is projected.
    pub async fn checkpoints(&self) -> Result<Checkpoints, ReadError> {
        match self.store()? {
            Store::Sqlite(tables) => tables.checkpoints(),
            Store::Mssql(tables) => tables.checkpoints().await,
        }
    }

    /// Whether the tables can be read at all.
    pub async fn ping(&self) -> Result<(), ReadError> {
        match self.store()? {
            Store::Sqlite(tables) => tables.ping(),
            Store::Mssql(tables) => tables.ping().await,
        }
    }
}

/// Opening blocks, so it runs on a thread of its own.
async fn open_detached(url: ReadModelUrl, metrics: StoreMetrics) -> Result<Store, OpenError> {
    let name = url.name();
    let opening = tokio::task::spawn_blocking(move || Store::open(&url, metrics));
    let panicked = |error: JoinError| OpenError { name, is_temporary: false, source: error.into() };
    opening.await.map_err(panicked)?
}

impl Store {
    fn open(url: &ReadModelUrl, metrics: StoreMetrics) -> Result<Self, OpenError> {
        match url {
            ReadModelUrl::Sqlite(path) => sqlite::SqliteReadModel::open(path, metrics).map(Self::Sqlite),
            ReadModelUrl::Mssql(url) => mssql::MssqlReadModel::open(url, metrics).map(Self::Mssql),
        }
    }
}

impl ReadError {
    /// Logs the error with its causes. Called once, by the layer that answers it.
    pub(crate) fn log(&self) {
        tracing::error!(error = chain(self), "query failed");
    }
}
