//! The read model on SQL Server. Each query is one request.

use std::time::Instant;

use millrace_domain::event::{OrderItem, PaymentStatus};
use millrace_domain::id::{OrderId, PaymentId, Sku, UserId};
use millrace_domain::text::OrderStatus;
use millrace_mssql::{MssqlError, MssqlUrl, Param, Pool, Row};
use millrace_platform::ErrorClass;
use millrace_platform::metrics::StoreMetrics;
use tokio::runtime::Handle;

use super::errors::{Checkpoints, OpenError, ReadError};
use crate::page::{Direction, Page, SortKey};
use crate::sql::sql;
use crate::view::{InventoryItem, Items, Order, Payment, User};

#[derive(Debug)]
pub struct MssqlReadModel {
    pool: Pool,
    metrics: StoreMetrics,
}

impl MssqlReadModel {
    /// Connects and checks the schema version. Must be called within a runtime.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(url: &MssqlUrl, metrics: StoreMetrics) -> Result<Self, OpenError> {
        let runtime = Handle::try_current().map_err(|error| OpenError {
            name: url.name(),
            is_temporary: false,
            source: error.into(),
        })?;
        let read_model = Self::over(url, metrics);
        let checked = millrace_mssql::wait_for(&runtime, async {
            // On a connection outside of the pool, whose error has the server's reason for a rejected login.
            Pool::probe(url).await?;
            millrace_mssql::check_schema(&read_model.pool).await
        });
        checked.map_err(|error| OpenError {
            name: url.name(),
            is_temporary: error.class() == ErrorClass::Transient && !error.is_login_failure(),
            source: error.into(),
        })?;
        Ok(read_model)
    }

    /// Without a check of the schema version. Must be called within a runtime.
    pub fn over(url: &MssqlUrl, metrics: StoreMetrics) -> Self {
        Self { pool: Pool::new(url, url.pool_size), metrics }
    }

    pub(super) async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, ReadError> {
        self.query("users", sql!("mssql/read_model/users.sql"), vec![json(ids)], user).await
    }

    pub(super) async fn orders(&self, ids: &[OrderId]) -> Result<Vec<Order>, ReadError> {
        let lines = self.query("orders", sql!("mssql/read_model/orders.sql"), vec![json(ids)], order_line);
        with_items(lines.await?)
    }

    pub(super) async fn recent_orders(&self, users: &[UserId], limit: u32) -> Result<Vec<Order>, ReadError> {
        let params = vec![json(users), count(limit)];
        let lines =
            self.query("recent_orders", sql!("mssql/read_model/recent_orders.sql"), params, order_line);
        with_items(lines.await?)
    }

    pub(super) async fn recent_users(&self, limit: u32) -> Result<Vec<User>, ReadError> {
        self.query("recent_users", sql!("mssql/read_model/recent_users.sql"), vec![count(limit)], user).await
    }

    pub(super) async fn user_with_orders(
        &self,
        id: &UserId,
        limit: u32,
    ) -> Result<Option<(User, Vec<Order>)>, ReadError> {
        let sql = sql!("mssql/read_model/user_with_orders.sql");
        let params = vec![Param::Text(id.to_string()), count(limit)];
        let rows = self.query("user_with_orders", sql, params, user_with_order_line).await?;
        let mut owner = None;
        let lines = rows.into_iter().filter_map(|(user, line)| {
            owner.get_or_insert(user);
            line
        });
        let orders = with_items(lines.collect())?;
        Ok(owner.map(|user| (user, orders)))
    }

    pub(super) async fn users_page(&self, page: &Page) -> Result<Vec<User>, ReadError> {
        let sql = by_direction(
            page,
            sql!("mssql/read_model/users_page_newest.sql"),
            sql!("mssql/read_model/users_page_oldest.sql"),
        );
        self.query("users_page", sql, bounds(page), user).await
    }

    pub(super) async fn orders_page(
        &self,
        status: Option<&OrderStatus>,
        page: &Page,
    ) -> Result<Vec<Order>, ReadError> {
        let mut params = bounds(page);
        let sql = match status {
            None => by_direction(
                page,
                sql!("mssql/read_model/orders_page_newest.sql"),
                sql!("mssql/read_model/orders_page_oldest.sql"),
            ),
            Some(status) => {
                params.push(Param::Text(status.as_str().to_owned()));
                by_direction(
                    page,
                    sql!("mssql/read_model/orders_page_of_status_newest.sql"),
                    sql!("mssql/read_model/orders_page_of_status_oldest.sql"),
                )
            }
        };
        with_items(self.query("orders_page", sql, params, order_line).await?)
    }

    pub(super) async fn orders_of_users(
        &self,
        users: &[UserId],
        status: Option<&OrderStatus>,
        page: &Page,
    ) -> Result<Vec<Order>, ReadError> {
        let sql = by_direction(
            page,
            sql!("mssql/read_model/orders_of_users_newest.sql"),
            sql!("mssql/read_model/orders_of_users_oldest.sql"),
        );
        let mut params = bounds(page);
        params.push(Param::OptionalText(status.map(|status| status.as_str().to_owned())));
        params.push(json(users));
        with_items(self.query("orders_of_users", sql, params, order_line).await?)
    }

    pub(super) async fn checkpoints(&self) -> Result<Checkpoints, ReadError> {
        let sql = sql!("mssql/read_model/checkpoints.sql");
        let rows = self.query("checkpoints", sql, Vec::new(), checkpoint).await?;
        let mut checkpoints = Checkpoints::new();
        for (topic, partition, next) in rows {
            checkpoints.entry(topic).or_default().insert(partition, next);
        }
        Ok(checkpoints)
    }

    pub(super) async fn inventory(&self, skus: &[Sku]) -> Result<Vec<InventoryItem>, ReadError> {
        let params = vec![json(skus)];
        self.query("inventory", sql!("mssql/read_model/inventory.sql"), params, inventory_item).await
    }

    pub(super) async fn ping(&self) -> Result<(), ReadError> {
        self.query("ping", sql!("mssql/read_model/ping.sql"), Vec::new(), |_| Ok(())).await.map(drop)
    }

    /// Runs one statement and observes its duration, also if it fails.
    async fn query<T>(
        &self,
        operation: &str,
        sql: &'static str,
        params: Vec<Param>,
        view: fn(&Row) -> Result<T, MssqlError>,
    ) -> Result<Vec<T>, ReadError> {
        let started = Instant::now();
        let rows = self.pool.read(sql, params).await;
        self.metrics.observe(operation, started.elapsed());
        let views = rows.and_then(|rows| rows.iter().map(view).collect());
        views.map_err(|error| match error.class() {
            ErrorClass::Transient => ReadError::Unavailable(error.into()),
            ErrorClass::Poison | ErrorClass::Fatal => ReadError::Broken(error.into()),
        })
    }
}

/// Ids as a single parameter, for `OPENJSON`.
fn json(ids: &[impl serde::Serialize]) -> Param {
    Param::Text(serde_json::to_string(ids).expect("ids always serialise"))
}

/// The order of a statement cannot be a parameter.
fn by_direction(page: &Page, newest: &'static str, oldest: &'static str) -> &'static str {
    match page.direction {
        Direction::NewestFirst => newest,
        Direction::OldestFirst => oldest,
    }
}

/// The first five parameters of a page: the older and the newer bound, each as time and id, and the limit. A missing
/// bound includes every row: no id is empty, and none begins with U+FFFF.
fn bounds(page: &Page) -> Vec<Param> {
    let bound = |key: Option<&SortKey>, (time, id): (&str, &str)| match key {
        Some(SortKey { time, id }) => [time.to_string(), id.to_string()].map(Param::Text),
        None => [time, id].map(|text| Param::Text(text.to_owned())),
    };
    let older = bound(page.newer_than.as_ref(), ("0001-01-01T00:00:00Z", ""));
    let newer = bound(page.older_than.as_ref(), ("9999-12-31T23:59:59.999999Z", "\u{ffff}"));
    older.into_iter().chain(newer).chain([count(page.limit)]).collect()
}

fn count(limit: u32) -> Param {
    Param::Int(i32::try_from(limit).unwrap_or(i32::MAX))
}

fn user(row: &Row) -> Result<User, MssqlError> {
    Ok(User {
        user_id: row.parsed("user_id", UserId::parse)?,
        name: row.get::<&str>("name")?.into(),
        email: row.get::<&str>("email")?.into(),
        created_at: row.get("occurred_at")?,
    })
}

fn inventory_item(row: &Row) -> Result<InventoryItem, MssqlError> {
    Ok(InventoryItem {
        sku: row.parsed("sku", Sku::parse)?,
        quantity: row.get("quantity")?,
        reported_quantity: row.optional("reported_quantity")?,
    })
}

/// A row: an order without its items, and one of its items.
struct OrderLine {
    order: Order,
    item: Option<OrderItem>,
}

fn order_line(row: &Row) -> Result<OrderLine, MssqlError> {
    let order = Order {
        order_id: row.parsed("order_id", OrderId::parse)?,
        user_id: row.parsed("user_id", UserId::parse)?,
        amount: row.get("amount")?,
        currency: row.get::<&str>("currency")?.into(),
        status: row.get::<&str>("status")?.into(),
        placed_at: row.get("placed_at")?,
        items: Items::none(),
        payment: payment(row)?,
    };
    Ok(OrderLine { order, item: item(row)? })
}

fn user_with_order_line(row: &Row) -> Result<(User, Option<OrderLine>), MssqlError> {
    // The outer join returns NULL for a user without orders.
    let has_order = row.optional::<&str>("order_id")?.is_some();
    Ok((user(row)?, has_order.then(|| order_line(row)).transpose()?))
}

fn checkpoint(row: &Row) -> Result<(Box<str>, i32, i64), MssqlError> {
    Ok((row.get::<&str>("topic")?.into(), row.get("partition_id")?, row.get("next_offset")?))
}

/// Every payment has a status, so NULL there means that the order has no payment.
fn payment(row: &Row) -> Result<Option<Payment>, MssqlError> {
    if row.optional::<&str>("payment_status")?.is_none() {
        return Ok(None);
    }
    let has_id = row.optional::<&str>("payment_id")?.is_some();
    Ok(Some(Payment {
        status: row.parsed("payment_status", |text| PaymentStatus::parse(text).ok_or(()))?,
        payment_id: has_id.then(|| row.parsed("payment_id", PaymentId::parse)).transpose()?,
        amount: row.get("paid")?,
        currency: row.get::<&str>("paid_in")?.into(),
        method: row.optional::<&str>("method")?.map(Into::into),
        settled_at: row.optional("settled_at")?,
    }))
}

/// Every item has a SKU, so NULL there means that the order has no items.
fn item(row: &Row) -> Result<Option<OrderItem>, MssqlError> {
    if row.optional::<&str>("sku")?.is_none() {
        return Ok(None);
    }
    Ok(Some(OrderItem {
        sku: row.parsed("sku", Sku::parse)?,
        quantity: row.get::<i32>("quantity")?.into(),
        unit_price: row.get("unit_price")?,
    }))
}

/// Orders with their items, from rows in which the items of an order are adjacent.
fn with_items(rows: Vec<OrderLine>) -> Result<Vec<Order>, ReadError> {
    let mut orders: Vec<(Order, Vec<OrderItem>)> = Vec::new();
    for OrderLine { order, item } in rows {
        match orders.last_mut() {
            Some((last, items)) if last.order_id == order.order_id => items.extend(item),
            _ => orders.push((order, Vec::from_iter(item))),
        }
    }
    let orders = orders.into_iter().map(|(order, items)| {
        let items = Items::of(&items).map_err(|error| ReadError::Broken(error.into()))?;
        Ok(Order { items, ..order })
    });
    orders.collect()
}
