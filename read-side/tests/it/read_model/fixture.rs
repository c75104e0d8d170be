//! A read model on either store, and rows as the projector writes them.

use millrace_domain::event::OrderItem;
use millrace_domain::{Amount, Timestamp};
use millrace_mssql::ReadModelUrl;
use millrace_platform::metrics::{MetricsRegistry, StoreMetrics};
use millrace_read_side::ReadModel;
use millrace_read_side::read_model::Store as ReadStore;
use millrace_read_side::read_model::mssql::MssqlReadModel;
use millrace_testkit::sql_server::Database;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;

enum Tables {
    Sqlite { writer: Box<Connection>, runtime: Runtime, _dir: TempDir },
    Mssql(Box<Database>),
}

pub(crate) struct Store {
    tables: Tables,
    pub(crate) read_model: ReadModel,
}

/// From microseconds since 1970.
pub(crate) fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

impl Store {
    pub(crate) fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("read_model.db");
        let writer = crate::seed::database(&path, "");
        let read_model =
            ReadModel::open(&ReadModelUrl::Sqlite(path), StoreMetrics::register(&MetricsRegistry::new()))
                .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { tables: Tables::Sqlite { writer: Box::new(writer), runtime, _dir: dir }, read_model }
    }

    /// `None` without `MSSQL_TEST_URL`.
    pub(crate) fn mssql() -> Option<Self> {
        let database = Database::create()?;
        let entered = database.runtime().enter();
        let read_model =
            MssqlReadModel::over(&database.url(), StoreMetrics::register(&MetricsRegistry::new()));
        drop(entered);
        let read_model = ReadModel::over(ReadStore::Mssql(read_model));
        Some(Self { tables: Tables::Mssql(Box::new(database)), read_model })
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        match &self.tables {
            Tables::Sqlite { runtime, .. } => runtime.block_on(future),
            Tables::Mssql(database) => database.runtime().block_on(future),
        }
    }

    fn insert(&self, table: &str, values: &[String]) {
        let sql = format!("INSERT INTO {table} VALUES ({})", values.join(", "));
        match &self.tables {
            Tables::Sqlite { writer, .. } => writer.execute_batch(&sql).unwrap(),
            Tables::Mssql(database) => drop(database.rows(&sql)),
        }
    }

    fn text(&self, text: &str) -> String {
        let quoted = text.replace('\'', "''");
        match self.tables {
            Tables::Sqlite { .. } => format!("'{quoted}'"),
            Tables::Mssql(_) => format!("N'{quoted}'"),
        }
    }

    fn maybe(&self, text: Option<&str>) -> String {
        text.map_or_else(|| "NULL".to_owned(), |text| self.text(text))
    }

    fn at(&self, micros: i64) -> String {
        match self.tables {
            Tables::Sqlite { .. } => micros.to_string(),
            Tables::Mssql(_) => format!("'{}'", time(micros).to_chrono().format("%Y-%m-%dT%H:%M:%S%.6f")),
        }
    }

    fn amount(&self, units: i64) -> String {
        match self.tables {
            Tables::Sqlite { .. } => units.to_string(),
            Tables::Mssql(_) => Amount::from_units(units).unwrap().to_string(),
        }
    }

    pub(crate) fn user(&self, id: &str, name: &str, at: i64) {
        let [user, event] = [id, "e"].map(|text| self.text(text));
        let values = [user, self.text("ada@example.com"), self.text(name), self.at(at), event];
        self.insert("users (user_id, email, name, occurred_at, event_id)", &values);
    }

    /// An order in EUR without items.
    pub(crate) fn order(&self, id: &str, user: &str, status: &str, placed_at: i64) {
        self.order_of(id, user, status, placed_at, 10_000, &[]);
    }

    pub(crate) fn order_of(
        &self,
        id: &str,
        user: &str,
        status: &str,
        placed_at: i64,
        units: i64,
        items: &[OrderItem],
    ) {
        let [order, user, currency, status, event] =
            [id, user, "EUR", status, "e"].map(|text| self.text(text));
        let [amount, placed, occurred] = [self.amount(units), self.at(placed_at), self.at(1)];
        let columns = "order_id, user_id, amount, currency, status, placed_at, occurred_at, event_id";
        let mut values = vec![order.clone(), user, amount, currency, status, placed, occurred, event.clone()];
        if let Tables::Sqlite { .. } = self.tables {
            values.push(self.text(&serde_json::to_string(items).unwrap()));
            return self.insert(&format!("orders ({columns}, items)"), &values);
        }
        self.insert(&format!("orders ({columns})"), &values);
        for (number, item) in items.iter().enumerate() {
            let sku = self.text(item.sku.as_str());
            let price = self.amount(item.unit_price.units());
            let version = [self.at(1), event.clone()];
            let mut values = vec![order.clone(), number.to_string(), sku, item.quantity.to_string(), price];
            values.extend(version);
            let columns = "order_id, line_no, sku, quantity, unit_price, occurred_at, event_id";
            self.insert(&format!("order_items ({columns})"), &values);
        }
    }

    /// A payment in EUR: pending without an id, or settled or failed with one.
    pub(crate) fn payment(&self, order: &str, units: i64, ended: Option<(&str, &str, i64)>) {
        let [order, currency, event] = [order, "EUR", "e"].map(|text| self.text(text));
        let status = self.text(ended.map_or("PENDING", |(status, _, _)| status));
        let id = self.maybe(ended.map(|(_, id, _)| id));
        let method = self.maybe(ended.map(|_| "card"));
        let settled = ended.map_or_else(|| "NULL".to_owned(), |(_, _, at)| self.at(at));
        let values = [order, id, self.amount(units), currency, method, status, settled, self.at(1), event];
        let columns =
            "order_id, payment_id, amount, currency, method, status, settled_at, occurred_at, event_id";
        self.insert(&format!("payments ({columns})"), &values);
    }

    pub(crate) fn stock(&self, sku: &str, quantity: i64, reported: Option<i64>) {
        let reported = reported.map_or_else(|| "NULL".to_owned(), |reported| reported.to_string());
        let values = [self.text(sku), quantity.to_string(), reported, self.at(1)];
        self.insert("inventory (sku, quantity, reported_quantity, updated_at)", &values);
    }

    pub(crate) fn checkpoint(&self, topic: &str, partition: i32, next: i64) {
        let column = if let Tables::Sqlite { .. } = self.tables { "partition" } else { "partition_id" };
        let values = [self.text(topic), partition.to_string(), next.to_string()];
        self.insert(&format!("checkpoints (topic, {column}, next_offset)"), &values);
    }
}
