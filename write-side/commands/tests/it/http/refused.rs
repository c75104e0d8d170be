//! Refused commands: a 4xx problem with the reason, and nothing in the log.

use reqwest::Method;
use serde_json::Value;

use super::{Answer, Api, JSON};

const MIB: usize = 1024 * 1024;

/// A body that is refused, and how: status, kind of problem, a part of its detail.
type Case = (&'static str, String, u16, &'static str, &'static str);

fn case(path: &'static str, body: &str, status: u16, kind: &'static str, detail: &'static str) -> Case {
    (path, body.to_owned(), status, kind, detail)
}

#[track_caller]
fn assert_detail(answer: &Answer, status: u16, kind: &str, detail: &str) {
    let problem = answer.problem(status, kind);
    let text = problem["detail"].as_str().unwrap_or_default();
    assert!(!text.is_empty() && text.contains(detail), "{detail:?} in {problem}");
}

fn assert_refused(cases: impl IntoIterator<Item = Case>) {
    let api = Api::new();
    for (path, body, status, kind, detail) in cases {
        let shown = format!("{path} {body:.80}");
        let answer = api.post(path, body);
        assert_eq!(answer.status, status, "{shown}: {}", answer.text());
        assert_detail(&answer, status, kind, detail);
    }
    assert_eq!(api.records(), 0, "nothing that was refused is in the log");
}

#[test]
fn what_is_no_json() {
    let deep = format!(r#"{{"userId":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    let mut cases = Vec::new();
    for path in [
        "/order",
        "/api/v1/users",
        "/api/v1/orders",
        "/api/v1/payments",
        "/api/v1/inventory-adjustments",
        "/api/v1/events",
        "/api/v1/orders/batch",
    ] {
        cases.push(case(path, r#"{"userId": }"#, 400, "malformed", ""));
        cases.push(case(path, r#"{"userId":"u""#, 400, "malformed", ""));
        cases.push(case(path, "plain text", 400, "malformed", ""));
        cases.push(case(path, r#"{"amount":NaN}"#, 400, "malformed", ""));
        cases.push(case(path, "", 400, "malformed", "empty"));
        cases.push(case(path, &deep, 400, "malformed", "nested"));
        cases.push(case(path, "null", 422, "invalid-value", ""));
        cases.push(case(path, "{}", 422, "invalid-value", ""));
    }
    assert_refused(cases);
}

#[test]
fn what_is_no_utf8() {
    let api = Api::new();
    for path in ["/order", "/api/v1/users", "/api/v1/orders", "/api/v1/events", "/api/v1/orders/batch"] {
        for body in [&b"\xff\xfe"[..], b"{\"userId\":\"\xc3\x28\"}"] {
            assert_detail(&api.post(path, body), 400, "malformed", "");
        }
    }
    assert_eq!(api.records(), 0);
}

#[test]
fn amounts_that_could_not_be_kept_exactly() {
    let amounts = [
        ("1e400", "larger than 922337203685477.5807"),
        ("922337203685477.5808", "larger than 922337203685477.5807"),
        ("-0.01", "must not be negative"),
        ("0.00001", "never rounded"),
        ("0.30000000000000004", "never rounded"),
        ("\"12\"", "must be a number"),
        ("null", "amount is missing"),
        ("[1]", "must be a number"),
    ];
    assert_refused(amounts.iter().flat_map(|(amount, detail)| {
        let order = format!(r#"{{"userId":"u","amount":{amount}}}"#);
        let payment = format!(r#"{{"orderId":"o","status":"SETTLED","amount":{amount}}}"#);
        [
            ("/api/v1/orders", order, 422, "invalid-value", *detail),
            ("/api/v1/payments", payment, 422, "invalid-value", *detail),
        ]
    }));
    assert_refused([
        case(
            "/api/v1/orders",
            r#"{"customer_id":"u","product_id":"p","quantity":1000000000,"price":922337203685477.5807}"#,
            422,
            "invalid-value",
            "times the quantity",
        ),
        case(
            "/order",
            r#"{"id":"o","user_id":"u","total":1e400,"timestamp":"2026-10-06T17:00:00Z"}"#,
            422,
            "invalid-value",
            "the field total",
        ),
    ]);
}

#[test]
fn ids_that_no_column_holds() {
    let long = "x".repeat(65);
    let ids = [
        (r#""""#.to_owned(), "is missing"),
        (format!("\"{long}\""), "has 65 characters; at most 64"),
        (r#""a b""#.to_owned(), "contains ' '"),
        (r#""a\u0000""#.to_owned(), "contains"),
        (r#""é""#.to_owned(), "contains"),
        ("7".to_owned(), "wrong type"),
    ];
    assert_refused(ids.iter().flat_map(|(id, detail)| {
        [
            ("/api/v1/users", format!(r#"{{"userId":{id},"email":"a@b","name":"A"}}"#)),
            ("/api/v1/orders", format!(r#"{{"orderId":{id},"userId":"u","amount":1}}"#)),
            ("/api/v1/orders", format!(r#"{{"userId":{id},"amount":1}}"#)),
            ("/api/v1/payments", format!(r#"{{"orderId":{id},"amount":1,"status":"SETTLED"}}"#)),
            ("/api/v1/inventory-adjustments", format!(r#"{{"sku":{id},"delta":1}}"#)),
            (
                "/order",
                format!(r#"{{"id":{id},"user_id":"u","total":1,"timestamp":"2026-10-06T17:00:00Z"}}"#),
            ),
        ]
        .map(|(path, body)| (path, body, 422, "invalid-value", *detail))
    }));
}

#[test]
fn values_that_cannot_be() {
    let invalid = |path, body: &str, detail| case(path, body, 422, "invalid-value", detail);
    let many = vec![r#"{"sku":"s","quantity":1,"unitPrice":1}"#; 501].join(",");
    assert_refused([
        invalid("/api/v1/users", r#"{"email":"invalid","name":"A"}"#, "e-mail address"),
        invalid("/api/v1/users", r#"{"email":"a@b","name":" "}"#, "the field name must not be empty"),
        invalid("/api/v1/orders", r#"{"userId":"u","amount":1,"currency":"usd"}"#, "currency"),
        invalid("/api/v1/orders", r#"{"userId":"u","userId":"v","amount":1}"#, "appears twice"),
        invalid("/api/v1/orders", r#"{"userId":"u","amount":1,"placedAt":"today"}"#, "placedAt"),
        invalid("/api/v1/orders", &format!(r#"{{"userId":"u","amount":1,"items":[{many}]}}"#), "501 entries"),
        invalid("/api/v1/payments", r#"{"orderId":"o","amount":1,"status":"paid"}"#, "the field status"),
        invalid("/api/v1/inventory-adjustments", r#"{"sku":"s","delta":1000000001}"#, "must be between"),
        invalid("/api/v1/inventory-adjustments", r#"{"sku":"s","delta":1.5}"#, "wrong type"),
        invalid("/order", r#"{"id":"o","user_id":"u","total":1,"timestamp":"soon"}"#, "timestamp"),
        invalid("/api/v1/orders/batch", r#"{"orders":[]}"#, "has 0 entries; 1 to 1000"),
        invalid("/api/v1/orders/batch", &format!("[{}]", vec!["{}"; 1_001].join(",")), "has 1001 entries"),
        invalid("/api/v1/orders/batch", r#"{"orders":[{}, {}]}"#, "is missing"),
        invalid("/api/v1/orders/batch", r#"{"items":[]}"#, "the field orders is missing"),
    ]);
}

#[test]
fn events_that_are_none() {
    let cloud_event = |version: &str, kind: &str, schema: &str| {
        format!(
            r#"{{"specversion":"{version}","id":"e","type":"{kind}","time":"2026-11-21T07:00:00Z","dataschema":"{schema}","data":{{"sku":"s","delta":1}}}}"#
        )
    };
    let kind = "InventoryAdjusted";
    let schema = "/schemas/InventoryAdjusted/1";
    let poison = include_str!("../../../../../examples/events/poison.ndjson");
    let (malformed, whole): (Vec<_>, Vec<_>) =
        poison.lines().partition(|line| serde_json::from_str::<Value>(line).is_err());
    let path = "/api/v1/events";
    let mut cases = vec![
        (path, cloud_event("1.0", "SkuCounted", schema), 422, "invalid-value", "unknown event type"),
        (path, cloud_event("2.0", kind, schema), 422, "invalid-value", "version"),
        (path, cloud_event("1.0", kind, "/schemas/InventoryAdjusted/2"), 422, "invalid-value", "version"),
        (path, r#"{"a":1}"#.to_owned(), 422, "invalid-value", "unrecognised shape"),
    ];
    assert_eq!((malformed.len(), whole.len()), (2, 5));
    cases.extend(malformed.iter().map(|line| case(path, line, 400, "malformed", "")));
    cases.extend(whole.iter().map(|line| case(path, line, 422, "invalid-value", "")));
    assert_refused(cases);
}

#[test]
fn methods_routes_and_types_that_are_not_here() {
    let api = Api::new();
    for path in ["/order", "/api/v1/users", "/api/v1/orders/batch", "/api/v1/events"] {
        for method in [Method::GET, Method::DELETE, Method::PUT] {
            let answer = api.send(method, path, &[], "");
            answer.problem(405, "method-not-allowed");
            assert_eq!(answer.header("allow"), "POST");
        }
    }
    for path in ["/orders", "/api/v1/orders/", "/api/v2/orders", "/api/v1/users/user-1"] {
        assert_detail(&api.post(path, "{}"), 404, "not-found", "route not found");
    }
    let order = r#"{"userId":"u","amount":1}"#;
    for path in ["/order", "/api/v1/orders", "/api/v1/orders/batch", "/api/v1/events"] {
        for content_type in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
        {
            let answer = api.post_as(content_type, path, order);
            assert_detail(&answer, 415, "unsupported-media-type", JSON);
        }
        let answer = api.send(Method::POST, path, &[], order);
        assert_detail(&answer, 415, "unsupported-media-type", JSON);
    }
    assert_eq!(api.records(), 0);
}

#[test]
fn correlation_ids_that_cannot_travel() {
    let api = Api::new();
    let long = "x".repeat(129);
    for id in [long.as_bytes(), b"  ", b"caf\xc3\xa9"] {
        let headers = [("content-type", JSON.as_bytes()), ("x-correlation-id", id)];
        let answer = api.send(Method::POST, "/api/v1/orders", &headers, r#"{"userId":"u","amount":1}"#);
        assert_detail(&answer, 400, "malformed", "X-Correlation-ID");
    }
    assert_eq!(api.records(), 0);
}

/// The head of a raw answer, and its body.
fn split(answer: &str) -> (&str, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head, serde_json::from_str(body).unwrap())
}

#[test]
fn a_body_that_says_it_is_too_long_is_not_read() {
    let api = Api::new();
    let routes = [
        ("/order", MIB),
        ("/api/v1/orders", MIB),
        ("/api/v1/events", MIB),
        ("/api/v1/orders/batch", 8 * MIB),
    ];
    for (path, limit) in routes {
        // The body is never sent, so an answer can only come from a server that does not wait for it.
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 10485760\r\n\r\n"
        );
        let answer = api.raw(request.as_bytes());
        let (head, problem) = split(&answer);
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 413 "), "{head}");
        assert!(head.contains("connection: close"), "{head}");
        assert!(head.contains("content-type: application/problem+json"), "{head}");
        assert_eq!(problem["type"], "/problems/too-large");
        assert_eq!(problem["detail"], format!("the limit is {limit} bytes"));
    }
}

#[test]
fn a_body_that_does_not_say_how_long_it_is_is_read_up_to_the_limit() {
    let api = Api::new();
    let head = "POST /api/v1/orders HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut request = format!("{head}{:x}\r\n", MIB + 1).into_bytes();
    request.resize(request.len() + MIB + 1, b' ');
    let answer = api.raw(&request);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(split(&answer).1["type"], "/problems/too-large");
    assert_eq!(api.records(), 0);
}

#[test]
fn a_body_that_breaks_off_is_no_command() {
    let api = Api::new();
    let whole = r#"{"userId":"u","amount":1}"#;
    let head = "POST /api/v1/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n";
    let stream = std::net::TcpStream::connect(api.address).unwrap();
    std::io::Write::write_all(&mut &stream, format!("{head}{whole}").as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    // Whether the server still answers is its own affair; that it appends nothing is ours.
    let _cut = std::io::Read::read_to_string(&mut &stream, &mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(api.records(), 0);
}

#[test]
fn ids_in_the_older_words_are_parsed_as_well() {
    let order = |id: &str| format!(r#"{{"customer_id":"u","product_id":"p","quantity":1,"price":1{id}}}"#);
    assert_refused([
        case("/api/v1/orders", &order(r#","id":"""#), 422, "invalid-value", "id"),
        case("/api/v1/orders", &order(r#","orderId":"a b""#), 422, "invalid-value", "id"),
        case(
            "/api/v1/payments",
            r#"{"orderId":"o","amount":1,"status":"PENDING"}"#,
            422,
            "invalid-value",
            "status",
        ),
        case("/api/v1/orders/batch", r#"[{"userId":"u"}]"#, 422, "invalid-value", "orders[0]"),
    ]);
    let api = Api::new();
    let named = api.post("/api/v1/orders", order(r#","orderId":"order-7""#)).accepted();
    assert_eq!(named["orderId"], "order-7");
}
