//! Operating the command port: is it up, is it ready, what has it counted; and its answers while the log is unavailable.

use super::{Api, NDJSON, position};

const ORDER: &str = r#"{"orderId":"o","userId":"u","amount":1}"#;

#[test]
fn a_log_that_cannot_write_is_503_and_loses_nothing() {
    let api = Api::new();
    let first = position(&api.post("/api/v1/orders", ORDER).accepted());
    assert_eq!(api.get("/ready").status, 200);
    api.file.fill_disk();
    let batch = format!("[{ORDER},{ORDER}]");
    for (path, content_type, body) in [
        ("/api/v1/orders", "application/json", ORDER),
        ("/api/v1/orders/batch", "application/json", &batch),
        ("/api/v1/events", NDJSON, "no event"),
    ] {
        let answer = api.post_as(content_type, path, body);
        let problem = answer.problem(503, "unavailable");
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(problem["detail"], "event log unavailable; retry with the same ids");
        assert!(answer.headers.get("consistency-token").is_none());
    }
    assert_eq!(api.records(), 1);
    let not_ready = api.get("/ready").problem(503, "unavailable");
    assert!(not_ready["detail"].as_str().unwrap().contains("event log unavailable"), "{not_ready}");
    api.file.free_disk();
    let next = position(&api.post("/api/v1/orders", ORDER).accepted());
    assert_eq!((next.partition, next.offset), (first.partition, first.offset + 1), "no gap");
    let ready = api.get("/ready");
    assert_eq!((ready.status, ready.text()), (200, r#"{"status":"ready"}"#));
}

#[test]
fn health_reports_only_that_the_process_is_up() {
    let api = Api::new();
    let answer = api.get("/health");
    assert_eq!((answer.status, answer.text()), (200, r#"{"status":"up"}"#));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[test]
fn the_page_at_the_root_lists_every_route() {
    let api = Api::new();
    let page = api.get("/");
    assert_eq!(page.status, 200);
    let document = api.get("/openapi.json").json();
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(page.text().contains(path), "{path}");
    }
}

#[test]
fn metrics_count_commands_and_nothing_else() {
    let api = Api::new();
    api.post("/api/v1/orders", ORDER).accepted();
    api.post("/api/v1/orders", "{}").problem(422, "invalid-value");
    api.get("/no/such/route").problem(404, "not-found");
    let answer = api.get("/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    let lines: Vec<_> = answer.text().lines().collect();
    for line in [
        "millrace_append_duration_seconds_count 1",
        "kafka_produce_duration_seconds_count 1",
        r#"millrace_http_requests_total{method="POST",route="/api/v1/orders",status="202"} 1"#,
        r#"http_requests_total{method="POST",route="/api/v1/orders",status="202"} 1"#,
        r#"http_requests_total{method="POST",route="/api/v1/orders",status="422"} 1"#,
        r#"http_requests_total{method="GET",route="unknown",status="404"} 1"#,
        r#"http_request_duration_seconds_count{method="POST",route="/api/v1/orders",status="202"} 1"#,
    ] {
        assert!(lines.contains(&line), "{line} in\n{}", answer.text());
    }
    assert!(answer.text().contains("millrace_build_info{version="));
    assert!(!answer.text().contains("no/such"), "paths are not labels");
    for other in ["dead_letters", "dlq", "consumer_lag", "store", "graphql"] {
        assert!(!answer.text().contains(other), "{other} belongs to another role");
    }
}
