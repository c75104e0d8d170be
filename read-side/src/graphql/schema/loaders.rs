//! The loaders of one request and the statements that fill them. They are dropped with the request: no client receives
//! what was read for another.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::Result;
use millrace_domain::id::{OrderId, Sku, UserId};
use millrace_domain::text::OrderStatus;

use super::errors::read_failed;
use super::loader::Loader;
use crate::graphql::metrics::GraphqlMetrics;
use crate::page::Page;
use crate::read_model::ReadModel;
use crate::view::{InventoryItem, Order, User};

/// Default of `recentOrders(limit:)`.
pub(super) const RECENT_ORDERS: i32 = 5;

pub(crate) struct Loaders {
    read_model: ReadModel,
    metrics: GraphqlMetrics,
    /// Statements so far.
    statements: AtomicU32,
    pub(super) users: Loader<UserId, Option<Arc<User>>>,
    pub(super) orders: Loader<OrderId, Option<Arc<Order>>>,
    pub(super) inventory: Loader<Sku, Option<Arc<InventoryItem>>>,
    /// The latest orders of a user, by limit.
    pub(super) recent_orders: Loader<(UserId, u32), Arc<Vec<Order>>>,
    /// Recent orders that are selected of a user who is not loaded yet, with their limit.
    expected: Mutex<Vec<(UserId, u32)>>,
    /// Pages of the orders of a user.
    pub(super) orders_of_users: Loader<(UserId, OrdersPage), Vec<Arc<Order>>>,
}

/// A page of the orders of each user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OrdersPage {
    pub(super) status: Option<OrderStatus>,
    pub(super) page: Page,
}

impl Loaders {
    pub(crate) fn new(read_model: ReadModel, metrics: &GraphqlMetrics) -> Self {
        Self {
            read_model,
            metrics: metrics.clone(),
            statements: AtomicU32::new(0),
            users: Loader::new(),
            orders: Loader::new(),
            inventory: Loader::new(),
            recent_orders: Loader::new(),
            expected: Mutex::default(),
            orders_of_users: Loader::new(),
        }
    }

    /// Observes the number of statements of the request. Called once, at its end.
    pub(crate) fn observe_statements(&self) {
        self.metrics.statements.observe(f64::from(self.statements.load(Ordering::Relaxed)));
    }

    fn count_statement(&self, loader: &str, keys: usize) {
        self.statements.fetch_add(1, Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a size for a metric")]
        let keys = keys as f64;
        self.metrics.batch_size.with_label_values(&[loader]).observe(keys);
    }

    /// Whether a field waits for a key whose load has not started.
    pub(crate) fn has_wanted(&self) -> bool {
        self.users.has_wanted()
            || self.orders.has_wanted()
            || self.inventory.has_wanted()
            || self.recent_orders.has_wanted()
            || self.orders_of_users.has_wanted()
    }

    /// Loads all keys that are wanted now, with at most one statement for each loader and set of arguments.
    pub(crate) async fn load_wanted(&self) {
        self.load_users().await;
        let ids = self.orders.take_wanted();
        if !ids.is_empty() {
            self.count_statement("orders", ids.len());
            let rows = self.read_model.orders(&ids).await.map_err(|error| read_failed(&error));
            let rows = rows.map(|orders| by_key(orders, |order| order.order_id.clone()));
            self.orders.complete(ids, rows);
        }
        let skus = self.inventory.take_wanted();
        if !skus.is_empty() {
            self.count_statement("inventory", skus.len());
            let rows = self.read_model.inventory(&skus).await.map_err(|error| read_failed(&error));
            let rows = rows.map(|items| by_key(items, |item| item.sku.clone()));
            self.inventory.complete(skus, rows);
        }
        self.load_recent_orders().await;
        self.load_orders_of_users().await;
    }

    /// Announces that the latest `limit` orders of a user are selected, so that they can be read with the user.
    pub(super) fn expect_recent_orders(&self, user: UserId, limit: u32) {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).push((user, limit));
    }

    /// A single user and the expected orders take one statement. Many users take one, and their orders another.
    async fn load_users(&self) {
        let ids = self.users.take_wanted();
        let expected = std::mem::take(&mut *self.expected.lock().unwrap_or_else(PoisonError::into_inner));
        match (&ids[..], expected.into_iter().next()) {
            ([], _) => {}
            ([only], Some((user, limit))) if *only == user => self.load_user_with_orders(user, limit).await,
            _ => {
                self.count_statement("users", ids.len());
                let rows = self.read_model.users(&ids).await.map_err(|error| read_failed(&error));
                let rows = rows.map(|users| by_key(users, |user| user.user_id.clone()));
                self.users.complete(ids, rows);
            }
        }
    }

    async fn load_user_with_orders(&self, id: UserId, limit: u32) {
        self.count_statement("user_with_orders", 1);
        let row = self.read_model.user_with_orders(&id, limit).await.map_err(|error| read_failed(&error));
        let user = row.map(|row| {
            let (user, orders) = row?;
            self.recent_orders.store((id.clone(), limit), Arc::new(orders));
            Some(Arc::new(user))
        });
        self.users.complete(vec![id.clone()], user.map(|user| HashMap::from([(id, user)])));
    }

    /// Reads a page of all users at once: no other field can share its statement.
    pub(super) async fn users_page(&self, page: &Page) -> Result<Vec<Arc<User>>> {
        self.count_statement("users_page", 1);
        let users = self.read_model.users_page(page).await.map_err(|error| read_failed(&error))?;
        let users: Vec<_> = users.into_iter().map(Arc::new).collect();
        for user in &users {
            // For the field `user` of their orders.
            self.users.store(user.user_id.clone(), Some(user.clone()));
        }
        Ok(users)
    }

    /// Reads a page of all orders at once.
    pub(super) async fn orders_page(&self, status: Option<&OrderStatus>, page: &Page) -> Result<Vec<Order>> {
        self.count_statement("orders_page", 1);
        self.read_model.orders_page(status, page).await.map_err(|error| read_failed(&error))
    }

    /// One statement for each limit; nearly all queries have one limit.
    async fn load_recent_orders(&self) {
        let mut by_limit = BTreeMap::<u32, Vec<UserId>>::new();
        for (user, limit) in self.recent_orders.take_wanted() {
            by_limit.entry(limit).or_default().push(user);
        }
        for (limit, users) in by_limit {
            self.count_statement("recent_orders", users.len());
            let rows = self.read_model.recent_orders(&users, limit).await;
            let rows = rows.map_err(|error| read_failed(&error)).map(|orders| by_user(orders, limit));
            let keys = users.into_iter().map(|user| (user, limit)).collect();
            self.recent_orders.complete(keys, rows);
        }
    }

    /// One statement for each distinct page: all users of a list have the same.
    async fn load_orders_of_users(&self) {
        let mut by_page = HashMap::<OrdersPage, Vec<UserId>>::new();
        for (user, page) in self.orders_of_users.take_wanted() {
            by_page.entry(page).or_default().push(user);
        }
        for (page, users) in by_page {
            self.count_statement("orders_of_users", users.len());
            let rows = self.read_model.orders_of_users(&users, page.status.as_ref(), &page.page).await;
            let rows =
                rows.map_err(|error| read_failed(&error)).map(|orders| by_user_and_page(orders, &page));
            let keys = users.into_iter().map(|user| (user, page.clone())).collect();
            self.orders_of_users.complete(keys, rows);
        }
    }
}

/// Keeps the order of each user's rows.
fn by_user_and_page(orders: Vec<Order>, page: &OrdersPage) -> HashMap<(UserId, OrdersPage), Vec<Arc<Order>>> {
    let mut grouped = HashMap::<_, Vec<_>>::new();
    for order in orders {
        grouped.entry((order.user_id.clone(), page.clone())).or_default().push(Arc::new(order));
    }
    grouped
}

fn by_key<K: Hash + Eq, T>(rows: Vec<T>, key: impl Fn(&T) -> K) -> HashMap<K, Option<Arc<T>>> {
    let with_key = |row| (key(&row), Some(Arc::new(row)));
    rows.into_iter().map(with_key).collect()
}

/// Keeps the order of each user's rows.
fn by_user(orders: Vec<Order>, limit: u32) -> HashMap<(UserId, u32), Arc<Vec<Order>>> {
    let mut grouped = HashMap::<_, Vec<Order>>::new();
    for order in orders {
        grouped.entry((order.user_id.clone(), limit)).or_default().push(order);
    }
    grouped.into_iter().map(|(key, orders)| (key, Arc::new(orders))).collect()
}
