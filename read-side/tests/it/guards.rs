//! Requests that ask for too much, or for what may not be asked.

use serde_json::{Value, json};

use crate::seed::ReadSide;

/// The one error of an answer, as message and code.
async fn refusal(read_side: &ReadSide, query: &str, variables: Value) -> (String, String) {
    let answer = read_side.query(query, variables).await;
    let json = answer.json();
    let error = &json["errors"][0];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    assert_eq!(json["errors"].as_array().map(Vec::len), Some(1), "{json}");
    (word(&error["message"]), word(&error["extensions"]["code"]))
}

/// 900 bytes that take seconds to validate, depth and complexity limits or not.
fn fragment_bomb() -> String {
    let links = (0..25).map(|n| format!("fragment F{n} on User{{...F{} ...F{}}}", n + 1, n + 1));
    let query = r#"{user(id:"customer-2"){...F0}}"#.to_owned();
    query + &links.collect::<String>() + "fragment F25 on User{name}"
}

#[tokio::test]
async fn a_fragment_bomb_is_refused_before_anything_checks_it() {
    let read_side = ReadSide::seeded();
    let (message, code) = refusal(&read_side, &fragment_bomb(), json!({})).await;
    assert!(message.contains("5000 selections"), "{message}");
    assert_eq!(code, "QUERY_TOO_LARGE");
    let by_get =
        fragment_bomb().replace('{', "%7B").replace('}', "%7D").replace('"', "%22").replace(' ', "+");
    let answer = read_side.get(&format!("/graphql?query={by_get}")).await;
    assert_eq!(answer.json()["errors"][0]["extensions"]["code"], "QUERY_TOO_LARGE");
}

#[tokio::test]
async fn queries_that_ask_for_too_much_are_refused() {
    let read_side = ReadSide::seeded();
    let nested = |times: usize| {
        let (open, close) = ("recentOrders(limit: 1) { user { ".repeat(times), "} }".repeat(times));
        format!(r#"{{ user(id: "customer-2") {{ {open} name {close} }} }}"#)
    };
    let ids: Vec<_> = (0..101).map(|n| format!("u-{n}")).collect();
    let wide = "query ($ids: [ID!]!) { users(ids: $ids) { recentOrders(limit: 100) { orderId } } }";
    let cycle = "{ __typename ...A } fragment A on Query { ...B } fragment B on Query { ...A }";
    for (query, variables, words) in [
        (nested(6), json!({}), "too deep"),
        (nested(16), json!({}), "32 levels"),
        (nested(40), json!({}), "64 brackets"),
        (wide.to_owned(), json!({ "ids": ids[..30] }), "too complex"),
        (
            "query ($ids: [ID!]!) { users(ids: $ids) { name } }".to_owned(),
            json!({ "ids": ids }),
            "at most 100",
        ),
        (cycle.to_owned(), json!({}), "contains itself"),
    ] {
        let (message, _) = refusal(&read_side, &query, variables).await;
        assert!(message.contains(words), "{words} not in {message}");
    }
    assert_eq!(read_side.metrics.db_operations("users"), 0);
}

/// The parser's stack must not be exhausted at any depth, whether a document closes what it opens or not.
#[tokio::test]
async fn nesting_is_survived_at_any_depth() {
    let read_side = ReadSide::seeded();
    for (start, open, close, end) in [
        ("", "{a", "}", ""),
        ("{", "...{", "}", "}"),
        ("{", "...on User{", "}", "}"),
        ("{users(ids:", "[", "]", "){name}}"),
        ("{users(ids:", "{a:", "}", "){name}}"),
        ("query($a:ID=", "[", "]", "){user(id:$a){name}}"),
        ("query($a:", "[", "]", "){name}"),
    ] {
        for times in [60, 100, 600, 2_500, 60_000 / (open.len() + close.len())] {
            let opened = start.to_owned() + &open.repeat(times);
            let closed = opened.clone() + &close.repeat(times) + end;
            for query in [opened, closed] {
                let answer = read_side.query(&query, json!({})).await;
                assert!(answer.json()["errors"].is_array(), "{start}{open} {times}");
            }
        }
    }
}

#[tokio::test]
async fn arguments_are_checked_as_rest_checks_them() {
    let read_side = ReadSide::seeded();
    let long = format!(r#"{{ user(id: "{}") {{ name }} }}"#, "x".repeat(65));
    for (query, words) in [
        (r#"{ user(id: "") { name } }"#, "must not be empty"),
        (r#"{ user(id: "a b") { name } }"#, "[A-Za-z0-9._:@-]{1,64}"),
        (&long, "65 characters"),
        (r#"{ order(id: "a'--") { status } }"#, "[A-Za-z0-9._:@-]{1,64}"),
        (r#"{ inventoryItem(sku: "🌸") { sku } }"#, "🌸"),
        (r#"{ users(ids: ["customer-2", "a b"]) { name } }"#, "[A-Za-z0-9._:@-]{1,64}"),
        (r#"{ user(id: "customer-2") { recentOrders(limit: 0) { orderId } } }"#, "from 1 to 100"),
        (r#"{ user(id: "customer-2") { recentOrders(limit: 101) { orderId } } }"#, "from 1 to 100"),
        (r#"{ user(id: "customer-2") { recentOrders(limit: -1) { orderId } } }"#, "from 1 to 100"),
    ] {
        let (message, code) = refusal(&read_side, query, json!({})).await;
        assert!(message.contains(words), "{words} not in {message}");
        assert_eq!(code, "INVALID_VALUE", "{query}");
    }
    for limit in ["\"abc\"", "1.5", "99999999999"] {
        let query =
            format!(r#"{{ user(id: "customer-2") {{ recentOrders(limit: {limit}) {{ orderId }} }} }}"#);
        let answer = read_side.query(&query, json!({})).await;
        assert!(answer.json()["errors"][0]["message"].as_str().unwrap().contains("Int"), "{}", answer.text());
    }
}

#[tokio::test]
async fn introspection_as_editors_ask_it_is_answered_but_no_bomb_of_it() {
    let read_side = ReadSide::seeded();
    let answer = read_side.query(include_str!("introspection.graphql"), json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains(r#""name":"recentOrders""#));
    let nested = "fields { type { ".repeat(4) + "name" + &"} }".repeat(4);
    let bomb = format!("{{ __schema {{ types {{ {nested} }} }} }}");
    let (_, code) = refusal(&read_side, &bomb, json!({})).await;
    assert_eq!(code, "QUERY_TOO_DEEP");
}
