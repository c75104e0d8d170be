//! The example operations, their cost in statements, and missing objects.

use std::path::PathBuf;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::seed::ReadSide;

/// A file of `graphql/` at the root of the workspace.
fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../graphql")).join(name)
}

fn example(name: &str) -> String {
    std::fs::read_to_string(file("queries").join(name)).unwrap()
}

async fn data(read_side: &ReadSide, query: &str, variables: Value) -> Value {
    let answer = read_side.query(query, variables).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let json = answer.json();
    assert_eq!(json.get("errors"), None, "{json}");
    json["data"].clone()
}

#[test]
fn the_committed_schema_is_that_of_the_code() {
    let path = file("schema.graphql");
    if std::env::var_os("UPDATE_SDL").is_some() {
        std::fs::write(&path, millrace_read_side::graphql::sdl()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == millrace_read_side::graphql::sdl(),
        "graphql/schema.graphql is outdated; run UPDATE_SDL=1 cargo test -p millrace-read-side committed_schema"
    );
}

#[tokio::test]
async fn the_schema_is_served_as_text() {
    let read_side = ReadSide::seeded();
    let answer = read_side.get("/graphql/schema").await;
    assert_eq!(answer.text(), millrace_read_side::graphql::sdl());
}

#[tokio::test]
async fn user_with_orders() {
    let read_side = ReadSide::seeded();
    let found = data(&read_side, &example("user_with_orders.graphql"), json!({"id": "customer-2"})).await;
    let user = &found["user"];
    assert_eq!(user["name"], "Leonie Köhler");
    assert_eq!(user["createdAt"], "2026-01-01T00:00:00Z");
    let orders = user["recentOrders"].as_array().unwrap();
    let ids: Vec<_> = orders.iter().map(|order| order["orderId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["invoice-7", "invoice-6", "invoice-5", "invoice-4", "invoice-3"]);
    assert_eq!(orders[0]["amount"], "0.99");
    assert_eq!(orders[0]["payment"], json!({"status": "PENDING", "settledAt": null}));
    assert_eq!(orders[1]["payment"], json!(null));
    assert_eq!(orders[2]["payment"], json!({"status": "FAILED", "settledAt": "2026-01-05T00:00:01Z"}));
}

#[tokio::test]
async fn users_batch_costs_two_statements() {
    let read_side = ReadSide::seeded();
    let ids = json!(["customer-59", "unknown", "customer-2", "customer-61", "customer-59"]);
    let found = data(&read_side, &example("users_batch.graphql"), json!({ "ids": ids })).await;
    let users = found["usersById"].as_array().unwrap();
    let names: Vec<_> = users.iter().map(|user| user["name"].as_str()).collect();
    let (puja, leonie) = (Some("Puja Srivastava"), Some("Leonie Köhler"));
    assert_eq!(names, [puja, None, leonie, Some("Without Orders"), puja]);
    assert_eq!(users[2]["recentOrders"].as_array().unwrap().len(), 5);
    assert_eq!(users[3]["recentOrders"], json!([]));
    assert_eq!(users[0]["recentOrders"][0]["payment"]["status"], "SETTLED");
    assert_eq!(statements(&read_side), [("users", 1), ("orders", 0), ("recent_orders", 1)]);
}

fn statements(read_side: &ReadSide) -> [(&'static str, u64); 3] {
    ["users", "orders", "recent_orders"].map(|name| (name, read_side.store.operations(name)))
}

#[tokio::test]
async fn one_user_with_orders_costs_one_statement() {
    let read_side = ReadSide::seeded();
    let statements =
        || ["user_with_orders", "users", "recent_orders"].map(|name| read_side.store.operations(name));
    let recent = |user: &str, field: &str| format!(r#"user(id: "{user}") {{ name {field} {{ orderId }} }}"#);
    let ids = |orders: &Value| orders.as_array().unwrap().len();

    let found = data(&read_side, &format!("{{ {} }}", recent("customer-2", "recentOrders")), json!({})).await;
    assert_eq!((ids(&found["user"]["recentOrders"]), statements()), (5, [1, 0, 0]));
    let query = "query ($n: Int) { user(id: \"customer-2\") { ...A } }
        fragment A on User { recentOrders(limit: $n) { orderId } more: recentOrders(limit: 7) { orderId } }";
    let found = data(&read_side, query, json!({"n": 2})).await;
    assert_eq!(
        (ids(&found["user"]["recentOrders"]), statements()),
        (2, [2, 0, 1]),
        "the other limit has its own statement"
    );
    assert_eq!(ids(&found["user"]["more"]), 7);
    let found = data(&read_side, &format!("{{ {} }}", recent("unknown", "recentOrders")), json!({})).await;
    assert_eq!((found, statements()), (json!({"user": null}), [3, 0, 1]));

    let two = format!(
        "{{ a: {} b: {} }}",
        recent("customer-2", "recentOrders"),
        recent("customer-59", "recentOrders")
    );
    let found = data(&read_side, &two, json!({})).await;
    assert_eq!((ids(&found["b"]["recentOrders"]), statements()), (1, [3, 1, 2]), "together");
    let twice = format!(
        "{{ a: {} b: {} }}",
        recent("customer-2", "recentOrders(limit: 1)"),
        recent("customer-2", "recentOrders")
    );
    let found = data(&read_side, &twice, json!({})).await;
    assert_eq!((ids(&found["a"]["recentOrders"]), ids(&found["b"]["recentOrders"])), (1, 5));
}

#[tokio::test]
async fn any_number_of_users_costs_two_statements() {
    let read_side = ReadSide::seeded();
    let rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
        INSERT INTO users SELECT 'u-' || i, 'e', 'n', i, 'e' FROM n;
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
        INSERT INTO orders SELECT 'o-' || i, 'u-' || (1 + i % 100), i, 'EUR', 'PLACED', i, '[]', i, 'e' FROM n;";
    drop(crate::seed::database(&read_side.path(), rows));
    let ids: Vec<_> = (1..=100).map(|i| format!("u-{i}")).collect();
    let query =
        "query ($ids: [ID!]!) { usersById(ids: $ids) { userId recentOrders { payment { status } } } }";
    let found = data(&read_side, query, json!({ "ids": ids })).await;
    for (user, id) in found["usersById"].as_array().unwrap().iter().zip(&ids) {
        assert_eq!(user["userId"], json!(id));
        assert_eq!(user["recentOrders"].as_array().unwrap().len(), 5);
    }
    assert_eq!(statements(&read_side), [("users", 1), ("orders", 0), ("recent_orders", 1)]);

    // The users of the orders are loaded already.
    let query = "query ($ids: [ID!]!) { usersById(ids: $ids) { recentOrders(limit: 2) { user { name } } } }";
    let found = data(&read_side, query, json!({ "ids": ids[..60] })).await;
    assert_eq!(found["usersById"][59]["recentOrders"][1]["user"]["name"], "n");
    assert_eq!(statements(&read_side), [("users", 2), ("orders", 0), ("recent_orders", 2)]);
}

#[tokio::test]
async fn aliases_are_loaded_together() {
    let read_side = ReadSide::seeded();
    let query = r#"{
        a: order(id: "invoice-1") { user { name few: recentOrders(limit: 1) { orderId } many: recentOrders(limit: 7) { orderId } } }
        b: order(id: "invoice-20") { user { name recentOrders(limit: 1) { orderId } } }
        c: order(id: "invoice-1") { orderId }
    }"#;
    let found = data(&read_side, query, json!({})).await;
    assert_eq!(found["a"]["user"]["few"], json!([{"orderId": "invoice-7"}]));
    assert_eq!(found["a"]["user"]["many"].as_array().unwrap().len(), 7);
    assert_eq!(found["b"]["user"]["recentOrders"], json!([{"orderId": "invoice-20"}]));
    assert_eq!(found["c"]["orderId"], "invoice-1");
    assert_eq!(statements(&read_side), [("users", 1), ("orders", 1), ("recent_orders", 2)]);
}

#[tokio::test]
async fn order_with_user_shows_every_digit() {
    let read_side = ReadSide::seeded();
    let found = data(&read_side, &example("order_with_user.graphql"), json!({"id": "invoice-20"})).await;
    let order = &found["order"];
    assert_eq!(order["amount"], "922337203685477.5807");
    assert_eq!(order["user"]["name"], "Puja Srivastava");
    assert_eq!(
        order["items"],
        json!([
            {"sku": "track-2", "quantity": 1_000_000_000, "unitPrice": "922337203685477.5807"},
            {"sku": "track-3", "quantity": 2, "unitPrice": "0.125"}
        ])
    );
    assert_eq!(order["payment"]["paymentId"], "payment-20");
    assert_eq!(order["payment"]["amount"], "922337203685477.5807");
}

#[tokio::test]
async fn an_object_that_is_not_projected_is_null() {
    let read_side = ReadSide::seeded();
    let order = example("order_with_user.graphql");
    let found = data(&read_side, &order, json!({"id": "invoice-99"})).await;
    assert_eq!(found["order"]["userId"], "not-arrived");
    assert_eq!(found["order"]["user"], json!(null));
    assert_eq!(found["order"]["payment"], json!(null));
    let found = data(&read_side, &order, json!({"id": "invoice-88"})).await;
    assert_eq!(found, json!({"order": null}));
}

#[tokio::test]
async fn inventory_item() {
    let read_side = ReadSide::seeded();
    let query = example("inventory_item.graphql");
    let found = data(&read_side, &query, json!({"sku": "track-2"})).await;
    let item = json!({"sku": "track-2", "quantity": 9_007_199_254_740_993_i64, "reportedQuantity": 40});
    assert_eq!(found["inventory"], item);
    let found = data(&read_side, &query, json!({"sku": "nothing"})).await;
    assert_eq!(found["inventory"], json!(null));
}

#[tokio::test]
async fn fields_are_in_the_selected_order() {
    let read_side = ReadSide::seeded();
    let query = "{ user(id: \"customer-59\") { recentOrders(limit: 1) { payment { status } orderId user { name } amount } name } t: __typename }";
    let answer = read_side.query(query, json!({})).await;
    let mut fields =
        ["user", "recentOrders", "payment", "status", "orderId", "name", "amount", "name", "t"].iter();
    let mut rest = answer.text();
    assert!(
        fields.all(|field| {
            let found = rest.split_once(&format!("\"{field}\":"));
            rest = found.map_or("", |(_, after)| after);
            found.is_some()
        }),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn operations_are_measured_by_a_bounded_set_of_names() {
    let read_side = ReadSide::seeded();
    let partly = r#"query Partly { user(id: "a b") { name } }"#;
    for query in [
        "query Mine { __typename }",
        "query Wrong { nothing }",
        partly,
        "{ __typename }",
        "{",
        "query A { a } query B { b }",
    ] {
        read_side.query(query, json!({})).await;
    }
    let metrics = read_side.get("/metrics").await.text().to_owned();
    for (name, outcome) in [("Mine", "ok"), ("other", "refused"), ("Partly", "errors"), ("anonymous", "ok")] {
        let duration = format!(r#"millrace_graphql_operation_duration_seconds_count{{operation="{name}"}}"#);
        assert!(metrics.contains(&duration), "{duration}");
        let count = format!(r#"millrace_graphql_operations_total{{operation="{name}",outcome="{outcome}"}}"#);
        assert!(metrics.contains(&count), "{count}: {metrics}");
    }
    assert!(
        metrics.contains(r#"millrace_graphql_operations_total{operation="invalid",outcome="refused"} 1"#)
    );
    assert!(!metrics.contains("Wrong"), "a document that is not executed adds no label");
}
