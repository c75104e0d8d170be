//! What those who run the service ask: is it up, is it ready, what has it counted; and what it says when the log is away.

use rusqlite::Connection;

use super::{Api, NDJSON, position};

const ORDER: &str = r#"{"orderId":"o","userId":"u","amount":1}"#;

#[test]
fn a_log_that_cannot_write_is_503_and_loses_nothing() {
    let mut api = Api::new();
    let file = Connection::open(api.log_file()).unwrap();
    let first = position(&api.post("/api/v1/orders", ORDER).accepted());
    // The writer meets this as it would meet a full disk: its insert fails, its transaction is undone.
    file.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'disk is full'); END",
    )
    .unwrap();
    let batch = format!("[{ORDER},{ORDER}]");
    for (path, content_type, body) in [
        ("/api/v1/orders", "application/json", ORDER),
        ("/api/v1/orders/batch", "application/json", &batch),
        ("/api/v1/events", NDJSON, "no event"),
    ] {
        let answer = api.post_as(content_type, path, body);
        let problem = answer.problem(503, "unavailable");
        assert_eq!(answer.header("retry-after"), "1");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("event log is away"), "{detail}");
        assert!(!detail.contains("disk"), "the inside stays inside: {detail}");
        assert!(answer.headers.get("consistency-token").is_none());
    }
    assert_eq!(api.records(), 1);
    let not_ready = api.get("/ready").problem(503, "unavailable");
    assert!(not_ready["detail"].as_str().unwrap().contains("event log is away"), "{not_ready}");
    file.execute_batch("DROP TRIGGER full").unwrap();
    let next = position(&api.post("/api/v1/orders", ORDER).accepted());
    assert_eq!((next.partition, next.offset), (first.partition, first.offset + 1), "no gap");
    api.project();
    assert_eq!(api.get("/ready").status, 200);
}

#[test]
fn ready_says_what_is_not() {
    let mut api = Api::new();
    let answer = api.get("/ready");
    let problem = answer.problem(503, "unavailable");
    assert_eq!(problem["detail"], "the projector has no partitions yet");
    assert_eq!(answer.header("retry-after"), "1");
    api.project();
    let answer = api.get("/ready");
    assert_eq!((answer.status, answer.text()), (200, r#"{"status":"ready"}"#));
}

#[test]
fn health_says_only_that_the_process_is_up() {
    let api = Api::new();
    let answer = api.get("/health");
    assert_eq!((answer.status, answer.text()), (200, r#"{"status":"up"}"#));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[test]
fn the_page_at_the_root_names_every_route() {
    let api = Api::new();
    let answer = api.get("/");
    assert_eq!(answer.status, 200);
    for route in [
        "/order",
        "/api/v1/users",
        "/api/v1/orders",
        "/api/v1/orders/batch",
        "/api/v1/payments",
        "/api/v1/inventory-adjustments",
        "/api/v1/events",
        "/api/v1/dlq/messages",
        "/api/v1/dlq/stats",
        "/api/v1/replay",
        "/api/v1/replay/batch",
        "GET /api/v1/dlq/messages/{id}",
        "DELETE /api/v1/dlq/messages/{id}",
        "/api/v1/dlq/clear",
        "/api/v1/circuit-breaker/status",
        "/api/v1/circuit-breaker/reset",
        "/health",
        "/ready",
        "/metrics",
    ] {
        assert!(answer.text().contains(route), "{route}");
    }
}

#[test]
fn metrics_count_what_happened() {
    let mut api = Api::new();
    api.post("/api/v1/orders", ORDER).accepted();
    api.post("/api/v1/orders", "{}").problem(422, "invalid-value");
    api.post_as(NDJSON, "/api/v1/events", "no event").accepted();
    api.get("/no/such/route").problem(404, "not-found");
    api.project();
    let answer = api.get("/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    let lines: Vec<_> = answer.text().lines().collect();
    for line in [
        r#"events_processed_total{event_type="OrderPlaced",status="applied"} 1"#,
        r#"events_processed_total{event_type="unknown",status="dead_letter"} 1"#,
        "dlq_messages_total 1",
        "dlq_entries_total 1",
        "dlq_depth 1",
        "kafka_produce_duration_seconds_count 2",
        r#"db_latency_seconds_count{operation="apply"} 1"#,
        r#"db_operation_duration_seconds_count{operation="apply"} 1"#,
        "projection_freshness_seconds_count 2",
        r#"consumer_lag{partition="0"} 0"#,
        "circuit_breaker_state 0",
        r#"http_requests_total{method="POST",route="/api/v1/orders",status="202"} 1"#,
        r#"http_requests_total{method="POST",route="/api/v1/orders",status="422"} 1"#,
        r#"http_requests_total{method="GET",route="unknown",status="404"} 1"#,
        r#"http_request_duration_seconds_count{method="POST",route="/api/v1/orders",status="202"} 1"#,
    ] {
        assert!(lines.contains(&line), "{line} in\n{}", answer.text());
    }
    assert!(answer.text().contains("build_info{version="));
    assert!(!answer.text().contains("no/such"), "paths are no labels");
}

#[test]
fn the_circuit_breaker_tells_how_it_stands_and_is_closed_by_hand() {
    let mut api = Api::breaking_after(2);
    let status = || api.get("/api/v1/circuit-breaker/status").json();
    assert_eq!(
        status(),
        serde_json::json!({ "state": "closed", "failures": 0, "since": null, "openUntil": null })
    );
    api.project();
    api.post("/api/v1/orders", ORDER).accepted();
    let locked = Connection::open(api.world.read_model()).unwrap();
    locked.execute_batch("BEGIN IMMEDIATE").unwrap();
    while api.get("/api/v1/circuit-breaker/status").json()["state"] == "closed" {
        api.projector.step().unwrap();
    }
    let open = api.get("/api/v1/circuit-breaker/status").json();
    assert_eq!((&open["state"], &open["failures"]), (&"open".into(), &2.into()));
    assert!(open["since"].as_str().unwrap() < open["openUntil"].as_str().unwrap(), "{open}");
    assert!(matches!(api.projector.step().unwrap(), write_side::projector::Step::Waiting(_)));
    locked.execute_batch("ROLLBACK").unwrap();
    let reset = api.post("/api/v1/circuit-breaker/reset", "").json();
    assert_eq!((&reset["state"], &reset["failures"]), (&"closed".into(), &0.into()));
    api.project();
    assert_eq!(api.world.count("OrderPlaced", "applied"), 1);
}
