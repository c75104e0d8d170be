//! What only a live SQL Server can show of the T-SQL itself.

use shared::mssql::{Param, Pool, migrate};
use testkit::sql_server::Database;

fn apply(database: &Database, document: &str) -> Result<(), String> {
    let params =
        vec![Param::Text(document.to_owned()), Param::Bytes(Vec::new()), Param::Text("events".to_owned())];
    let pool = || Pool::new(&database.url(), 1);
    let query = async { pool().query(shared::sql!("mssql/projection/apply.sql"), params).await };
    database.runtime().block_on(query).map(drop).map_err(|error| error.to_string())
}

#[test]
fn two_rows_of_one_key_in_a_batch_may_meet() {
    let Some(database) = Database::create() else { return };
    let document = r#"{"spans":[{"partition":0,"from":null,"next":9}],
        "users":[{"id":"u","email":"a@b","name":"old","at":"2026-01-01T00:00:00Z","by":"e1"},
                 {"id":"u","email":"a@b","name":"new","at":"2026-01-02T00:00:00Z","by":"e2"}],
        "adjustments":[{"sku":"s","delta":5,"at":"2026-01-01T00:00:00Z","by":"e3"},
                       {"sku":"s","delta":5,"at":"2026-01-01T00:00:00Z","by":"e3"}]}"#;
    apply(&database, document).unwrap();
    assert_eq!(database.rows("SELECT name FROM users"), ["new"]);
    assert_eq!(
        database.rows("SELECT quantity FROM inventory"),
        ["5"],
        "a duplicate inside one batch counts once"
    );
}

#[test]
fn a_missing_field_is_an_error_of_the_batch() {
    let Some(database) = Database::create() else { return };
    let document = r#"{"spans":[{"partition":0,"from":null,"next":9}],
        "users":[{"id":"u","email":"a@b","at":"2026-01-01T00:00:00Z","by":"e1"}]}"#;
    let refused = apply(&database, document).unwrap_err();
    assert!(refused.contains("13608"), "{refused}");
    assert!(database.rows("SELECT user_id FROM users").is_empty());
    assert!(database.rows("SELECT topic FROM checkpoints").is_empty());
}

#[test]
fn migrating_again_and_twice_at_once_changes_nothing() {
    let Some(database) = Database::create() else { return };
    let url = database.url();
    let both = async { tokio::join!(migrate(&url), migrate(&url)) };
    let (one, other) = database.runtime().block_on(both);
    assert_eq!((one.unwrap().steps, other.unwrap().steps), (0, 0));
}
