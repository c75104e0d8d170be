//! Lists in pages: each row once, in either direction, also while rows are inserted.

use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::seed::{ReadSide, database};

/// 2026-01-01T00:00:00Z.
const START_MICROS: i64 = 1_767_225_600_000_000;

async fn data(read_side: &ReadSide, query: &str, variables: Value) -> Value {
    let answer = read_side.query(query, variables).await;
    let json = answer.json();
    assert_eq!(json.get("errors"), None, "{json}");
    json["data"].clone()
}

/// The order ids of a connection.
fn ids(connection: &Value) -> Vec<String> {
    let nodes = connection["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["orderId"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn orders_in_either_order_filtered_by_status_and_time() {
    let read_side = ReadSide::seeded();
    let all = ["invoice-20", "invoice-99", "invoice-7", "invoice-6", "invoice-21"];
    for (arguments, expected) in [
        ("first: 5", &all[..]),
        ("first: 1", &all[..1]),
        ("last: 2", &["invoice-2", "invoice-1"]),
        ("first: 2, orderBy: OLDEST_FIRST", &["invoice-1", "invoice-2"]),
        ("last: 1, orderBy: OLDEST_FIRST", &all[..1]),
        ("filter: {status: \"SHIPPED\"}", &["invoice-5"]),
        ("filter: {status: \"shipped\"}", &["invoice-5"]),
        ("filter: {status: \"LOST\"}", &[]),
        ("last: 1, filter: {status: \"PLACED\"}", &["invoice-1"]),
        ("filter: {placedFrom: \"2026-01-06T00:00:00.123456Z\"}", &["invoice-20"]),
        (
            "filter: {placedFrom: \"2026-01-03T00:00:00Z\", placedBefore: \"2026-01-04T00:00:00Z\"}",
            &["invoice-3"],
        ),
        ("filter: {placedBefore: \"2026-01-02T01:00:00+01:00\"}", &["invoice-1"]),
    ] {
        let found =
            data(&read_side, &format!("{{ orders({arguments}) {{ nodes {{ orderId }} }} }}"), json!({}))
                .await;
        let mut expected: Vec<_> = expected.iter().map(|id| (*id).to_owned()).collect();
        let mut found = ids(&found["orders"]);
        if arguments == "first: 5" {
            // Four were placed at the same time: the greater id is first.
            expected[1..].sort_by(|a, b| b.cmp(a));
            assert_eq!(found, expected, "{arguments}");
            found.sort();
            expected.sort();
        }
        assert_eq!(found, expected, "{arguments}");
    }
}

#[tokio::test]
async fn the_orders_of_many_users_cost_one_statement() {
    let read_side = ReadSide::seeded();
    let query = "{ users(first: 10) { edges { cursor node { userId orders(first: 2, filter: {status: \"PLACED\"}) {
        nodes { orderId user { name } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } } } }";
    let found = data(&read_side, query, json!({})).await;
    let users = found["users"]["edges"].as_array().unwrap();
    let names: Vec<_> = users.iter().map(|user| user["node"]["userId"].as_str().unwrap()).collect();
    assert_eq!(names, ["customer-61", "customer-60", "customer-59", "customer-2"]);
    let orders = |at: usize| ids(&users[at]["node"]["orders"]);
    assert_eq!([orders(0).len(), orders(1).len(), orders(2).len()], [0, 1, 1]);
    assert_eq!(orders(3), ["invoice-7", "invoice-6"]);
    assert_eq!(users[3]["node"]["orders"]["pageInfo"]["hasNextPage"], true);
    assert_eq!(users[2]["node"]["orders"]["pageInfo"]["hasNextPage"], false);
    let statements = ["users_page", "orders_of_users", "users", "orders"];
    assert_eq!(statements.map(|name| read_side.store.operations(name)), [1, 1, 0, 0]);
}

#[tokio::test]
async fn invalid_pages_are_rejected() {
    let read_side = ReadSide::seeded();
    for (arguments, words) in [
        ("first: 101", "from 1 to 100"),
        ("first: 0", "from 1 to 100"),
        ("last: -1", "from 1 to 100"),
        ("first: 2147483647", "from 1 to 100"),
        ("first: 1, last: 1", "exclude each other"),
        ("after: \"customer-2\"", "after is not a valid cursor"),
        ("before: \"\"", "before is not a valid cursor"),
        ("filter: {status: \"not ok\"}", "filter.status"),
        ("filter: {placedFrom: \"yesterday\"}", "DateTime"),
    ] {
        let answer =
            read_side.query(&format!("{{ orders({arguments}) {{ nodes {{ orderId }} }} }}"), json!({})).await;
        let error = answer.json()["errors"][0].clone();
        assert!(error["message"].as_str().unwrap().contains(words), "{arguments}: {error}");
        assert!(error["extensions"]["code"].is_string(), "{error}");
    }
    assert_eq!(read_side.store.operations("orders_page"), 0);
}

#[tokio::test]
async fn nodes_are_found_by_their_global_id() {
    let read_side = ReadSide::seeded();
    let query = "{ user(id: \"customer-2\") { id } order(id: \"invoice-5\") { id } inventory(sku: \"track-3\") { id } }";
    let found = data(&read_side, query, json!({})).await;
    let ids = json!([found["order"]["id"], found["user"]["id"], found["inventory"]["id"]]);
    let query = "query ($ids: [ID!]!, $id: ID!) { node(id: $id) { id ... on User { name } }
        nodes(ids: $ids) { __typename id ... on User { name } ... on Order { status } ... on InventoryItem { quantity } } }";
    let again = data(&read_side, query, json!({"ids": ids, "id": ids[1]})).await;
    assert_eq!(again["node"], json!({"id": ids[1], "name": "Leonie Köhler"}));
    assert_eq!(
        again["nodes"],
        json!([
            {"__typename": "Order", "id": ids[0], "status": "SHIPPED"},
            {"__typename": "User", "id": ids[1], "name": "Leonie Köhler"},
            {"__typename": "InventoryItem", "id": ids[2], "quantity": -5}
        ])
    );
    let answer = read_side.query("{ node(id: \"customer-2\") { id } }", json!({})).await;
    assert_eq!(answer.json()["errors"][0]["extensions"]["code"], "INVALID_VALUE");
    // "User:unknown"
    let found = data(&read_side, "{ node(id: \"VXNlcjp1bmtub3du\") { id } }", json!({})).await;
    assert_eq!(found["node"], json!(null));
}

fn insert(writer: &Connection, id: usize, micros: i64) {
    let sql = "INSERT INTO orders VALUES (?1, 'u', 1, 'EUR', 'PLACED', ?2, '[]', 1, 'e')";
    writer.execute(sql, (format!("o-{id}"), START_MICROS + micros)).unwrap();
}

/// Reads the whole list in pages of `size`, inserting the next of `later` between two pages.
async fn walk(
    read_side: &ReadSide,
    writer: &Connection,
    list: &str,
    backward: bool,
    size: usize,
    later: &[i64],
) -> Vec<String> {
    let (count, place, more, edge) = match backward {
        false => ("first", "after", "hasNextPage", "endCursor"),
        true => ("last", "before", "hasPreviousPage", "startCursor"),
    };
    let mut later = later.iter();
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    for page in 0.. {
        assert!(page < 100, "the walk has an end");
        let connection = format!(
            "orders({count}: $size, {place}: $cursor{list}) {{ nodes {{ orderId }} pageInfo {{ {more} {edge} }} }}"
        );
        let of_user = format!(
            "query ($size: Int!, $cursor: String) {{ order(id: \"o-0\") {{ user {{ {connection} }} }} {connection} }}"
        );
        let found = data(read_side, &of_user, json!({"size": size, "cursor": cursor})).await;
        let rows = ids(&found["orders"]);
        assert_eq!(
            ids(&found["order"]["user"]["orders"]),
            rows,
            "the user has all orders, so the pages are the same"
        );
        assert!(rows.len() <= size);
        if backward {
            seen.splice(0..0, rows)
        } else {
            seen.splice(seen.len().., rows)
        };
        if found["orders"]["pageInfo"][more] == json!(false) {
            return seen;
        }
        cursor = found["orders"]["pageInfo"][edge].clone();
        if let Some(micros) = later.next() {
            insert(writer, 1_000 + page, *micros);
        }
    }
    unreachable!()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_walk_returns_each_row_once_while_rows_are_inserted(
        // Few distinct times, so that many rows have the same.
        times in prop::collection::vec(0_i64..6, 1..25),
        later in prop::collection::vec(-1_i64..7, 0..10),
        size in 1_usize..8,
        backward: bool,
        oldest_first: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let read_side = ReadSide::seeded();
            let clean = "DELETE FROM orders_with_payments; INSERT INTO users VALUES ('u', 'e', 'n', 1, 'e')";
            let writer = database(&read_side.path(), clean);
            for (id, micros) in times.iter().enumerate() {
                insert(&writer, id, *micros);
            }
            let list = if oldest_first { ", orderBy: OLDEST_FIRST" } else { "" };
            let seen = walk(&read_side, &writer, list, backward, size, &later).await;

            let mut expected: Vec<_> = times.iter().enumerate().map(|(id, micros)| (*micros, format!("o-{id}"))).collect();
            expected.sort();
            if !oldest_first {
                expected.reverse();
            }
            let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
            let from_the_start: Vec<_> = seen.iter().filter(|id| id.len() < 6).cloned().collect();
            assert_eq!(from_the_start, expected, "the initial rows, each once, in order");
            let mut distinct = seen.clone();
            distinct.sort();
            distinct.dedup();
            assert_eq!(distinct.len(), seen.len(), "no inserted row twice");
        });
    }
}
