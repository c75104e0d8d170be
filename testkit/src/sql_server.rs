//! Test databases on the SQL Server of `MSSQL_TEST_URL`. The database in that setting is used for the login only.

use std::sync::Arc;

use millrace_mssql::{Encryption, MssqlError, MssqlUrl, Pool, ReadModelUrl, Row, migrate};
use tiberius::ColumnData;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// A migrated database. Dropping the value drops the database.
pub struct Database {
    url: MssqlUrl,
    server: MssqlUrl,
    runtime: Arc<Runtime>,
}

impl Database {
    /// Creates a database; `None`, with a message, if `MSSQL_TEST_URL` is not set.
    ///
    /// # Panics
    /// When the database cannot be created.
    pub fn create() -> Option<Self> {
        let Ok(text) = std::env::var("MSSQL_TEST_URL") else {
            crate::skipped::skipped("all tests with SQL Server: MSSQL_TEST_URL is not set");
            return None;
        };
        let ReadModelUrl::Mssql(server) = text.parse().unwrap() else {
            panic!("MSSQL_TEST_URL must be the address of a SQL Server")
        };
        let name = format!("millrace_test_{}", Uuid::now_v7().simple());
        let url = MssqlUrl { database: name, ..(*server).clone() };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(migrate(&url)).unwrap();
        Some(Self { url, server: *server, runtime: Arc::new(runtime) })
    }

    pub fn url(&self) -> MssqlUrl {
        self.url.clone()
    }

    /// The runtime for [`Pool`].
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The value for the setting `READ_MODEL`, with the password.
    pub fn setting(&self) -> String {
        let MssqlUrl { host, port, user, password, database, .. } = &self.url;
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let encrypt = match self.url.encryption {
            Encryption::Required => "true",
            Encryption::LoginOnly => "false",
            Encryption::Plaintext => "plaintext",
        };
        let ca = self.url.ca.as_ref().map(|file| format!(";ca={}", quoted(&file.display().to_string())));
        format!(
            "Server={host},{port};Database={database};User Id={};Password={};Encrypt={encrypt};TrustServerCertificate={}{}",
            quoted(user),
            quoted(password.reveal()),
            self.url.trust_server_certificate,
            ca.unwrap_or_default(),
        )
    }

    /// Runs a batch and returns one text for each row, with cells separated by ` | `: amounts in ten-thousandths, times
    /// in microseconds since 1970, `-` for NULL.
    ///
    /// # Panics
    /// When the batch fails.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        self.run(&self.url, sql).unwrap()
    }

    fn run(&self, url: &MssqlUrl, sql: &str) -> Result<Vec<String>, MssqlError> {
        // The pool requires static statements. Leaking those of a test is harmless.
        let sql: &'static str = Box::leak(sql.to_owned().into_boxed_str());
        let rows = self.runtime.block_on(async { Pool::new(url, 1).query(sql, Vec::new()).await })?;
        let line =
            |row: Row| row.into_driver().into_iter().map(|data| cell(&data)).collect::<Vec<_>>().join(" | ");
        Ok(rows.into_iter().map(line).collect())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = &self.url.database;
        // Disconnects all other clients. The result is ignored: not every engine supports or needs it.
        let disconnect = format!("ALTER DATABASE [{name}] SET SINGLE_USER WITH ROLLBACK IMMEDIATE");
        let _unsupported = self.run(&self.server, &disconnect);
        if let Err(error) = self.run(&self.server, &format!("DROP DATABASE [{name}]")) {
            crate::skipped::print_line(&format!("LEFT BEHIND: database {name}: {error}"));
        }
    }
}

fn cell(data: &ColumnData<'static>) -> String {
    use tiberius::FromSql;

    let text = match data {
        ColumnData::U8(number) => number.map(|number| number.to_string()),
        ColumnData::I32(number) => number.map(|number| number.to_string()),
        ColumnData::I64(number) => number.map(|number| number.to_string()),
        ColumnData::String(text) => text.as_deref().map(str::to_owned),
        ColumnData::Numeric(number) => number.map(|number| number.value().to_string()),
        ColumnData::Binary(bytes) => {
            bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        }
        ColumnData::DateTime2(_) => {
            let time = chrono::NaiveDateTime::from_sql(data).unwrap();
            time.map(|time| time.and_utc().timestamp_micros().to_string())
        }
        other => panic!("unsupported type: {other:?}"),
    };
    text.unwrap_or_else(|| "-".to_owned())
}
