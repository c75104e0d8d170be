//! Snapshots of the answers of the command port: a change of an answer is a change of a file that a reviewer sees.

use millrace_commands::metrics::CommandMetrics;
use millrace_platform::metrics::MetricsRegistry;
use serde_json::{Map, Value, json};

use super::{Api, NDJSON};

/// An answer with its status; the event's id is random unless the client gives it.
fn shown(answer: &super::Answer) -> Value {
    let mut body = answer.json();
    hide_event_id(&mut body);
    for result in body.get_mut("results").and_then(Value::as_array_mut).into_iter().flatten() {
        hide_event_id(result);
    }
    json!({ "status": answer.status, "body": body })
}

fn hide_event_id(body: &mut Value) {
    if let Some(id) = body.get_mut("eventId") {
        *id = "[random]".into();
    }
}

#[test]
fn accepted_commands() {
    let api = Api::new();
    let mut answers = Map::new();
    for (path, body) in [
        ("/api/v1/users", r#"{"userId":"user-1","email":"ada@example.com","name":"Ada"}"#),
        ("/api/v1/orders", r#"{"orderId":"order-1","userId":"user-1","amount":149.99}"#),
        (
            "/api/v1/payments",
            r#"{"paymentId":"pay-1","orderId":"order-1","amount":149.99,"status":"SETTLED"}"#,
        ),
        ("/api/v1/inventory-adjustments", r#"{"sku":"SKU-1","delta":5}"#),
        (
            "/api/v1/orders/batch",
            r#"{"orders":[{"orderId":"order-2","userId":"user-1","amount":1},{"userId":"user-1"}]}"#,
        ),
        (
            "/order",
            r#"{"id":"order-3","user_id":"user-1","total":1,"status":"pending","timestamp":"2026-10-06T17:00:00Z"}"#,
        ),
        (
            "/api/v1/events",
            r#"{"id":"order-4","user_id":"user-1","total":1,"status":"pending","timestamp":"2026-10-06T17:00:00Z"}"#,
        ),
    ] {
        answers.insert(path.to_owned(), shown(&api.post(path, body)));
    }
    let order = r#"{"id":"order-5","user_id":"user-1","total":1,"timestamp":"2026-10-06T17:00:00Z"}"#;
    let lines = api.post_as(NDJSON, "/api/v1/events", format!("{order}\nno event"));
    answers.insert("/api/v1/events (lines)".to_owned(), shown(&lines));
    insta::assert_json_snapshot!(answers);
}

#[test]
fn problems() {
    let api = Api::new();
    let mut answers = Map::new();
    for (name, path, content_type, body) in [
        ("not JSON", "/api/v1/users", "application/json", "{"),
        ("another content type", "/api/v1/users", "text/plain", "{}"),
        ("missing field", "/api/v1/orders", "application/json", "{}"),
        ("invalid field", "/api/v1/orders", "application/json", r#"{"userId":"u","amount":-1}"#),
        ("unknown route", "/api/v1/nothing", "application/json", "{}"),
        ("unknown shape", "/api/v1/events", "application/json", "{}"),
        ("no lines", "/api/v1/events", NDJSON, ""),
        ("no valid order", "/api/v1/orders/batch", "application/json", "[{}]"),
    ] {
        answers.insert(name.to_owned(), shown(&api.post_as(content_type, path, body)));
    }
    answers.insert("another method".to_owned(), shown(&api.get("/api/v1/users")));
    let key = [("content-type", &b"application/json"[..]), ("idempotency-key", b"a b")];
    answers
        .insert("invalid key".to_owned(), shown(&api.send(super::Method::POST, "/api/v1/users", &key, "{}")));
    api.file.fill_disk();
    let order = r#"{"userId":"u","amount":1}"#;
    answers.insert("log unavailable".to_owned(), shown(&api.post("/api/v1/orders", order)));
    insta::assert_json_snapshot!(answers);
}

#[test]
fn metric_names() {
    let registry = MetricsRegistry::new();
    CommandMetrics::register(&registry);
    insta::assert_snapshot!(registry.names().join("\n"));
}
