//! PORT: all queries of the projected tables.
//!
//! An enum with a `match`, not a trait: there are few adapters, and `READ_MODEL` selects one at start. Each method is one
//! statement for any number of ids; [`ReadError`] is its only error. An unknown id has no row. Rows have no order
//! unless the method defines one.

mod errors;
pub mod mssql;
pub mod sqlite;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use millrace_domain::id::{OrderId, Sku, UserId};
use millrace_domain::text::OrderStatus;
use millrace_mssql::ReadModelUrl;
use millrace_platform::metrics::StoreMetrics;
use millrace_platform::telemetry::chain;
use tokio::task::JoinError;

pub use self::errors::{Checkpoints, OpenError, ReadError};

use crate::page::Page;
use crate::view::{InventoryItem, Order, User};

/// The projected tables, read-only. Clones are cheap and share their connections.
///
/// The store can be opened later. Until then every query fails with [`ReadError::Unavailable`], so that HTTP is served
/// while the store is unavailable.
#[derive(Debug, Clone)]
pub struct ReadModel(Arc<Slot>);

#[derive(Debug)]
struct Slot {
    store: OnceLock<Store>,
    /// Why the store is not open.
    reason: Mutex<String>,
}

/// The adapters of the port.
#[derive(Debug)]
pub enum Store {
    Sqlite(sqlite::SqliteReadModel),
    Mssql(mssql::MssqlReadModel),
}

/// First and longest pause between two attempts to open the store.
const OPEN_RETRY_MIN: Duration = Duration::from_millis(250);
const OPEN_RETRY_MAX: Duration = Duration::from_secs(5);

impl ReadModel {
    /// Opens the store and checks its schema version.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(url: &ReadModelUrl, metrics: StoreMetrics) -> Result<Self, OpenError> {
        Store::open(url, metrics).map(Self::over)
    }

    pub fn over(store: Store) -> Self {
        let read_model = Self::closed();
        read_model.set(store);
        read_model
    }

    /// A read model whose store is opened later, by [`ReadModel::open_when_available`].
    pub fn closed() -> Self {
        let reason = Mutex::new("opening the read model".to_owned());
        Self(Arc::new(Slot { store: OnceLock::new(), reason }))
    }

    /// Opens the store, retrying as long as that can help.
    ///
    /// # Errors
    /// An [`OpenError`] that is not temporary.
    pub async fn open_when_available(
        &self,
        url: ReadModelUrl,
        metrics: StoreMetrics,
    ) -> Result<(), OpenError> {
        let mut pause = OPEN_RETRY_MIN;
        let mut logged = String::new();
        loop {
            let error = match open_detached(url.clone(), metrics.clone()).await {
                Ok(store) => {
                    self.set(store);
                    return Ok(());
                }
                Err(error) => error,
            };
            let reason = chain(&error);
            let is_new = self.set_reason(reason.clone());
            if !error.is_temporary {
                return Err(error);
            }
            // Not at the first attempt: the projector of this process may be creating the tables.
            if !is_new && reason != logged {
                tracing::warn!(target: "millrace::read_side", error = reason, "read model unavailable; retrying");
                logged = reason;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(OPEN_RETRY_MAX);
        }
    }

    fn set(&self, store: Store) {
        // If it was opened twice, the first store is kept; both are the same.
        let _opened = self.0.store.set(store);
    }

    /// Returns whether the reason is new.
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

    /// The latest `limit` orders of each user, each with its payment; newest first. The ids must be distinct.
    pub async fn recent_orders(&self, users: &[UserId], limit: u32) -> Result<Vec<Order>, ReadError> {
        match self.store()? {
            Store::Sqlite(tables) => tables.recent_orders(users, limit),
            Store::Mssql(tables) => tables.recent_orders(users, limit).await,
        }
    }

    /// A user with the latest `limit` orders, each with its payment; newest first.
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

    /// A page of all users by the time at which they were created.
    ///
    /// As on every page, rows are in `page.direction`, by time and then by id (byte by byte); rows with the keys
    /// `newer_than` and `older_than` are excluded; the page has the first `page.limit` rows in that direction.
    pub async fn users_page(&self, page: &Page) -> Result<Vec<User>, ReadError> {
        match self.store()? {
            Store::Sqlite(tables) => tables.users_page(page),
            Store::Mssql(tables) => tables.users_page(page).await,
        }
    }

    /// A page of all orders, or of those with a status, by the time at which they were placed; each with its payment.
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

    /// The same page of the orders of each user: `page.limit` applies to each, and the rows of all users are in one
    /// order. The ids must be distinct.
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

    /// The checkpoint of every partition of every topic.
    pub async fn checkpoints(&self) -> Result<Checkpoints, ReadError> {
        match self.store()? {
            Store::Sqlite(tables) => tables.checkpoints(),
            Store::Mssql(tables) => tables.checkpoints().await,
        }
    }

    /// Checks that the tables can be read.
    pub async fn ping(&self) -> Result<(), ReadError> {
        match self.store()? {
            Store::Sqlite(tables) => tables.ping(),
            Store::Mssql(tables) => tables.ping().await,
        }
    }
}

/// Opens the store on a thread of its own, because opening blocks.
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
