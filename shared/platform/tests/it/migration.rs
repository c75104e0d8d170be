//! A migrated read model has the same rows as before.

use millrace_platform::sqlite::{READ_MODEL_SCHEMA, migrate};
use rusqlite::Connection;

/// Rows of version 3, in which orders and payments are two tables.
const ROWS: &str = "
    INSERT INTO orders VALUES
        ('both', 'u', 19800, 'EUR', 'PLACED', 7, '[]', 8, 'e-1'),
        ('without a payment', 'u', 100, 'USD', 'SHIPPED', 9, '[{}]', 10, 'e-2');
    INSERT INTO payments VALUES
        ('both', 'p-1', 19800, 'EUR', 'card', 'SETTLED', 11, 12, 'e-3'),
        ('without an order', NULL, 5, 'EUR', NULL, 'PENDING', NULL, 13, 'e-4');";

fn rows(connection: &Connection, query: &str) -> Vec<Vec<rusqlite::types::Value>> {
    let mut statement = connection.prepare(query).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect());
    rows.unwrap().map(Result::unwrap).collect()
}

fn shown(connection: &Connection) -> [Vec<Vec<rusqlite::types::Value>>; 2] {
    ["SELECT * FROM orders ORDER BY order_id", "SELECT * FROM payments ORDER BY order_id"]
        .map(|query| rows(connection, query))
}

#[test]
fn orders_and_payments_become_one_row_with_the_same_values() {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate(&mut connection, &READ_MODEL_SCHEMA[..3]).unwrap();
    connection.execute_batch(ROWS).unwrap();
    let before = shown(&connection);
    assert_eq!(before.each_ref().map(Vec::len), [2, 2]);
    migrate(&mut connection, READ_MODEL_SCHEMA).unwrap();
    assert_eq!(shown(&connection), before);
    assert_eq!(rows(&connection, "SELECT * FROM orders_with_payments").len(), 3);
}
