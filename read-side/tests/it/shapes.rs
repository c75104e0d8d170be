//! GraphQL over HTTP by its specification: content types, methods, statuses, the editor.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use millrace_platform::settings::Switch;
use millrace_read_side::config::GraphqlConfig;
use serde_json::json;

use crate::seed::{Answer, ReadSide};

const QUERY: &str = r#"{"query":"{ user(id: \"customer-60\") { name } }"}"#;

async fn post(read_side: &ReadSide, content_type: &str, accept: &str, body: impl Into<Body>) -> Answer {
    let request =
        Request::post("/graphql").header(header::CONTENT_TYPE, content_type).header(header::ACCEPT, accept);
    read_side.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn the_header_accept_selects_the_format() {
    let read_side = ReadSide::seeded();
    let unparsable = r#"{"query":"{ user(id: "}"#;
    let unknown_field = r#"{"query":"{ user(id: \"customer-2\") { shoeSize } }"}"#;
    let failed_in_execution = r#"{"query":"{ user(id: \"a b\") { name } }"}"#;
    let (graphql, json) = ("application/graphql-response+json", "application/json");
    let bad_variable =
        r#"{"query":"query ($n: Int!) { orders(first: $n) { nodes { orderId } } }","variables":{"n":"x"}}"#;
    let no_such_operation =
        r#"{"query":"query A { __typename } query B { __typename }","operationName":"C"}"#;
    let which_operation = r#"{"query":"query A { __typename } query B { __typename }"}"#;
    let mutation = r#"{"query":"mutation { a }"}"#;
    for (accept, body, status, content_type, has_data) in [
        (graphql, QUERY, 200, graphql, true),
        (graphql, unparsable, 400, graphql, false),
        (graphql, unknown_field, 400, graphql, false),
        (graphql, failed_in_execution, 200, graphql, true),
        (graphql, bad_variable, 400, graphql, false),
        (graphql, no_such_operation, 400, graphql, false),
        (graphql, which_operation, 400, graphql, false),
        (graphql, mutation, 400, graphql, false),
        (json, QUERY, 200, json, true),
        (json, unparsable, 200, json, false),
        (json, unknown_field, 200, json, false),
        (json, failed_in_execution, 200, json, true),
        (json, bad_variable, 200, json, false),
        (json, no_such_operation, 200, json, false),
        (
            "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8",
            QUERY,
            200,
            graphql,
            true,
        ),
        ("application/json;q=0.9, application/graphql-response+json", QUERY, 200, graphql, true),
        ("application/json;q=0, */*;q=0.1", QUERY, 200, graphql, true),
        ("application/*", QUERY, 200, json, true),
        ("*/*", QUERY, 200, json, true),
    ] {
        let answer = post(&read_side, "application/json", accept, body).await;
        assert_eq!(answer.status.as_u16(), status, "{accept} {body}");
        assert_eq!(answer.header(header::CONTENT_TYPE), format!("{content_type}; charset=utf-8"), "{accept}");
        assert_eq!(answer.header(header::VARY), "accept");
        assert_eq!(answer.json().get("data").is_some(), has_data, "{}", answer.text());
    }
}

#[tokio::test]
async fn names_of_any_script_are_returned_unchanged() {
    let read_side = ReadSide::seeded();
    let answer = post(&read_side, "application/json", "application/json", QUERY).await;
    assert_eq!(answer.text(), r#"{"data":{"user":{"name":"山田 🌸 \"Yuki\""}}}"#);
}

#[tokio::test]
async fn only_one_json_object_of_bounded_size_is_read() {
    let read_side = ReadSide::seeded();
    let accept = "application/json";
    for content_type in [
        "text/plain",
        "application/graphql",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
    ] {
        post(&read_side, content_type, accept, QUERY).await.assert_problem(415, &["application/json"]);
    }
    let without = Request::post("/graphql").body(Body::from(QUERY)).unwrap();
    read_side.send(without).await.assert_problem(415, &["application/json"]);
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        r#"{"query":5}"#,
        r#"{"query":"{a}","variables":[1]}"#,
        "{}",
        r#"{"qeury":"{a}"}"#,
        r#"{"query":null}"#,
        r#"{"query":["{a}"]}"#,
        r#"["{a}",null,null,null]"#,
        r#"{"query":"{a}","operationName":1}"#,
        r#"{"query":"{a}","extensions":[]}"#,
        r#"{"query":"{a}","extensions":"x"}"#,
        r#"{"query":"{a}","query":"{b}"}"#,
    ] {
        post(&read_side, accept, accept, body).await.assert_problem(400, &["malformed"]);
    }
    let batch = format!("[{QUERY}]");
    post(&read_side, accept, accept, batch).await.assert_problem(400, &["malformed"]);

    let ten_megabytes = "x".repeat(10_000_000);
    post(&read_side, accept, accept, ten_megabytes.clone()).await.assert_problem(413, &["65536"]);
    let announced = Request::post("/graphql")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, ten_megabytes.len())
        .body(Body::from(ten_megabytes));
    let answer = read_side.send(announced.unwrap()).await;
    answer.assert_problem(413, &["65536"]);
    assert_eq!(answer.header(header::CONNECTION), "close");
}

#[tokio::test]
async fn get_executes_queries() {
    let read_side = ReadSide::seeded();
    let query = "query+A($id:ID!)%7Buser(id:$id)%7Bname%7D%7Dquery+B%7B__typename%7D";
    let variables = "%7B%22id%22:%22customer-59%22%7D";
    let answer =
        read_side.get(&format!("/graphql?query={query}&operationName=A&variables={variables}")).await;
    assert_eq!(answer.json(), json!({"data": {"user": {"name": "Puja Srivastava"}}}));
    let answer = read_side.get(&format!("/graphql?query={query}&operationName=C")).await;
    assert!(answer.json()["errors"][0]["message"].as_str().unwrap().contains("Unknown operation"));
    read_side.get("/graphql").await.assert_problem(400, &["query is missing"]);
    read_side.get("/graphql?query=%7Ba%7D&variables=5").await.assert_problem(400, &["variables"]);
    let long = format!("/graphql?query={}", "x".repeat(65_000 / 2 * 3));
    read_side.get(&long[..65_530]).await.json();
}

#[tokio::test]
async fn a_get_only_reads() {
    let read_side = ReadSide::seeded();
    for query in ["mutation%7Ba%7D", "subscription%7Ba%7D"] {
        let answer = read_side.get(&format!("/graphql?query={query}")).await;
        answer.assert_problem(405, &["GET executes queries only"]);
        assert_eq!(answer.header(header::ALLOW), "POST");
    }
    // The selected operation decides, not the others in the document.
    let both = "query+Q%7B__typename%7Dmutation+M%7Ba%7D";
    let answer = read_side.get(&format!("/graphql?query={both}&operationName=M")).await;
    answer.assert_problem(405, &[]);
}

#[tokio::test]
async fn other_methods_are_answered_with_allow() {
    let read_side = ReadSide::seeded();
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let request = Request::builder().method(method).uri("/graphql").body(Body::empty());
        let answer = read_side.send(request.unwrap()).await;
        answer.assert_problem(405, &[]);
        let allow = answer.header(header::ALLOW);
        assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    }
}

#[tokio::test]
async fn a_request_without_an_acceptable_format_is_not_executed() {
    let read_side = ReadSide::seeded();
    let query = r#"{"query":"{ user(id: \"customer-2\") { name } }"}"#;
    for accept in ["image/png", "text/html", "application/json; charset=utf-16", "application/json;q=0"] {
        post(&read_side, "application/json", accept, query)
            .await
            .assert_problem(406, &["graphql-response+json"]);
    }
    assert_eq!(read_side.store.operations("users"), 0);
}

#[tokio::test]
async fn null_is_the_same_as_absent() {
    let read_side = ReadSide::seeded();
    let body =
        r#"{"query":"{ __typename }","operationName":null,"variables":null,"extensions":null,"other":1}"#;
    assert_eq!(read_side.post(body).await.json(), json!({"data": {"__typename": "Query"}}));
    let answer = read_side.get("/graphql?query=%7B__typename%7D&operationName=&variables=&extensions=").await;
    assert_eq!(answer.json(), json!({"data": {"__typename": "Query"}}));
    for wrong in ["variables=%5B%5D", "extensions=%5B%5D", "extensions=x", "query=%7Ba%7D"] {
        let answer = read_side.get(&format!("/graphql?query=%7B__typename%7D&{wrong}")).await;
        answer.assert_problem(400, &["malformed"]);
    }
}

#[tokio::test]
async fn without_the_editor_a_browser_gets_a_problem() {
    let read_side =
        ReadSide::with_graphql(GraphqlConfig { graphql_editor: Switch::Off, ..GraphqlConfig::default() });
    let request = Request::get("/graphql").header(header::ACCEPT, "text/html,*/*;q=0.8").body(Body::empty());
    read_side.send(request.unwrap()).await.assert_problem(400, &["query is missing"]);
}

#[tokio::test]
async fn the_editor_loads_nothing_from_other_hosts() {
    let read_side = ReadSide::seeded();
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let request = Request::get("/graphql").header(header::ACCEPT, accept).body(Body::empty());
    let answer = read_side.send(request.unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header(header::CONTENT_TYPE).starts_with("text/html"));
    for outside in ["http://", "https://", "src=\"//"] {
        assert!(!answer.text().contains(outside), "{outside}");
    }
    let text = answer.text();
    let assets = text.split("\"/graphql/assets/").skip(1).filter_map(|rest| rest.split_once('"'));
    for (asset, _) in assets {
        let found = read_side.get(&format!("/graphql/assets/{asset}")).await;
        assert_eq!(found.status, StatusCode::OK, "{asset}");
        assert!(!found.text().is_empty(), "{asset}");
    }
    let query = Request::get("/graphql?query=%7B__typename%7D").header(header::ACCEPT, accept);
    let answer = read_side.send(query.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.json(), json!({"data": {"__typename": "Query"}}));
}
