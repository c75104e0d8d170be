//! GraphQL over HTTP: content types, methods, statuses, the page for browsers.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::json;

use crate::seed::{Answer, ReadSide};

const QUERY: &str = r#"{"query":"{ user(id: \"customer-60\") { name } }"}"#;

async fn post(read_side: &ReadSide, content_type: &str, accept: &str, body: impl Into<Body>) -> Answer {
    let request =
        Request::post("/graphql").header(header::CONTENT_TYPE, content_type).header(header::ACCEPT, accept);
    read_side.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn the_answer_is_written_as_the_client_accepts_it() {
    let read_side = ReadSide::seeded();
    let unparsable = r#"{"query":"{ user(id: "}"#;
    let unknown_field = r#"{"query":"{ user(id: \"customer-2\") { shoeSize } }"}"#;
    let failed_in_execution = r#"{"query":"{ user(id: \"a b\") { name } }"}"#;
    let (graphql, json) = ("application/graphql-response+json", "application/json");
    for (accept, body, status, content_type, has_data) in [
        (graphql, QUERY, 200, graphql, true),
        (graphql, unparsable, 400, graphql, false),
        (graphql, unknown_field, 400, graphql, false),
        (graphql, failed_in_execution, 200, graphql, true),
        (json, QUERY, 200, json, true),
        (json, unparsable, 200, json, false),
        (json, unknown_field, 200, json, false),
        ("*/*", QUERY, 200, json, true),
    ] {
        let answer = post(&read_side, "application/json", accept, body).await;
        assert_eq!(answer.status.as_u16(), status, "{accept} {body}");
        assert_eq!(answer.header(header::CONTENT_TYPE), content_type);
        assert_eq!(answer.json().get("data").is_some(), has_data, "{}", answer.text());
    }
}

#[tokio::test]
async fn names_of_any_script_come_back_as_they_are() {
    let read_side = ReadSide::seeded();
    let answer = post(&read_side, "application/json", "application/json", QUERY).await;
    assert_eq!(answer.text(), r#"{"data":{"user":{"name":"山田 🌸 \"Yuki\""}}}"#);
}

#[tokio::test]
async fn only_one_json_object_of_bounded_size_is_read() {
    let read_side = ReadSide::seeded();
    let accept = "application/json";
    for content_type in
        ["text/plain", "application/graphql", "multipart/form-data; boundary=x", "application/jsonp"]
    {
        post(&read_side, content_type, accept, QUERY).await.assert_problem(415, &["application/json"]);
    }
    let without = Request::post("/graphql").body(Body::from(QUERY)).unwrap();
    read_side.send(without).await.assert_problem(415, &["application/json"]);
    for body in ["", "{", "[]", "null", "\"x\"", r#"{"query":5}"#, r#"{"query":"{a}","variables":[1]}"#, "{}"]
    {
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
async fn a_browser_gets_an_editor_that_needs_nothing_from_the_net() {
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
