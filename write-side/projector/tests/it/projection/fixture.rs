//! A read model of its own on either store, and its fence.

use millrace_domain::Amount;
use millrace_domain::Envelope;
use millrace_domain::event::OrderItem;
use millrace_domain::id::Sku;
use millrace_mssql::ReadModelUrl;
use millrace_platform::sqlite;
use millrace_projector::projection::mssql::MssqlProjection;
use millrace_projector::projection::{Applied, ApplyError, Batch, Projection, Span};
use millrace_testkit::sql_server::Database;
use tempfile::TempDir;

use crate::world;

/// Where the tables are.
enum Tables {
    Sqlite(TempDir),
    Mssql(Box<Database>),
}

pub(crate) struct Store {
    tables: Tables,
    pub(crate) projection: Projection,
    from: Option<i64>,
}

impl Store {
    pub(crate) fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = ReadModelUrl::Sqlite(dir.path().join("read_model.db"));
        let (projection, steps) = Projection::open(&url).unwrap();
        assert_eq!(steps, sqlite::READ_MODEL_SCHEMA.len(), "a new file has all to come");
        Self { tables: Tables::Sqlite(dir), projection, from: None }
    }

    /// On a live SQL Server, when one is named.
    pub(crate) fn mssql() -> Option<Self> {
        let database = Database::create()?;
        let projection = MssqlProjection::over(&database.url(), database.runtime().handle().clone());
        Some(Self {
            tables: Tables::Mssql(Box::new(database)),
            projection: Projection::Mssql(projection),
            from: None,
        })
    }

    pub(crate) fn apply(&mut self, events: &[Envelope]) -> Applied {
        let next = self.from.unwrap_or(0) + i64::try_from(events.len()).unwrap();
        let applied = self.apply_from(self.from, next, events).unwrap();
        self.from = Some(next);
        applied
    }

    pub(crate) fn apply_from(
        &mut self,
        from: Option<i64>,
        next: i64,
        events: &[Envelope],
    ) -> Result<Applied, ApplyError> {
        let spans = [Span { partition: 0, from, next }];
        self.projection.apply(&Batch {
            topic: "events",
            spans: &spans,
            events: events.iter().collect(),
            letters: Vec::new(),
        })
    }

    /// The same store with nothing in it.
    pub(crate) fn emptied(mut self) -> Self {
        let of_orders: &[&str] = match self.tables {
            Tables::Sqlite(_) => &["orders_with_payments"],
            Tables::Mssql(_) => &["orders", "payments", "order_items"],
        };
        let others = ["users", "inventory", "projected_events", "checkpoints", "dead_letters"];
        for table in of_orders.iter().chain(&others) {
            self.execute(&format!("DELETE FROM {table}"));
        }
        self.from = None;
        self
    }

    /// Changes the tables behind the projection's back.
    pub(crate) fn execute(&self, sql: &str) {
        match &self.tables {
            Tables::Sqlite(dir) => {
                rusqlite::Connection::open(dir.path().join("read_model.db"))
                    .unwrap()
                    .execute(sql, [])
                    .unwrap();
            }
            Tables::Mssql(database) => drop(database.rows(sql)),
        }
    }

    /// Lets the inbox have noted ids below `end` a thousandth of a second after 1970.
    pub(crate) fn make_inbox_old(&self, end: &str) {
        let long_ago = match self.tables {
            Tables::Sqlite(_) => "1000",
            Tables::Mssql(_) => "'1970-01-01T00:00:00.001'",
        };
        self.execute(&format!(
            "UPDATE projected_events SET projected_at = {long_ago} WHERE event_id < '{end}'"
        ));
    }

    /// The projected tables in the form of the oracle.
    pub(crate) fn tables(&self) -> Vec<String> {
        match &self.tables {
            Tables::Sqlite(dir) => world::tables(&dir.path().join("read_model.db")),
            Tables::Mssql(database) => mssql_tables(database),
        }
    }
}

pub(crate) fn mssql_tables(database: &Database) -> Vec<String> {
    let plain = |sql: &str| database.rows(sql);
    let mut all =
        plain("SELECT 'user', user_id, email, name, occurred_at, event_id FROM users ORDER BY user_id");
    let orders = plain(
        "SELECT order_id, 'order', order_id, user_id, amount, currency, status, placed_at, 'ITEMS', occurred_at, event_id \
         FROM orders ORDER BY order_id",
    );
    all.extend(orders.iter().map(|line| {
        let (order_id, row) = line.split_once(" | ").unwrap();
        row.replace("ITEMS", &items(database, order_id))
    }));
    all.extend(plain(
        "SELECT 'payment', order_id, payment_id, amount, currency, method, status, settled_at, occurred_at, event_id \
         FROM payments ORDER BY order_id",
    ));
    all.extend(plain(
        "SELECT 'inventory', sku, quantity, reported_quantity, reported_at, reported_by, updated_at \
         FROM inventory ORDER BY sku",
    ));
    all.extend(plain("SELECT 'inbox', event_id FROM projected_events ORDER BY event_id"));
    all
}

/// The lines of an order as SQLite keeps them.
fn items(database: &Database, order_id: &str) -> String {
    let lines = database.rows(&format!(
        "SELECT sku, quantity, unit_price FROM order_items WHERE order_id = '{order_id}' ORDER BY line_no"
    ));
    let item = |line: &String| {
        let cells: Vec<_> = line.split(" | ").collect();
        OrderItem {
            sku: Sku::parse(cells[0]).unwrap(),
            quantity: cells[1].parse().unwrap(),
            unit_price: Amount::from_units(cells[2].parse().unwrap()).unwrap(),
        }
    };
    serde_json::to_string(&lines.iter().map(item).collect::<Vec<_>>()).unwrap()
}
