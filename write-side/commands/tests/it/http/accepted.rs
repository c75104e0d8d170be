//! Accepted commands: 202, and the event is in the log at the position in the answer.

use millrace_domain::event::{Event, PaymentStatus};
use millrace_domain::{Amount, Envelope};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Api, JSON, position};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A command, the ids that its answer must name, and what its event must be.
struct Case {
    path: &'static str,
    body: &'static str,
    ids: &'static [(&'static str, &'static str)],
    is_right: fn(&Event) -> bool,
}

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

const CASES: &[Case] = &[
    Case {
        path: "/api/v1/users",
        body: r#"{"userId":"user-1","email":"ada@example.com","name":"Ada Lovelace"}"#,
        ids: &[("userId", "user-1")],
        is_right: |event| {
            matches!(event, Event::UserCreated(user)
                if user.email.as_str() == "ada@example.com" && user.name.as_str() == "Ada Lovelace")
        },
    },
    Case {
        path: "/api/v1/orders",
        body: r#"{"orderId":"order-1","userId":"user-1","amount":922337203685477.5807,"currency":"EUR","items":[{"sku":"a","quantity":3,"unitPrice":0.0001}]}"#,
        ids: &[("orderId", "order-1")],
        is_right: |event| {
            matches!(event, Event::OrderPlaced(order)
                if order.amount == amount("922337203685477.5807")
                    && order.currency.as_str() == "EUR"
                    && order.user_id.as_str() == "user-1"
                    && order.items[0].quantity == 3
                    && order.items[0].unit_price == amount("0.0001"))
        },
    },
    Case {
        path: "/api/v1/orders",
        body: r#"{"id":"order-2","customer_id":"user-1","product_id":"p","quantity":3,"price":0.1}"#,
        ids: &[("orderId", "order-2")],
        is_right: |event| {
            matches!(event, Event::OrderPlaced(order)
                if order.amount == amount("0.3") && order.items[0].sku.as_str() == "p")
        },
    },
    Case {
        path: "/order",
        body: r#"{"id":"order-3","user_id":"user-1","total":149.99,"status":"pending","timestamp":"2026-10-06T17:00:00Z"}"#,
        ids: &[("orderId", "order-3")],
        is_right: |event| {
            matches!(event, Event::OrderPlaced(order)
                if order.amount == amount("149.99")
                    && order.placed_at.to_string() == "2026-10-06T17:00:00Z")
        },
    },
    Case {
        path: "/api/v1/payments",
        body: r#"{"paymentId":"payment-1","orderId":"order-1","amount":1.5,"status":"FAILED","method":"card"}"#,
        ids: &[("orderId", "order-1"), ("paymentId", "payment-1")],
        is_right: |event| {
            matches!(event, Event::PaymentSettled(payment)
                if payment.status == PaymentStatus::Failed && payment.amount == amount("1.5"))
        },
    },
    Case {
        path: "/api/v1/inventory-adjustments",
        body: r#"{"sku":"sku-1","delta":-7,"reason":"sold","reportedQuantity":93}"#,
        ids: &[("sku", "sku-1")],
        is_right: |event| {
            matches!(event, Event::InventoryAdjusted(stock)
                if stock.delta == -7 && stock.reported_quantity == Some(93))
        },
    },
];

fn command(api: &Api, case: &Case) -> Answer {
    let headers = [
        ("content-type", JSON.as_bytes()),
        ("x-correlation-id", b"checkout-7"),
        ("traceparent", TRACE.as_bytes()),
    ];
    api.send(Method::POST, case.path, &headers, case.body)
}

#[test]
fn b17_each_command_is_in_the_log_when_it_is_answered() {
    let api = Api::new();
    for case in CASES {
        let answer = command(&api, case);
        let body = answer.accepted();
        // Nothing waits between the answer and this read: 202 means durable, in a file that anyone can open.
        let stored = api.record(position(&body));
        let envelope = stored.decode();
        assert!((case.is_right)(&envelope.event), "{envelope:?}");
        assert_eq!(body["eventId"], envelope.event_id.as_str());
        assert_eq!(envelope.correlation_id.as_ref().unwrap().as_str(), "checkout-7");
        assert_eq!(stored.key(), envelope.event.partition_key());
        assert_eq!(stored.header("traceparent"), Some(TRACE));
        assert_eq!(stored.header("content-type"), Some("application/cloudevents+json; charset=UTF-8"));
        assert_eq!(answer.token(), [stored.position], "the token is the position");
        assert_eq!(answer.header("x-correlation-id"), "checkout-7");
        assert_ids(&body, case.ids);
    }
    assert_eq!(api.records(), CASES.len());
}

/// The answer is `{eventId, …ids, position}` and nothing else.
fn assert_ids(body: &Value, ids: &[(&str, &str)]) {
    for (name, id) in ids {
        assert_eq!(body[name], *id, "{body}");
    }
    assert_eq!(body.as_object().unwrap().len(), ids.len() + 2, "{body}");
}

#[test]
fn what_is_left_out_is_made() {
    let api = Api::new();
    let cases = [
        ("/api/v1/users", r#"{"email":"a@b","name":"Ada"}"#, "userId"),
        ("/api/v1/orders", r#"{"userId":"u","amount":1}"#, "orderId"),
        ("/api/v1/orders", r#"{"customer_id":"u","product_id":"p","quantity":1,"price":1}"#, "orderId"),
        ("/api/v1/payments", r#"{"orderId":"o","amount":1,"status":"SETTLED"}"#, "paymentId"),
    ];
    for (path, body, id) in cases {
        let answer = api.post(path, body);
        let made = answer.accepted();
        assert_eq!(made[id].as_str().unwrap().len(), 36, "a UUID: {made}");
        let envelope = api.record(position(&made)).decode();
        let correlation_id = envelope.correlation_id.unwrap();
        assert_eq!(answer.header("x-correlation-id"), correlation_id.as_str());
        assert_eq!(correlation_id.as_str().len(), 36);
    }
}

#[test]
fn the_content_type_may_have_parameters_and_any_case() {
    let api = Api::new();
    for content_type in ["application/json; charset=utf-8", "Application/JSON", "application/json;a=b"] {
        api.post_as(content_type, "/api/v1/orders", r#"{"userId":"u","amount":1}"#).accepted();
    }
}

#[test]
fn the_same_bare_order_twice_is_the_same_event() {
    let api = Api::new();
    let body =
        r#"{"id":"o","user_id":"u","total":149.99,"status":"pending","timestamp":"2026-10-06T17:00:00Z"}"#;
    let (first, second) = (api.post("/order", body).accepted(), api.post("/order", body).accepted());
    assert_eq!(first["eventId"], second["eventId"]);
    assert_ne!(first["position"], second["position"], "both are in the log");
    let other = api.post("/order", body.replace("149.99", "150")).accepted();
    assert_ne!(first["eventId"], other["eventId"]);
    let foreign = api.post("/api/v1/events", body).accepted();
    assert_eq!(first["eventId"], foreign["eventId"], "on either route");
    assert!(api.decoded().iter().all(Result::is_ok), "the projector reads them all");
}

#[test]
fn a_batch_keeps_its_order_and_each_order_its_own_result() {
    let api = Api::new();
    let orders = [
        r#"{"orderId":"o-0","userId":"u","amount":1}"#,
        r#"{"orderId":"o-1","userId":"u","amount":-1}"#,
        r#"{"id":"o-2","customer_id":"u","product_id":"p","quantity":2,"price":29.99}"#,
        r#"{"orderId":"o-3","userId":"u"}"#,
        r"null",
        r#"{"orderId":"o-5","userId":"u","amount":5}"#,
    ];
    for body in [format!(r#"{{"orders":[{}]}}"#, orders.join(",")), format!("[{}]", orders.join(","))] {
        let answer = api.post("/api/v1/orders/batch", body);
        let body = answer.accepted();
        assert_eq!((&body["accepted"], &body["rejected"]), (&json!(3), &json!(3)));
        let results = body["results"].as_array().unwrap();
        let seen: Vec<_> = results
            .iter()
            .map(|result| (result["status"].as_str().unwrap(), result["orderId"].as_str()))
            .collect();
        let expected = [
            ("accepted", Some("o-0")),
            ("rejected", None),
            ("accepted", Some("o-2")),
            ("rejected", None),
            ("rejected", None),
            ("accepted", Some("o-5")),
        ];
        assert_eq!(seen, expected);
        assert_eq!(results[1]["reason"], "invalid-field");
        assert_eq!(results[1]["error"], "the field amount must not be negative");
        assert_eq!(results[3]["reason"], "missing-field");
        assert!(results.iter().enumerate().all(|(at, result)| result["index"] == at));
        assert_each_is_in_the_log(&api, &answer, results);
    }
}

fn assert_each_is_in_the_log(api: &Api, answer: &Answer, results: &[Value]) {
    let token = answer.token();
    for result in results.iter().filter(|result| result["status"] == "accepted") {
        let at = position(result);
        let envelope: Envelope = api.record(at).decode();
        assert_eq!(result["orderId"], envelope.event.partition_key());
        let seen = token.iter().any(|newest| newest.partition == at.partition && newest.offset >= at.offset);
        assert!(seen, "who waits for the token has seen {at}");
    }
}

#[test]
fn a_batch_takes_a_thousand_orders() {
    let api = Api::new();
    let order = r#"{"userId":"u","amount":1}"#;
    let body = format!("[{}]", vec![order; 1_000].join(","));
    let body = api.post("/api/v1/orders/batch", body).accepted();
    assert_eq!((&body["accepted"], &body["rejected"]), (&json!(1_000), &json!(0)));
    assert_eq!(api.records(), 1_000);
}

#[test]
fn a_trace_that_is_none_does_not_travel() {
    let api = Api::new();
    let body = r#"{"userId":"u","amount":1}"#;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (given, kept) in
        [(trace, Some(trace)), ("nonsense", None), (&trace.to_uppercase(), None), (&"x".repeat(5_000), None)]
    {
        let headers = [("content-type", &b"application/json"[..]), ("traceparent", given.as_bytes())];
        let answer = api.send(reqwest::Method::POST, "/api/v1/orders", &headers, body).accepted();
        assert_eq!(api.record(super::position(&answer)).header("traceparent"), kept, "{given:.60}");
    }
}
