//! The dead letters over HTTP: listed, counted, sent through the log again.

use millrace_testkit::http::position;
use serde_json::{Value, json};

use super::{Answer, Api};

const POISON: &str = include_str!("../../../../../examples/events/poison.ndjson");
const REPLAY: &str = "/api/v1/replay";

fn poisoned() -> Api {
    let mut api = Api::new();
    api.append(POISON);
    api.project();
    api
}

#[track_caller]
fn ok(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn messages(api: &Api, query: &str) -> Vec<Value> {
    let body = ok(&api.get(&format!("/api/v1/dlq/messages{query}")));
    body["messages"].as_array().unwrap().clone()
}

fn ids(letters: &[Value]) -> Vec<&str> {
    letters.iter().map(|letter| letter["id"].as_str().unwrap()).collect()
}

#[test]
fn letters_are_listed_whole_and_by_the_page() {
    let api = poisoned();
    let all = messages(&api, "");
    assert_eq!(all.len(), 7);
    let unknown = all.iter().find(|letter| letter["reason"] == "unknown-type").unwrap();
    assert_eq!(unknown["eventId"], "test-456");
    assert_eq!(unknown["eventType"], "UnknownEvent");
    assert_eq!(unknown["payload"], POISON.lines().nth(2).unwrap());
    assert_eq!(unknown["payloadEncoding"], "utf-8");
    assert_eq!((&unknown["topic"], &unknown["attempts"]), (&json!("events"), &json!(1)));
    for field in ["error", "causes", "headers", "partition", "offset", "appendedAt", "deadAt", "key"] {
        assert!(unknown.get(field).is_some(), "{field}");
    }
    let pages =
        [messages(&api, "?limit=3"), messages(&api, "?limit=3&offset=3"), messages(&api, "?offset=6")];
    assert_eq!(pages.concat(), all, "pages meet without gap or overlap");
    assert_eq!(messages(&api, "?offset=7").len(), 0);
}

#[test]
fn letters_are_counted() {
    let api = poisoned();
    let stats = ok(&api.get("/api/v1/dlq/stats"));
    assert_eq!(stats["total"], 7);
    let groups = stats["groups"].as_array().unwrap();
    let total: u64 = groups.iter().map(|group| group["count"].as_u64().unwrap()).sum();
    assert_eq!(total, 7);
    let unknown = groups.iter().find(|group| group["reason"] == "unknown-type").unwrap();
    assert_eq!((&unknown["eventType"], &unknown["count"]), (&json!("UnknownEvent"), &json!(1)));
    assert!(stats["oldest"].as_str().unwrap() <= stats["newest"].as_str().unwrap());
    let none = ok(&Api::new().get("/api/v1/dlq/stats"));
    assert_eq!((&none["total"], &none["oldest"], &none["groups"]), (&json!(0), &Value::Null, &json!([])));
    assert_eq!(stats["byReason"]["unknown-type"], 1);
    assert_eq!(stats["byType"]["UnknownEvent"], 1);
}

#[test]
fn a_page_has_bounds() {
    let api = Api::new();
    for query in [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "offset=-1",
        "limit=99999999999",
        "page=2",
        "from=yesterday",
    ] {
        api.get(&format!("/api/v1/dlq/messages?{query}")).problem(422, "invalid-value");
    }
}

#[test]
fn replaying_by_id_sends_the_letter_through_the_log_again() {
    let mut api = poisoned();
    let before = messages(&api, "");
    let chosen = ids(&before)[2];
    assert_eq!(api.open(), 7);
    let answer = ok(&api.post(REPLAY, json!({ "ids": [chosen] }).to_string()));
    assert_eq!((&answer["dryRun"], &answer["count"]), (&json!(false), &json!(1)));
    let redriven = &answer["redriven"][0];
    assert_eq!(redriven["id"], chosen);
    let stored = api.file.record(position(redriven));
    assert_eq!(before[2]["payload"], std::str::from_utf8(&stored.payload).unwrap());
    assert_eq!(stored.header("redrive-count"), Some("1"));
    assert_eq!(api.open(), 6);
    assert!(!ids(&messages(&api, "")).contains(&chosen), "it is closed");
    api.project();
    let again = messages(&api, "");
    assert_eq!(again.len(), 7, "what is broken still comes back");
    let back = again.iter().find(|letter| letter["id"] == redriven["position"]).unwrap();
    assert_eq!(back["attempts"], 2);
}

#[test]
fn replaying_by_event_id_dry_and_bounded() {
    let api = poisoned();
    let body = json!({ "event_ids": ["test-123", "test-456", "test-789"], "dry_run": true });
    let dry = ok(&api.post(REPLAY, body.to_string()));
    assert_eq!((&dry["dryRun"], &dry["count"]), (&json!(true), &json!(3)));
    assert_eq!(api.records(), 7, "a dry run appends nothing");
    assert_eq!(messages(&api, "").len(), 7);
    let body = json!({ "event_ids": ["test-123", "test-456", "test-789"], "max_messages": 2 });
    let two = ok(&api.post(REPLAY, body.to_string()));
    assert_eq!((&two["dryRun"], &two["count"]), (&json!(false), &json!(2)));
    assert_eq!((api.records(), messages(&api, "").len()), (9, 5));
    let unknown = ok(&api.post(REPLAY, r#"{"event_ids":["unknown"]}"#));
    assert_eq!((&unknown["count"], &unknown["redriven"]), (&json!(0), &json!([])));
    let none = ok(&api.post(REPLAY, r#"{"event_ids":["test-789"],"max_messages":0}"#));
    assert_eq!(none["count"], 0);
}

#[test]
fn replays_that_name_nothing_are_refused() {
    let api = poisoned();
    for (body, status, kind) in [
        ("", 400, "malformed"),
        ("[", 400, "malformed"),
        ("{}", 422, "invalid-value"),
        (r#"{"ids":[]}"#, 422, "invalid-value"),
        (r#"{"ids":["3"]}"#, 422, "invalid-value"),
        (r#"{"ids":["-1:0"]}"#, 422, "invalid-value"),
        (r#"{"ids":["0:999999"]}"#, 404, "not-found"),
    ] {
        let problem = api.post(REPLAY, body).problem(status, kind);
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
    assert_eq!((api.records(), messages(&api, "").len()), (7, 7));
    let letters = messages(&api, "");
    let chosen = ids(&letters)[0];
    let body = json!({ "ids": [chosen, "0:999999"] }).to_string();
    api.post(REPLAY, body).problem(404, "not-found");
    assert_eq!(api.records(), 7, "all or nothing, as far as typing mistakes go");
}

#[test]
fn a_letter_named_twice_is_sent_once() {
    let api = poisoned();
    let letters = messages(&api, "");
    let unknown = letters.iter().find(|letter| letter["eventId"] == "test-456").unwrap();
    let body = json!({ "ids": [unknown["id"], unknown["id"]], "event_ids": ["test-456"] });
    assert_eq!(ok(&api.post(REPLAY, body.to_string()))["count"], 1);
    assert_eq!(api.records(), 8);
    assert_eq!(api.open(), 6);
}

#[test]
fn a_page_of_another_site_cannot_replay() {
    let api = poisoned();
    let letters = messages(&api, "");
    let body = json!({ "ids": [ids(&letters)[0]] }).to_string();
    api.post_as("text/plain", REPLAY, body).problem(415, "unsupported-media-type");
    assert_eq!(api.records(), 7);
    api.post(REPLAY, r#"{"ids":"3:1"}"#).problem(422, "invalid-value");
}

#[test]
fn an_unavailable_log_leaves_the_letters_open() {
    let api = poisoned();
    api.file.fill_disk();
    let letters = messages(&api, "");
    let body = json!({ "ids": ids(&letters) }).to_string();
    let problem = api.post(REPLAY, body).problem(503, "unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("0 letters were redriven"), "{problem}");
    assert_eq!(messages(&api, "").len(), 7);
}

#[test]
fn letters_are_found_by_what_they_have_in_common() {
    let api = poisoned();
    let all = messages(&api, "");
    let died = all.iter().map(|letter| letter["deadAt"].as_str().unwrap()).collect::<Vec<_>>();
    let found = |query: &str| {
        let body = ok(&api.get(&format!("/api/v1/dlq/messages?{query}")));
        assert_eq!(body["total"], body["messages"].as_array().unwrap().len());
        ids(body["messages"].as_array().unwrap()).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(found("reason=unknown-type").len(), 1);
    assert_eq!(found("type=UnknownEvent"), found("event_id=test-456"));
    assert_eq!(found("type=&reason=unknown-type").len(), 0);
    assert_eq!(found(&format!("to={}", died[2])), ids(&all[3..]));
    assert_eq!(found(&format!("from={}&to={}", died[4], died[2])), ids(&all[3..5]));
    let page = ok(&api.get("/api/v1/dlq/messages?limit=5"));
    assert_eq!((&page["total"], &page["nextOffset"]), (&json!(7), &json!(5)));
    let last = ok(&api.get("/api/v1/dlq/messages?limit=5&offset=5"));
    assert_eq!(last["nextOffset"], Value::Null);
}

#[test]
fn one_letter_is_shown() {
    let api = poisoned();
    let all = messages(&api, "");
    let id = ids(&all)[0];
    assert_eq!(ok(&api.get(&format!("/api/v1/dlq/messages/{id}"))), all[0]);
    api.get("/api/v1/dlq/messages/0:999").problem(404, "not-found");
    api.get("/api/v1/dlq/messages/x").problem(422, "invalid-value");
}

#[test]
fn one_letter_is_discarded() {
    let api = poisoned();
    let all = messages(&api, "");
    let discard =
        |id: &str| api.send(reqwest::Method::DELETE, &format!("/api/v1/dlq/messages/{id}"), &[], "");
    assert_eq!(ok(&discard(ids(&all)[3])), json!({ "discarded": 1 }));
    let left = messages(&api, "");
    assert_eq!((left.len(), api.open()), (6, 6));
    assert!(!ids(&left).contains(&ids(&all)[3]));
    discard(ids(&all)[3]).problem(404, "not-found");
    discard("x").problem(422, "invalid-value");
}

#[test]
fn replaying_by_filter_leaves_the_others_and_those_that_come_back() {
    let mut api = poisoned();
    let body = json!({ "filter": { "reason": "unknown-type" }, "dry_run": true });
    let dry = ok(&api.post(REPLAY, body.to_string()));
    assert_eq!((&dry["count"], &dry["remaining"], api.records()), (&json!(1), &json!(1), 7));
    let sent = ok(&api.post(REPLAY, json!({ "filter": { "reason": "unknown-type" } }).to_string()));
    assert_eq!((&sent["count"], &sent["remaining"], api.records()), (&json!(1), &json!(0), 8));
    api.project();
    let three = ok(&api.post(REPLAY, r#"{"filter":{},"max_messages":3}"#));
    assert_eq!((&three["count"], &three["remaining"]), (&json!(3), &json!(4)));
    api.project();
    let rest = ok(&api.post(REPLAY, r#"{"filter":{}}"#));
    assert_eq!((&rest["count"], api.records()), (&json!(7), 18));
    api.project();
    let back = messages(&api, "?limit=1000");
    assert_eq!(back.len(), 7);
    let unknown = back.iter().find(|letter| letter["reason"] == "unknown-type").unwrap();
    let earlier = unknown["history"].as_array().unwrap();
    assert_eq!(unknown["attempts"], earlier.len() + 1);
    assert!(earlier.iter().all(|attempt| attempt["reason"] == "unknown-type"), "{unknown}");
    api.post(REPLAY, r#"{"filter":{},"ids":["0:1"]}"#).problem(422, "invalid-value");
    api.post(REPLAY, r#"{"filter":{},"max_messages":10001}"#).problem(422, "invalid-value");
}

#[test]
fn replaying_by_time() {
    let api = poisoned();
    let all = messages(&api, "");
    let body = |dry_run| {
        json!({ "start_time": all[4]["deadAt"], "end_time": all[2]["deadAt"], "dry_run": dry_run })
            .to_string()
    };
    let batch = "/api/v1/replay/batch";
    assert_eq!(ok(&api.post(batch, body(true)))["count"], 2);
    let sent = ok(&api.post(batch, body(false)));
    assert_eq!(ids(sent["redriven"].as_array().unwrap()), ids(&all[3..5]));
    api.post(batch, r#"{"start_time":"2026-01-01T00:00:00Z"}"#).problem(422, "invalid-value");
    let reversed = r#"{"start_time":"2026-01-02T00:00:00Z","end_time":"2026-01-01T00:00:00Z"}"#;
    api.post(batch, reversed).problem(422, "invalid-value");
}

#[test]
fn clearing_must_be_confirmed() {
    let api = poisoned();
    let clear =
        |query: &str| api.send(reqwest::Method::DELETE, &format!("/api/v1/dlq/clear{query}"), &[], "");
    clear("").problem(422, "invalid-value");
    clear("?confirm=false").problem(422, "invalid-value");
    clear("?confirm=maybe").problem(422, "invalid-value");
    assert_eq!(messages(&api, "").len(), 7);
    assert_eq!(ok(&clear("?confirm=true")), json!({ "discarded": 7 }));
    assert_eq!((messages(&api, "").len(), api.open()), (0, 0));
}
