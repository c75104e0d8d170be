//! PORT: everything the read side asks of the projected tables, whichever database holds them.
//!
//! An enum with a `match`, not a trait: there are few adapters, chosen once, at start, by `READ_MODEL`. Each method
//! is one statement, however many ids it is asked for; [`ReadError`] is its only error. An id that is unknown gives
//! no row. Rows come in no particular order unless the method says so.

pub mod mssql;
pub mod sqlite;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use shared::id::{OrderId, Sku, UserId};
use shared::metrics::Metrics;
use shared::problem::Problem;
use shared::settings::ReadModelUrl;
use shared::telemetry::chain;
use shared::text::OrderStatus;

use crate::page::Page;
use crate::view::{InventoryItem, Order, User};

/// The projected tables, read only. Clones are cheap and share their connections.
#[derive(Debug, Clone)]
pub enum ReadModel {
    /// A file beside the process.
    Sqlite(Arc<sqlite::SqliteReadModel>),
    /// A SQL Server database.
    Mssql(Arc<mssql::MssqlReadModel>),
}

/// By topic and partition, the offset up to which, not including it, everything is projected.
pub type Checkpoints = HashMap<Box<str>, HashMap<i32, i64>>;

/// Why the read model cannot be opened. One line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody has made the database yet.
    #[error(
        "READ_MODEL: there is no database at {0}; start the write side, which makes it, or run `millrace migrate`"
    )]
    Missing(PathBuf),
    /// The tables are missing, or older than this program.
    #[error(
        "READ_MODEL: {path} has schema version {found}, this program reads version {known}; start the write side, which brings it up to date, or run `millrace migrate`"
    )]
    NotMigrated {
        /// The file.
        path: PathBuf,
        /// Its version; 0 is an empty database.
        found: usize,
        /// The version this program reads.
        known: usize,
    },
    /// Written by a newer program.
    #[error(
        "READ_MODEL: {path} has schema version {found}, this program reads version {known}; use a newer program"
    )]
    FromTheFuture {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// The version this program reads.
        known: usize,
    },
    /// SQL Server does not let us in, or has other tables.
    #[error("READ_MODEL: {database}: {error}")]
    Mssql {
        /// Its name, without the password.
        database: String,
        /// What is wrong, and what to do.
        error: String,
    },
    /// SQLite refuses the file.
    #[error("READ_MODEL: {path} cannot be read as a SQLite database: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's own words.
        source: rusqlite::Error,
    },
}

/// Why a query has no answer. The cause is for the log, never for the client.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database is away or busy; asking again may help.
    #[error("the read model is away")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A bug of ours or damaged rows; asking again does not help.
    #[error("the read model gave something that cannot be shown")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ReadModel {
    /// Opens the tables and checks that they are those this program reads.
    ///
    /// # Errors
    /// [`OpenError`], one line that says what to do.
    pub fn open(url: &ReadModelUrl, metrics: Metrics) -> Result<Self, OpenError> {
        match url {
            ReadModelUrl::Sqlite(path) => {
                sqlite::SqliteReadModel::open(path, metrics).map(Arc::new).map(Self::Sqlite)
            }
            ReadModelUrl::Mssql(url) => {
                mssql::MssqlReadModel::open(url, metrics).map(Arc::new).map(Self::Mssql)
            }
        }
    }

    /// Users by id.
    pub async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, ReadError> {
        match self {
            Self::Sqlite(tables) => tables.users(ids),
            Self::Mssql(tables) => tables.users(ids).await,
        }
    }

    /// Orders by id, each with its payment.
    pub async fn orders(&self, ids: &[OrderId]) -> Result<Vec<Order>, ReadError> {
        match self {
            Self::Sqlite(tables) => tables.orders(ids),
            Self::Mssql(tables) => tables.orders(ids).await,
        }
    }

    /// The last `limit` orders of each of these users, each with its payment; newest first. No id may stand twice.
    pub async fn recent_orders(&self, users: &[UserId], limit: u32) -> Result<Vec<Order>, ReadError> {
        match self {
            Self::Sqlite(tables) => tables.recent_orders(users, limit),
            Self::Mssql(tables) => tables.recent_orders(users, limit).await,
        }
    }

    /// A user with the last `limit` orders, each with its payment; newest first.
    pub async fn user_with_orders(
        &self,
        id: &UserId,
        limit: u32,
    ) -> Result<Option<(User, Vec<Order>)>, ReadError> {
        match self {
            Self::Sqlite(tables) => tables.user_with_orders(id, limit),
            Self::Mssql(tables) => tables.user_with_orders(id, limit).await,
        }
    }

    /// The `limit` users created last, newest first.
    pub async fn recent_users(&self, limit: u32) -> Result<Vec<User>, ReadError> {
        match self {
            Self::Sqlite(tables) => tables.recent_users(limit),
            Self::Mssql(tables) => tables.recent_users(limit).await,
        }
    }

    /// A page of all users by when the event happened that told of them.
    ///
    /// As for every page: rows come in `page.direction`, by time, of the same time by id (byte by byte); the places
    /// `newer_than` and `older_than` are left out; at most `page.limit` rows, the first in that direction.
    pub async fn users_page(&self, page: &Page) -> Result<Vec<User>, ReadError> {
        match self {
            Self::Sqlite(tables) => tables.users_page(page),
            Self::Mssql(tables) => tables.users_page(page).await,
        }
    }

    /// A page of all orders by when they were placed, or of those of one status; each with its payment.
    pub async fn orders_page(
        &self,
        status: Option<&OrderStatus>,
        page: &Page,
    ) -> Result<Vec<Order>, ReadError> {
        match self {
            Self::Sqlite(tables) => tables.orders_page(status, page),
            Self::Mssql(tables) => tables.orders_page(status, page).await,
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
        match self {
            Self::Sqlite(tables) => tables.orders_of_users(users, status, page),
            Self::Mssql(tables) => tables.orders_of_users(users, status, page).await,
        }
    }

    /// Stock by SKU.
    pub async fn inventory(&self, skus: &[Sku]) -> Result<Vec<InventoryItem>, ReadError> {
        match self {
            Self::Sqlite(tables) => tables.inventory(skus),
            Self::Mssql(tables) => tables.inventory(skus).await,
        }
    }

    /// How far every partition of every topic is projected.
    pub async fn checkpoints(&self) -> Result<Checkpoints, ReadError> {
        match self {
            Self::Sqlite(tables) => tables.checkpoints(),
            Self::Mssql(tables) => tables.checkpoints().await,
        }
    }

    /// Whether the tables can be read at all.
    pub async fn ping(&self) -> Result<(), ReadError> {
        match self {
            Self::Sqlite(tables) => tables.ping(),
            Self::Mssql(tables) => tables.ping().await,
        }
    }
}

impl ReadError {
    /// Logs the cause and gives the answer that hides it.
    pub(crate) fn into_problem(self) -> Problem {
        self.log();
        match self {
            Self::Away(_) => Problem::unavailable(self.to_string()),
            Self::Broken(_) => Problem::internal(),
        }
    }

    /// To be called once, where the error is answered.
    pub(crate) fn log(&self) {
        tracing::error!(error = chain(self), "a query has failed");
    }
}
