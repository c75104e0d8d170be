//! Snapshots of the answers of the admin port: a change of an answer is a change of a file that a reviewer sees.

use millrace_platform::metrics::{MetricsRegistry, StoreMetrics};
use millrace_projector::metrics::{MirrorMetrics, ProjectorMetrics};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Answer, Api};

const POISON: &str = include_str!("../../../../../examples/events/poison.ndjson");

/// An answer with its status, without the times in it.
fn shown(answer: &Answer) -> Value {
    let mut body = answer.json();
    hide_times(&mut body);
    json!({ "status": answer.status, "body": body })
}

fn hide_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let is_time = ["appendedAt", "deadAt", "oldest", "newest", "since", "openUntil"]
                    .contains(&name.as_str());
                if is_time && field.is_string() {
                    *field = "[time]".into();
                }
                hide_times(field);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_times),
        _ => {}
    }
}

#[test]
fn reviews() {
    let mut api = Api::new();
    api.append(POISON);
    api.project();
    let letters = api.get("/api/v1/dlq/messages?event_id=test-456").json();
    let id = letters["messages"][0]["id"].as_str().unwrap().to_owned();
    let mut answers = Map::new();
    let mut show = |name: &str, answer: &Answer| answers.insert(name.to_owned(), shown(answer));
    show("list, one letter", &api.get("/api/v1/dlq/messages?limit=1&reason=unknown-type"));
    show("stats", &api.get("/api/v1/dlq/stats"));
    show("dry run", &api.post("/api/v1/replay", json!({ "ids": [id], "dry_run": true }).to_string()));
    show("replay", &api.post("/api/v1/replay", json!({ "ids": [id] }).to_string()));
    let batch = json!({ "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-02T00:00:00Z" });
    show("replay of a range of time", &api.post("/api/v1/replay/batch", batch.to_string()));
    show("clear", &api.send(Method::DELETE, "/api/v1/dlq/clear?confirm=true", &[], ""));
    show("circuit breaker", &api.get("/api/v1/circuit-breaker/status"));
    insta::assert_json_snapshot!(answers);
}

#[test]
fn problems() {
    let api = Api::new();
    let mut answers = Map::new();
    let mut show = |name: &str, answer: &Answer| answers.insert(name.to_owned(), shown(answer));
    show("not ready", &api.get("/ready"));
    show("unknown letter", &api.get("/api/v1/dlq/messages/0:0"));
    show("invalid id", &api.get("/api/v1/dlq/messages/x"));
    show("invalid limit", &api.get("/api/v1/dlq/messages?limit=0"));
    show("unknown parameter", &api.get("/api/v1/dlq/messages?page=2"));
    show("unconfirmed", &api.send(Method::DELETE, "/api/v1/dlq/clear", &[], ""));
    show("another content type", &api.post_as("text/plain", "/api/v1/replay", "{}"));
    show("nothing chosen", &api.post("/api/v1/replay", "{}"));
    show("forwarded", &api.send(Method::GET, "/api/v1/dlq/stats", &[("x-forwarded-for", b"192.0.2.1")], ""));
    show("no token", &Api::guarded_by("a-token-of-some-length").get("/api/v1/dlq/stats"));
    insta::assert_json_snapshot!(answers);
}

#[test]
fn metric_names() {
    let registry = MetricsRegistry::new();
    ProjectorMetrics::register(&registry, StoreMetrics::register(&registry));
    MirrorMetrics::register(&registry);
    insta::assert_snapshot!(registry.names().join("\n"));
}
