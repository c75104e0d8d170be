//! A database of its own on a live SQL Server, when `MSSQL_TEST_URL` names one (its database is only where we log in).

use std::sync::Arc;

use millrace_mssql::ReadModelUrl;
use millrace_mssql::{Encryption, MssqlError, MssqlUrl, Pool, Row, migrate};
use tiberius::ColumnData;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// A migrated database that is dropped with this value.
pub struct Database {
    url: MssqlUrl,
    home: MssqlUrl,
    runtime: Arc<Runtime>,
}

impl Database {
    /// A new database, or `None`, said aloud, when no server is named.
    ///
    /// # Panics
    /// When the server is named and does not do what is asked.
    pub fn create() -> Option<Self> {
        let Ok(text) = std::env::var("MSSQL_TEST_URL") else {
            crate::skipped("all tests over SQL Server, because MSSQL_TEST_URL names none");
            return None;
        };
        let ReadModelUrl::Mssql(home) = text.parse().unwrap() else {
            panic!("MSSQL_TEST_URL is no SQL Server")
        };
        let name = format!("millrace_test_{}", Uuid::now_v7().simple());
        let url = MssqlUrl { database: name, ..(*home).clone() };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(migrate(&url)).unwrap();
        Some(Self { url, home: *home, runtime: Arc::new(runtime) })
    }

    /// How to reach it.
    pub fn url(&self) -> MssqlUrl {
        self.url.clone()
    }

    /// Runs work against it.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// How to reach it, as `READ_MODEL` says it to a process, with the password.
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

    /// Runs a batch and gives its rows, a row a line, cells separated by ` | `: amounts in ten-thousandths, times in
    /// microseconds since 1970, `-` for NULL.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        self.run(&self.url, sql).unwrap()
    }

    fn run(&self, url: &MssqlUrl, sql: &str) -> Result<Vec<String>, MssqlError> {
        // The pool takes statements that live as long as the program, as ours do; a test's are few.
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
        // Throws out whoever is still connected. Not every engine has it, and some drop without.
        let alone = format!("ALTER DATABASE [{name}] SET SINGLE_USER WITH ROLLBACK IMMEDIATE");
        let _others = self.run(&self.home, &alone);
        if let Err(error) = self.run(&self.home, &format!("DROP DATABASE [{name}]")) {
            crate::skipped::say(&format!("LEFT BEHIND: database {name}: {error}"));
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
        other => panic!("a test reads no {other:?}"),
    };
    text.unwrap_or_else(|| "-".to_owned())
}
