//! Operating the projector: is it ready, what has it counted, and its circuit breaker.

use rusqlite::Connection;

use super::Api;

const ORDER: &str = r#"{"id":"o","user_id":"u","total":1,"timestamp":"2026-10-06T17:00:00Z"}"#;

#[test]
fn ready_gives_the_reason_why_it_is_not() {
    let mut api = Api::new();
    let answer = api.get("/ready");
    let problem = answer.problem(503, "unavailable");
    assert_eq!(problem["detail"], "projector starting");
    assert_eq!(answer.header("retry-after"), "1");
    api.project();
    let answer = api.get("/ready");
    assert_eq!((answer.status, answer.text()), (200, r#"{"status":"ready","projector":"running"}"#));
}

#[test]
fn metrics_count_projecting_and_nothing_else() {
    let mut api = Api::new();
    api.append(&format!("{ORDER}\nno event"));
    api.project();
    let answer = api.get("/metrics");
    let lines: Vec<_> = answer.text().lines().collect();
    for line in [
        r#"millrace_events_processed_total{event_type="OrderPlaced",status="applied"} 1"#,
        r#"events_processed_total{event_type="OrderPlaced",status="applied"} 1"#,
        r#"events_processed_total{event_type="unknown",status="dead_letter"} 1"#,
        "millrace_dead_letters_total 1",
        "dlq_messages_total 1",
        "dlq_entries_total 1",
        "millrace_dead_letters_open 1",
        "dlq_depth 1",
        r#"millrace_store_duration_seconds_count{operation="apply"} 1"#,
        r#"db_latency_seconds_count{operation="apply"} 1"#,
        r#"db_operation_duration_seconds_count{operation="apply"} 1"#,
        "millrace_freshness_seconds_count 2",
        "projection_freshness_seconds_count 2",
        r#"millrace_consumer_lag{partition="0"} 0"#,
        r#"consumer_lag{partition="0"} 0"#,
        "millrace_circuit_breaker_state 0",
        "circuit_breaker_state 0",
    ] {
        assert!(lines.contains(&line), "{line} in\n{}", answer.text());
    }
    for other in ["append_duration", "produce", "graphql", "mirror"] {
        assert!(!answer.text().contains(other), "{other} belongs to another role");
    }
}

#[test]
fn the_circuit_breaker_reports_its_state_and_is_closed_by_hand() {
    let mut api = Api::breaking_after(2);
    let status = || api.get("/api/v1/circuit-breaker/status").json();
    assert_eq!(
        status(),
        serde_json::json!({ "state": "closed", "failures": 0, "since": null, "openUntil": null })
    );
    api.project();
    api.append(ORDER);
    let locked = Connection::open(api.world.read_model()).unwrap();
    locked.execute_batch("BEGIN IMMEDIATE").unwrap();
    while api.get("/api/v1/circuit-breaker/status").json()["state"] == "closed" {
        api.projector.step().unwrap();
    }
    let open = api.get("/api/v1/circuit-breaker/status").json();
    assert_eq!((&open["state"], &open["failures"]), (&"open".into(), &2.into()));
    assert!(open["since"].as_str().unwrap() < open["openUntil"].as_str().unwrap(), "{open}");
    assert!(matches!(api.projector.step().unwrap(), millrace_projector::projector::Step::Waiting(_)));
    locked.execute_batch("ROLLBACK").unwrap();
    let reset = api.post("/api/v1/circuit-breaker/reset", "{}").json();
    assert_eq!((&reset["state"], &reset["failures"]), (&"closed".into(), &0.into()));
    api.project();
    assert_eq!(api.world.count("OrderPlaced", "applied"), 1);
}
