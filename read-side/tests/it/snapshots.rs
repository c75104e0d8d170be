//! Snapshots of the answers of every REST route and of every kind of problem document, under `snapshots/`. A changed
//! answer is a changed file: `INSTA_UPDATE=always cargo test -p millrace-read-side snapshots`.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, header};
use millrace_platform::metrics::{MetricsRegistry, StoreMetrics};
use millrace_read_side::access::ReadTokens;
use millrace_read_side::config::GraphqlConfig;
use millrace_read_side::{ReadConfig, ReadModel};
use tokio_tungstenite::tungstenite::Error;

use crate::seed::{Answer, ReadSide, database};
use crate::socket::Client;

/// The headers that are part of the contract and do not depend on time.
const HEADERS: [header::HeaderName; 8] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::LINK,
    header::ALLOW,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    header::VARY,
    header::CONNECTION,
];

#[track_caller]
fn assert_answer(name: &str, request: &str, answer: &Answer) {
    let headers = HEADERS.iter().filter_map(|name| {
        let value = answer.headers.get(name)?.to_str().unwrap();
        Some(format!("{name}: {value}\n"))
    });
    let headers: String = headers.collect();
    let text = format!("{request}\n\n{}\n{headers}\n{}", answer.status.as_u16(), indent(answer.text()));
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

/// Indents JSON by its text, so that numbers keep their digits.
fn indent(json: &str) -> String {
    let (mut text, mut depth, mut in_string, mut is_escaped) = (String::new(), 0, false, false);
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        if in_string {
            in_string = character != '"' || is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            text.push(character);
            continue;
        }
        let is_empty = matches!((character, characters.peek()), ('{', Some('}')) | ('[', Some(']')));
        match character {
            '{' | '[' if is_empty => text.extend([character, characters.next().unwrap()]),
            '{' | '[' => {
                depth += 1;
                text.push(character);
                text.push_str(&format!("\n{}", "  ".repeat(depth)));
            }
            '}' | ']' => {
                depth -= 1;
                text.push_str(&format!("\n{}{character}", "  ".repeat(depth)));
            }
            ',' => text.push_str(&format!(",\n{}", "  ".repeat(depth))),
            ':' => text.push_str(": "),
            _ => {
                in_string = character == '"';
                text.push(character);
            }
        }
    }
    text
}

#[tokio::test]
async fn rest_answers() {
    let read_side = ReadSide::seeded();
    for (name, path) in [
        ("user", "/users/customer-2"),
        ("user_without_orders", "/users/customer-61"),
        ("users", "/users?limit=2"),
        ("users_recent", "/users/recent?limit=2"),
        ("orders", "/orders?limit=2"),
        ("orders_of_user", "/users/customer-2/orders?limit=2&status=PLACED"),
        ("order", "/orders/invoice-20"),
        ("order_without_payment", "/orders/invoice-6"),
        ("inventory_item", "/inventory/track-2"),
        ("ready", "/ready"),
        ("health", "/health"),
    ] {
        assert_answer(&format!("rest_{name}"), &format!("GET {path}"), &read_side.get(path).await);
    }
}

#[tokio::test]
async fn problems_of_rest() {
    let read_side = ReadSide::seeded();
    for (name, path) in [
        ("not_found_route", "/unknown"),
        ("not_found_user", "/users/unknown"),
        ("not_found_order", "/orders/unknown"),
        ("not_found_sku", "/inventory/unknown"),
        ("not_found_orders_of_user", "/users/unknown/orders"),
        ("invalid_id", "/users/a%20b"),
        ("invalid_id_not_utf_8", "/inventory/%FF"),
        ("invalid_limit", "/users/recent?limit=0"),
        ("invalid_limit_no_number", "/users?limit=many"),
        ("invalid_parameter_unknown", "/users?page=2"),
        ("invalid_parameter_on_a_resource", "/orders/invoice-20?x=1"),
        ("invalid_cursor", "/users?after=x"),
        ("invalid_two_cursors", "/users?after=MTph&before=MTph"),
        ("invalid_status", "/orders?status="),
        ("invalid_time", "/orders?placedFrom=yesterday"),
    ] {
        assert_answer(&format!("problem_{name}"), &format!("GET {path}"), &read_side.get(path).await);
    }
    let request = Request::delete("/orders/invoice-20").body(Body::empty()).unwrap();
    let answer = read_side.send(request).await;
    assert_answer("problem_method_not_allowed", "DELETE /orders/invoice-20", &answer);
    let broken = "UPDATE orders_with_payments SET items = '[{' WHERE order_id = 'invoice-1'";
    drop(database(&read_side.path(), broken));
    let answer = read_side.get("/orders/invoice-1").await;
    assert_answer("problem_internal", "GET /orders/invoice-1 with an invalid row", &answer);
}

#[tokio::test]
async fn problems_of_an_unavailable_read_model() {
    let registry = MetricsRegistry::new();
    let store = StoreMetrics::register(&registry);
    let directory = tempfile::tempdir().unwrap();
    let read_side = ReadSide::over(ReadModel::closed(), &ReadConfig::default(), (registry, store), directory);
    for (name, path) in [("unavailable", "/users/customer-2"), ("not_ready", "/ready")] {
        assert_answer(&format!("problem_{name}"), &format!("GET {path}"), &read_side.get(path).await);
    }
}

#[tokio::test]
async fn problems_of_consistency() {
    let wait = Duration::from_millis(30);
    let read_side = ReadSide::with_config(&ReadConfig { consistency_wait: wait, ..ReadConfig::default() });
    drop(database(
        &read_side.path(),
        "INSERT INTO checkpoints (topic, partition, next_offset) VALUES ('events', 0, 1)",
    ));
    for (name, token, consistency) in [
        ("not_yet_projected", "events:0:1", "strong"),
        ("unknown_topic", "others:0:0", "strong"),
        ("malformed_token", "events", "strong"),
        ("malformed_consistency", "events:0:0", "now"),
    ] {
        let request = Request::get("/users/customer-2")
            .header("consistency-token", token)
            .header("consistency", consistency);
        let answer = read_side.send(request.body(Body::empty()).unwrap()).await;
        let request =
            format!("GET /users/customer-2\nConsistency-Token: {token}\nConsistency: {consistency}");
        assert_answer(&format!("problem_{name}"), &request, &answer);
    }
}

#[tokio::test]
async fn problems_of_access() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, "correct-horse-battery").unwrap();
    let tokens = ReadTokens::load(file.to_str().unwrap()).unwrap();
    let config = ReadConfig { read_tokens_file: Some(tokens), ..ReadConfig::default() };
    let answer = ReadSide::with_config(&config).get("/users/customer-2").await;
    assert_answer("problem_unauthorized", "GET /users/customer-2 without a token", &answer);

    let address = ReadSide::seeded().serve().await;
    let origin = Client::connect(&address, "graphql-transport-ws", Some("https://evil.example")).await;
    let Err(Error::Http(response)) = origin else { panic!("the origin is not allowed") };
    let answer = Answer {
        status: response.status(),
        headers: response.headers().clone(),
        body: response.body().clone().unwrap().into(),
    };
    assert_answer("problem_origin", "GET /graphql as a WebSocket from https://evil.example", &answer);
}

#[tokio::test]
async fn problems_of_graphql() {
    let read_side = ReadSide::with_graphql(GraphqlConfig {
        graphql_sockets_max: 0,
        graphql_body_bytes_max: 1024,
        ..GraphqlConfig::default()
    });
    let (json, any) = ("application/json", "*/*");
    let long = format!(r#"{{"query":"{}"}}"#, " ".repeat(1024));
    let subscription = "/graphql?query=subscription%7Ba%7D";
    for (name, method, path, content_type, accept, body) in [
        ("graphql_no_query", Method::GET, "/graphql", "", json, ""),
        ("graphql_variables", Method::GET, "/graphql?query=%7Ba%7D&variables=5", "", json, ""),
        ("graphql_not_an_object", Method::POST, "/graphql", json, any, "[]"),
        ("graphql_not_a_request", Method::POST, "/graphql", json, any, r#"{"query":5}"#),
        ("graphql_too_large", Method::POST, "/graphql", json, any, &long),
        ("graphql_content_type", Method::POST, "/graphql", "text/plain", any, "{}"),
        ("graphql_not_acceptable", Method::POST, "/graphql", json, "image/png", "{}"),
        ("graphql_get_subscription", Method::GET, subscription, "", json, ""),
        ("graphql_too_many_sockets", Method::GET, subscription, "", "text/event-stream", ""),
    ] {
        let request = Request::builder().method(method.clone()).uri(path).header(header::ACCEPT, accept);
        let request = request.header(header::CONTENT_TYPE, content_type);
        let answer = read_side.send(request.body(Body::from(body.to_owned())).unwrap()).await;
        let shown = if body.len() > 100 { "(more than 1024 bytes)" } else { body };
        let request = format!("{method} {path}\naccept: {accept}\ncontent-type: {content_type}\n{shown}");
        assert_answer(&format!("problem_{name}"), request.trim_end(), &answer);
    }
}
