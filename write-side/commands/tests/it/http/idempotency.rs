//! `Idempotency-Key`: accepted once, answered again, on the embedded store and on Redis.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use millrace_testkit::redis::RedisServer;
use reqwest::Method;
use rusqlite::Connection;
use serde_json::Value;

use super::{Answer, Api};

const ORDER: &str = r#"{"userId":"u","amount":1}"#;
const ORDERS: &str = "/api/v1/orders";

fn send(api: &Api, key: &str, path: &str, body: &str) -> Answer {
    let headers = [("content-type", &b"application/json"[..]), ("idempotency-key", key.as_bytes())];
    api.send(Method::POST, path, &headers, body)
}

/// A new key, because a Redis may be shared.
fn new_key() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Runs a story on every store that is there.
fn everywhere(story: impl Fn(Api)) {
    story(Api::new());
    if let Some(redis) = RedisServer::any() {
        story(Api::with_keys_in(&redis));
    }
}

#[track_caller]
fn assert_same(first: &Answer, second: &Answer) {
    assert_eq!((first.status, first.text()), (second.status, second.text()));
    for header in ["consistency-token", "x-correlation-id", "content-type"] {
        assert_eq!(first.header(header), second.header(header));
    }
    assert!(first.headers.get("idempotency-replayed").is_none());
    assert_eq!(second.header("idempotency-replayed"), "true");
}

#[test]
fn the_same_command_is_accepted_once_and_answered_the_same() {
    everywhere(|api| {
        let key = new_key();
        let first = send(&api, &key, ORDERS, ORDER);
        let placed = first.accepted();
        assert_same(&first, &send(&api, &key, ORDERS, ORDER));
        assert_eq!(api.records(), 1);
        let stored = api.record(super::position(&placed));
        assert_eq!(stored.decode().event_id.as_str(), placed["eventId"]);
        let batch = format!("[{ORDER},{ORDER}]");
        let first = send(&api, &new_key(), "/api/v1/orders/batch", &batch);
        let results = first.accepted()["results"].clone();
        assert_ne!(results[0]["orderId"], results[1]["orderId"], "two orders, not one");
        assert_eq!(api.records(), 3);
        send(&api, &new_key(), ORDERS, ORDER).accepted();
        assert_eq!(api.records(), 4, "another key is another command");
    });
}

#[test]
fn a_key_belongs_to_one_command() {
    everywhere(|api| {
        let key = new_key();
        send(&api, &key, ORDERS, ORDER).accepted();
        let other = send(&api, &key, ORDERS, r#"{"userId":"u","amount":2}"#);
        other.problem(422, "idempotency-key-reused");
        send(&api, &key, "/api/v1/users", ORDER).problem(422, "idempotency-key-reused");
        assert_eq!(api.records(), 1);
    });
}

#[test]
fn a_command_that_was_refused_leaves_its_key_free() {
    everywhere(|api| {
        let key = new_key();
        send(&api, &key, ORDERS, r#"{"userId":"u"}"#).problem(422, "invalid-value");
        send(&api, &key, ORDERS, "{").problem(400, "malformed");
        send(&api, &key, ORDERS, ORDER).accepted();
    });
}

#[test]
fn a_command_that_failed_is_the_same_event_when_it_is_tried_again() {
    everywhere(|api| {
        let (key, body) = (new_key(), r#"{"sku":"s","delta":5}"#);
        api.file.fill_disk();
        send(&api, &key, "/api/v1/inventory-adjustments", body).problem(503, "unavailable");
        let other = send(&api, &key, "/api/v1/inventory-adjustments", r#"{"sku":"s","delta":6}"#);
        other.problem(422, "idempotency-key-reused");
        api.file.free_disk();
        send(&api, &key, "/api/v1/inventory-adjustments", body).accepted();
        assert_eq!(api.records(), 1);
    });
}

#[test]
fn a_crash_between_append_and_answer_counts_once() {
    let api = Api::new();
    let (key, body) = (new_key(), r#"{"sku":"s","delta":5}"#);
    let first = send(&api, &key, "/api/v1/inventory-adjustments", body).accepted();
    // The event is in the log. The process died before it stored the answer, and its lease has ended.
    let keys = Connection::open(api.dir.path().join("idempotency.db")).unwrap();
    keys.execute("UPDATE idempotency_keys SET answer = NULL", []).unwrap();
    send(&api, &key, "/api/v1/inventory-adjustments", body).problem(409, "in-flight");
    keys.execute("UPDATE idempotency_keys SET leased_until = 0", []).unwrap();
    let second = send(&api, &key, "/api/v1/inventory-adjustments", body).accepted();
    assert_eq!(first["eventId"], second["eventId"]);
    assert_eq!(api.records(), 2);
    let payloads = [&first, &second].map(|answer| api.record(super::position(answer)).decode());
    assert_eq!(payloads[0].occurred_at, payloads[1].occurred_at);
    assert_eq!(payloads[0].event, payloads[1].event, "one event, which the inbox counts once");
}

#[test]
fn a_command_under_way_is_not_begun_twice() {
    everywhere(|api| {
        let key = new_key();
        let requests = (0..20).map(|_| {
            let url = format!("http://{}{ORDERS}", api.address);
            let request = api.client.client.post(url).header("content-type", "application/json");
            api.runtime.spawn(request.header("idempotency-key", &key).body(ORDER).send())
        });
        let requests: Vec<_> = requests.collect();
        let mut answers: Vec<(u16, Option<Value>)> = Vec::new();
        for request in requests {
            let response = api.runtime.block_on(request).unwrap().unwrap();
            let status = response.status().as_u16();
            if status == 409 {
                assert_eq!(response.headers()["retry-after"], "1");
            }
            let body = api.runtime.block_on(response.bytes()).unwrap();
            answers.push((status, (status == 202).then(|| serde_json::from_slice(&body).unwrap())));
        }
        assert_eq!(api.records(), 1);
        assert!(answers.iter().all(|(status, _)| [202, 409].contains(status)), "{answers:?}");
        let accepted: Vec<_> = answers.iter().filter_map(|(_, body)| body.as_ref()).collect();
        assert!(!accepted.is_empty() && accepted.iter().all(|body| *body == accepted[0]));
    });
}

#[test]
fn keys_are_checked_and_forgotten_after_a_day() {
    let api = Api::new();
    for key in ["", "a b", &"x".repeat(256)] {
        send(&api, key, ORDERS, ORDER).problem(400, "malformed");
    }
    let twice =
        [("content-type", &b"application/json"[..]), ("idempotency-key", b"a"), ("idempotency-key", b"b")];
    api.send(Method::POST, ORDERS, &twice, ORDER).problem(400, "malformed");
    let key = "x".repeat(255);
    send(&api, &key, ORDERS, ORDER).accepted();
    let keys = Connection::open(api.dir.path().join("idempotency.db")).unwrap();
    keys.execute("UPDATE idempotency_keys SET expires_at = 0", []).unwrap();
    send(&api, "another", ORDERS, ORDER).accepted();
    let left: i64 = keys.query_row("SELECT COUNT(*) FROM idempotency_keys", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
    send(&api, &key, ORDERS, r#"{"userId":"u","amount":2}"#).accepted();
    assert_eq!(api.records(), 3);
}

#[test]
fn without_its_store_a_key_promises_nothing() {
    let Some(mut redis) = RedisServer::start(&[]) else { return };
    let api = Api::with_keys_in(&redis);
    let key = new_key();
    send(&api, &key, ORDERS, ORDER).accepted();
    redis.stop();
    let answer = send(&api, &key, ORDERS, ORDER);
    answer.problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    api.post(ORDERS, ORDER).accepted();
    assert_eq!(api.records(), 2);
    redis.restart();
    send(&api, &new_key(), ORDERS, ORDER).accepted();
}

#[test]
fn a_store_that_is_silent_is_waited_for_by_all_together() {
    // It accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = Api::with_keys_at(&format!("redis://{}/0", silent.local_addr().unwrap()));
    let (note, taken) = mpsc::channel::<TcpStream>();
    std::thread::spawn(move || silent.incoming().map_while(Result::ok).try_for_each(|wire| note.send(wire)));
    let requests = (0..20).map(|_| {
        let request = api.client.client.post(format!("http://{}{ORDERS}", api.address)).body(ORDER);
        let request = request.header("content-type", "application/json").header("idempotency-key", new_key());
        api.runtime.spawn(request.send())
    });
    for request in requests.collect::<Vec<_>>() {
        assert_eq!(api.runtime.block_on(request).unwrap().unwrap().status(), 503);
    }
    let connections = taken.try_iter().count();
    assert!((1..10).contains(&connections), "one after the other they would have been 20, not {connections}");
    assert_eq!(api.records(), 0);
}
