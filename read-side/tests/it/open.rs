//! Databases that are missing, old, new or damaged: errors at start and at run time.

use millrace_mssql::ReadModelUrl;
use millrace_platform::metrics::{MetricsRegistry, StoreMetrics};
use millrace_read_side::ReadModel;

use crate::seed::{ReadSide, database};

#[test]
fn an_unusable_database_is_a_start_up_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("read-model.db");
    let refusal = || {
        let url = ReadModelUrl::Sqlite(path.clone());
        ReadModel::open(&url, StoreMetrics::register(&MetricsRegistry::new())).unwrap_err().to_string()
    };
    let missing = refusal();
    assert!(missing.contains("read-model.db") && missing.contains("millrace migrate"), "{missing}");
    assert!(!path.exists(), "a reader creates no database");

    let empty = rusqlite::Connection::open(&path).unwrap();
    empty.execute_batch("CREATE TABLE a (x)").unwrap();
    let old = refusal();
    assert!(old.contains("version 0") && old.contains("millrace migrate"), "{old}");

    empty.pragma_update(None, "user_version", 1000).unwrap();
    let new = refusal();
    assert!(new.contains("version 1000") && new.contains("newer millrace"), "{new}");

    drop(empty);
    std::fs::write(&path, "not a database, but longer than the header of one".repeat(20)).unwrap();
    let damaged = refusal();
    assert!(damaged.contains("not a database"), "{damaged}");
}

#[tokio::test]
async fn an_invalid_row_is_an_internal_error_without_details() {
    let read_side = ReadSide::seeded();
    let broken = "UPDATE orders_with_payments SET items = '[{' WHERE order_id = 'invoice-1';
                  UPDATE users SET occurred_at = 9223372036854775807 WHERE user_id = 'customer-2'";
    drop(database(&read_side.path(), broken));
    read_side.get("/orders/invoice-1").await.assert_problem(500, &["internal"]);
    read_side.get("/users/customer-2").await.assert_problem(500, &["internal"]);
    let answer = read_side.query("{ user(id: \"customer-2\") { name } }", serde_json::json!({})).await;
    assert_eq!(
        answer.json()["errors"][0]["message"],
        "internal error; search the service log for the correlationId"
    );
    assert_eq!(answer.json()["errors"][0]["extensions"]["code"], "INTERNAL");
    read_side.get("/orders/invoice-20").await.json();
}

#[tokio::test]
async fn without_tables_the_read_side_is_not_ready() {
    let read_side = ReadSide::seeded();
    assert_eq!(read_side.get("/ready").await.status, 200);
    database(&read_side.path(), "DROP TABLE users").close().unwrap();
    read_side.get("/ready").await.assert_problem(503, &["read model"]);
}
