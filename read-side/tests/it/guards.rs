//! Limits of GraphQL requests.

use millrace_platform::settings::Switch;
use millrace_read_side::config::GraphqlConfig;
use serde_json::{Value, json};

use crate::seed::ReadSide;

/// The message and the code of the only error.
async fn refusal(read_side: &ReadSide, query: &str, variables: Value) -> (String, String) {
    let answer = read_side.query(query, variables).await;
    let json = answer.json();
    let error = &json["errors"][0];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    assert_eq!(json["errors"].as_array().map(Vec::len), Some(1), "{json}");
    (word(&error["message"]), word(&error["extensions"]["code"]))
}

/// 900 bytes whose validation would take seconds.
fn fragment_bomb() -> String {
    let links = (0..25).map(|n| format!("fragment F{n} on User{{...F{} ...F{}}}", n + 1, n + 1));
    let query = r#"{user(id:"customer-2"){...F0}}"#.to_owned();
    query + &links.collect::<String>() + "fragment F25 on User{name}"
}

#[tokio::test]
async fn a_fragment_bomb_is_rejected_before_validation() {
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
async fn queries_beyond_a_limit_are_rejected() {
    let read_side = ReadSide::seeded();
    let nested = |times: usize| {
        let (open, close) = ("recentOrders(limit: 1) { user { ".repeat(times), "} }".repeat(times));
        format!(r#"{{ user(id: "customer-2") {{ {open} name {close} }} }}"#)
    };
    let ids: Vec<_> = (0..101).map(|n| format!("u-{n}")).collect();
    let wide = "query ($ids: [ID!]!) { usersById(ids: $ids) { recentOrders(limit: 100) { orderId } } }";
    let cycle = "{ __typename ...A } fragment A on Query { ...B } fragment B on Query { ...A }";
    for (query, variables, words) in [
        (nested(6), json!({}), "too deep"),
        (nested(16), json!({}), "32 levels"),
        (nested(40), json!({}), "64 brackets"),
        (wide.to_owned(), json!({ "ids": ids[..30] }), "too complex"),
        (
            "query ($ids: [ID!]!) { usersById(ids: $ids) { name } }".to_owned(),
            json!({ "ids": ids }),
            "at most 100",
        ),
        (cycle.to_owned(), json!({}), "contains itself"),
    ] {
        let (message, _) = refusal(&read_side, &query, variables).await;
        assert!(message.contains(words), "{words} not in {message}");
    }
    assert_eq!(read_side.store.operations("users"), 0);
}

/// No depth may exhaust the stack of the parser, whether the brackets are closed or not.
#[tokio::test]
async fn nesting_is_survived_at_any_depth() {
    let read_side = ReadSide::seeded();
    for (start, open, close, end) in [
        ("", "{a", "}", ""),
        ("{", "...{", "}", "}"),
        ("{", "...on User{", "}", "}"),
        ("{usersById(ids:", "[", "]", "){name}}"),
        ("{usersById(ids:", "{a:", "}", "){name}}"),
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
        (r#"{ user(id: "a b") { name } }"#, "allowed are letters, digits and . _ : @ -"),
        (&long, "65 characters"),
        (r#"{ order(id: "a'--") { status } }"#, "allowed are letters, digits and . _ : @ -"),
        (r#"{ inventoryItem(sku: "🌸") { sku } }"#, "🌸"),
        (
            r#"{ usersById(ids: ["customer-2", "a b"]) { name } }"#,
            "allowed are letters, digits and . _ : @ -",
        ),
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
async fn the_introspection_of_editors_is_answered_and_a_bomb_rejected() {
    let read_side = ReadSide::seeded();
    let answer = read_side.query(include_str!("introspection.graphql"), json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains(r#""name":"recentOrders""#));
    let nested = "fields { type { ".repeat(4) + "name" + &"} }".repeat(4);
    let bomb = format!("{{ __schema {{ types {{ {nested} }} }} }}");
    let (_, code) = refusal(&read_side, &bomb, json!({})).await;
    assert_eq!(code, "QUERY_TOO_DEEP");
}

/// The default settings with a change.
fn with(change: impl FnOnce(&mut GraphqlConfig)) -> ReadSide {
    let mut config = GraphqlConfig::default();
    change(&mut config);
    ReadSide::with_graphql(config)
}

#[tokio::test]
async fn every_limit_is_a_setting() {
    for (read_side, query, expected) in [
        (
            with(|c| c.graphql_tokens_max = 10),
            "{ a: __typename b: __typename c: __typename }",
            "QUERY_TOO_LARGE",
        ),
        (
            with(|c| c.graphql_selections_max = 10),
            "{ ...F ...F ...F } fragment F on Query { a b c }",
            "QUERY_TOO_LARGE",
        ),
        (with(|c| c.graphql_aliases_max = 1), "{ a: __typename b: __typename }", "QUERY_TOO_LARGE"),
        (with(|c| c.graphql_directives_max = 0), "{ __typename @skip(if: true) }", "QUERY_TOO_LARGE"),
        (with(|c| c.graphql_depth_max = 1), "{ orders { pageInfo { hasNextPage } } }", "QUERY_TOO_DEEP"),
        (
            with(|c| c.graphql_complexity_max = 100),
            "{ orders(first: 100) { nodes { orderId } } }",
            "QUERY_TOO_COMPLEX",
        ),
        (with(|c| c.graphql_page_max = 5), "{ orders(first: 6) { nodes { orderId } } }", "INVALID_VALUE"),
        (
            with(|c| c.graphql_introspection = Switch::Off),
            "{ __schema { types { name } } }",
            "INTROSPECTION_DISABLED",
        ),
    ] {
        let (_, code) = refusal(&read_side, query, json!({})).await;
        assert_eq!(code, expected, "{query}");
        assert_eq!(read_side.query("{ __typename }", json!({})).await.status, 200, "{query}");
    }
    let small = with(|c| c.graphql_body_bytes_max = 1024);
    small.query(&" ".repeat(1024), json!({})).await.assert_problem(413, &["1024"]);
}

#[tokio::test]
async fn aliases_cannot_multiply_the_work() {
    let read_side = ReadSide::seeded();
    let bomb: String = (0..1_000).map(|n| format!("a{n}: user(id: \"customer-2\") {{ name }} ")).collect();
    let (_, code) = refusal(&read_side, &format!("{{ {bomb} }}"), json!({})).await;
    assert_eq!(code, "QUERY_TOO_LARGE");
    let bomb = "a: user(id: \"customer-2\") { name } ".repeat(60);
    let (_, code) = refusal(&read_side, &format!("{{ {bomb} }}"), json!({})).await;
    assert_eq!(code, "QUERY_TOO_LARGE");
    assert_eq!(read_side.store.operations("users"), 0);
}

#[tokio::test]
async fn introspection_and_suggestions_can_be_disabled() {
    let closed = with(|c| {
        c.graphql_introspection = Switch::Off;
        c.graphql_suggestions = Switch::Off;
    });
    closed.get("/graphql/schema").await.assert_problem(404, &[]);
    let (message, code) = refusal(&closed, "{ usr(id: 1) { name } }", json!({})).await;
    assert!(!message.contains("Did you mean"), "{message}");
    assert_eq!(code, "GRAPHQL_VALIDATION_FAILED");
    let (message, _) = refusal(&ReadSide::seeded(), "{ usr(id: 1) { name } }", json!({})).await;
    assert!(message.contains("Did you mean"), "{message}");
}

#[tokio::test]
async fn errors_repeat_little_of_the_request() {
    let read_side = ReadSide::seeded();
    let long = "x".repeat(50_000);
    for query in [
        format!("{{ {long} }}"),
        format!("{{ user(id: \"{long}\") {{ name }} }}"),
        format!("query ${long} {{ a }}"),
    ] {
        let answer = read_side.query(&query, json!({})).await;
        assert!(answer.body.len() < 2_000, "{} bytes", answer.body.len());
        assert!(answer.json()["errors"][0]["extensions"]["code"].is_string());
    }
}

#[tokio::test]
async fn internal_errors_have_an_id_instead_of_a_cause() {
    let read_side = ReadSide::seeded();
    drop(crate::seed::database(
        &read_side.path(),
        "UPDATE orders_with_payments SET items = '[{' WHERE order_id = 'invoice-1'",
    ));
    let answer = read_side.query("{ order(id: \"invoice-1\") { amount } }", json!({})).await;
    let error = answer.json()["errors"][0].clone();
    assert_eq!(error["message"], "internal error; search the service log for the correlationId");
    assert_eq!(error["extensions"]["code"], "INTERNAL");
    assert_eq!(error["extensions"]["correlationId"].as_str().map(str::len), Some(36));
}
