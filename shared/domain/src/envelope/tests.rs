//! Decodes every file of `examples/events`, checks the reason of every poison record, and decodes what is encoded.

use proptest::prelude::*;

use super::*;
use crate::amount::Amount;
use crate::event::{
    Event, EventType, InventoryAdjusted, OrderItem, OrderPlaced, PaymentSettled, PaymentStatus, UserCreated,
};
use crate::id::{OrderId, PaymentId, Sku, UserId};
use crate::record::{HeaderView, Headers, PAYLOAD_BYTES_MAX, Position};
use crate::text::{Currency, OrderStatus, Text};
use crate::timestamp::Timestamp;

macro_rules! samples {
    ($file:literal) => {
        include_str!(concat!("../../../../examples/events/", $file))
    };
}

fn record<'a>(key: Option<&'a str>, payload: &'a [u8], headers: HeaderView<'a>) -> Record<'a> {
    Record {
        topic: "events",
        position: Position { partition: 0, offset: 0 },
        appended_at: Timestamp::now(),
        key: key.map(str::as_bytes),
        payload: Some(payload),
        headers,
    }
}

fn read(payload: &str) -> Result<Envelope, DecodeError> {
    decode_payload(payload.as_bytes(), "orders")
}

fn reason(payload: &str) -> &'static str {
    read(payload).unwrap_err().reason()
}

fn read_all(samples: &str) -> Vec<Envelope> {
    samples.lines().map(|line| read(line).unwrap_or_else(|e| panic!("{e:?} in {line}"))).collect()
}

fn order_of(envelope: &Envelope) -> &OrderPlaced {
    match &envelope.event {
        Event::OrderPlaced(order) => order,
        other => panic!("not an order: {other:?}"),
    }
}

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

#[test]
fn four_formats_decode_to_the_same_four_types() {
    for samples in [samples!("cloudevents.ndjson"), samples!("s0.ndjson"), samples!("s1.ndjson")] {
        let types: Vec<_> = read_all(samples).iter().map(|e| e.event.event_type()).collect();
        assert_eq!(types, EventType::ALL);
    }
    let types: Vec<_> = read_all(samples!("s2.ndjson")).iter().map(|e| e.event.event_type()).collect();
    assert_eq!(types[..4], EventType::ALL);
    assert_eq!(types[4], EventType::UserCreated, "S2 as documented: camelCase");
}

#[test]
fn canonical_order() {
    let events = read_all(samples!("cloudevents.ndjson"));
    let order = order_of(&events[1]);
    assert_eq!(events[1].occurred_at.to_string(), "2026-11-21T07:00:01.123456Z");
    assert_eq!(events[1].correlation_id.as_ref().unwrap().as_str(), "checkout-7");
    assert_eq!(order.amount, amount("149.99"));
    assert_eq!(order.placed_at.to_string(), "2026-11-21T07:00:01Z");
    assert_eq!(order.status, OrderStatus::PLACED);
    assert_eq!(order.items[0].unit_price, amount("149.99"));
}

#[test]
fn s0_defaults() {
    let events = read_all(samples!("s0.ndjson"));
    let order = order_of(&events[1]);
    assert_eq!((order.currency, order.placed_at), (Currency::USD, events[1].occurred_at));
    assert!(matches!(&events[2].event, Event::PaymentSettled(p) if p.status == PaymentStatus::Settled));
}

#[test]
fn s1_local_times_names_and_adjustments() {
    let events = read_all(samples!("s1.ndjson"));
    assert_eq!(events[0].occurred_at.to_string(), "2026-11-21T07:00:00.500Z");
    assert!(matches!(&events[0].event, Event::UserCreated(u) if u.name.as_str() == "John Doe"));
    assert!(matches!(&events[2].event, Event::PaymentSettled(p) if p.status == PaymentStatus::Settled));
    assert!(matches!(&events[3].event, Event::InventoryAdjusted(a) if a.delta == 50));
    let subtract = samples!("s1.ndjson").lines().nth(3).unwrap().replace("\"add\"", "\"subtract\"");
    assert!(matches!(read(&subtract).unwrap().event, Event::InventoryAdjusted(a) if a.delta == -50));
}

#[test]
fn b08_unknown_adjustment_type_is_not_add() {
    let set = samples!("s1.ndjson").lines().nth(3).unwrap().replace("\"add\"", "\"set\"");
    let error = read(&set).unwrap_err();
    assert_eq!(error.to_string(), "the field adjustmentType must be add or subtract");
}

#[test]
fn b09_s2_reads_pascal_and_camel_with_and_without_headers() {
    let events = read_all(samples!("s2.ndjson"));
    assert!(matches!(
        &events[3].event,
        Event::InventoryAdjusted(a) if a.delta == -5 && a.reported_quantity == Some(95)
    ));
    let headers = Headers::EMPTY.with("eventType", b"OrderPlacedEvent").with("eventId", b"from-header");
    let body =
        br#"{"OrderId":"o","UserId":"u","Amount":1,"Status":"Placed","Timestamp":"2026-11-21T07:00:01Z"}"#;
    let envelope = decode(&record(Some("o"), body, headers.view())).unwrap();
    assert_eq!(envelope.event_id.as_str(), "from-header");
    assert_eq!(order_of(&envelope).amount, amount("1"));
}

#[test]
fn b12_s3_event_ids_that_repeat_within_a_second_are_different_events() {
    let events = read_all(samples!("s3.ndjson"));
    assert_eq!(events[0].event_id.as_str(), "20261121070000-000000:order_1795244400_123456789");
    assert_ne!(events[0].event_id, events[1].event_id);
    assert_eq!(order_of(&events[0]).amount, amount("59.98"));
    assert_eq!(order_of(&events[0]).items[0].sku.as_str(), "product-456");
    assert_eq!(order_of(&events[1]).currency.as_str(), "EUR");
    let statuses: Vec<_> = events.iter().map(|e| order_of(e).status.as_str().to_owned()).collect();
    assert_eq!(statuses, ["PENDING", "PENDING", "CONFIRMED", "CANCELLED"]);
}

#[test]
fn s3_ids_too_long_together_are_hashed() {
    let long = "x".repeat(64);
    let sample = samples!("s3.ndjson").lines().next().unwrap().replace("order_1795244400_123456789", &long);
    let envelope = read(&sample).unwrap();
    assert_eq!(envelope.event_id.as_str().len(), 36);
    assert_eq!(read(&sample).unwrap().event_id, envelope.event_id);
}

#[test]
fn s4_derives_the_same_id_from_the_same_order() {
    let line = samples!("s4.ndjson").trim_end();
    let envelope = read(line).unwrap();
    assert_eq!(order_of(&envelope).status.as_str(), "PENDING");
    assert_eq!(read(line).unwrap().event_id, envelope.event_id);
    assert_ne!(read(&line.replace("149.99", "149.98")).unwrap().event_id, envelope.event_id);
}

#[test]
fn cloud_events_in_binary_mode() {
    let headers = Headers::EMPTY
        .with("ce_specversion", b"1.0")
        .with("ce_id", b"e-1")
        .with("ce_type", b"InventoryAdjusted")
        .with("ce_time", b"2026-11-21T07:00:00Z")
        .with("content-type", b"application/json");
    let envelope = decode(&record(Some("SKU-1"), br#"{"sku":"SKU-1","delta":3}"#, headers.view())).unwrap();
    assert_eq!(envelope.event_id.as_str(), "e-1");
    assert!(matches!(envelope.event, Event::InventoryAdjusted(a) if a.delta == 3));
}

#[test]
fn every_poison_record_has_a_reason() {
    let reasons: Vec<_> = samples!("poison.ndjson").lines().map(reason).collect();
    let expected = [
        "invalid-json",
        "missing-field",
        "unknown-type",
        "unrecognised-shape",
        "invalid-json",
        "invalid-field",
        "invalid-field",
    ];
    assert_eq!(reasons, expected);
}

#[test]
fn invalid_payloads_are_refused() {
    let decode_bytes = |payload: Option<&[u8]>| {
        let mut record = record(Some("k"), b"", HeaderView::default());
        record.payload = payload;
        decode(&record).unwrap_err().reason()
    };
    let too_large = vec![b' '; PAYLOAD_BYTES_MAX + 1];
    assert_eq!(decode_bytes(None), "empty-payload");
    assert_eq!(decode_bytes(Some(b"")), "empty-payload");
    assert_eq!(decode_bytes(Some(b"\xff\xfe")), "invalid-utf8");
    assert_eq!(decode_bytes(Some(&too_large)), "too-large");
    for text in ["[]", "1", "null", "\"x\"", "[{}]"] {
        assert_eq!(reason(text), "unrecognised-shape", "{text}");
    }
}

#[test]
fn nesting_is_limited_in_skipped_fields_too() {
    let deep = |depth: usize| {
        let nest = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"id":"o","user_id":"u","total":1,"timestamp":"2026-10-06T17:00:00Z","extra":{nest}}}"#)
    };
    assert!(read(&deep(JSON_DEPTH_MAX - 1)).is_ok());
    assert_eq!(reason(&deep(200)), "too-deep");
    let quoted = format!(
        r#"{{"id":"o","user_id":"u","total":1,"timestamp":"2026-10-06T17:00:00Z","x":"{}"}}"#,
        "\\\"[".repeat(200)
    );
    assert!(read(&quoted).is_ok(), "brackets in a string are text");
}

#[test]
fn amounts_are_exact_or_refused() {
    let line = samples!("s4.ndjson").trim_end();
    for (number, error) in [
        ("NaN", "invalid-json"),
        ("1e400", "invalid-field"),
        ("-1", "invalid-field"),
        ("0.00001", "invalid-field"),
        ("\"149.99\"", "invalid-field"),
        ("null", "unrecognised-shape"),
    ] {
        assert_eq!(reason(&line.replace("149.99", number)), error, "{number}");
    }
    let exact = read(&line.replace("149.99", "1.4999e2")).unwrap();
    assert_eq!(order_of(&exact).amount, amount("149.99"));
}

#[test]
fn invalid_ids_are_refused() {
    let line = samples!("s4.ndjson").trim_end();
    for id in ["", " order-001", "order 001", &"x".repeat(65), "o\\u0000"] {
        let refused = reason(&line.replace("order-001", id));
        assert!(matches!(refused, "invalid-field" | "missing-field"), "{id:?}: {refused}");
    }
}

#[test]
fn b06_missing_fields_are_never_blanks() {
    for file in
        [samples!("cloudevents.ndjson"), samples!("s0.ndjson"), samples!("s1.ndjson"), samples!("s2.ndjson")]
    {
        for line in file.lines() {
            let whole: serde_json::Value = serde_json::from_str(line).unwrap();
            for field in [
                "userId",
                "UserId",
                "orderId",
                "OrderId",
                "paymentId",
                "PaymentId",
                "sku",
                "Sku",
                "id",
                "eventId",
                "EventId",
            ] {
                let mut broken = whole.clone();
                let holder = ["data", "payload"].into_iter().find(|h| broken[*h][field].is_string());
                let removed = match holder {
                    Some(holder) => broken[holder].as_object_mut().unwrap().remove(field),
                    None => broken.as_object_mut().unwrap().remove(field),
                };
                if removed.is_some() {
                    assert_eq!(reason(&broken.to_string()), "missing-field", "{field} of {line}");
                }
            }
        }
    }
}

#[test]
fn unknown_versions_are_not_guessed() {
    let canonical = samples!("cloudevents.ndjson").lines().next().unwrap();
    assert_eq!(reason(&canonical.replace("UserCreated/1", "UserCreated/2")), "unknown-version");
    assert_eq!(reason(&canonical.replace(r#""1.0""#, r#""2.0""#)), "unknown-version");
    let s3 = samples!("s3.ndjson").lines().next().unwrap();
    assert_eq!(reason(&s3.replace(r#""version":1"#, r#""version":3"#)), "unknown-version");
}

#[test]
fn keys_must_match_the_payload() {
    let line = samples!("cloudevents.ndjson").lines().nth(2).unwrap();
    let with_key = |key| decode(&record(key, line.as_bytes(), HeaderView::default()));
    assert!(with_key(Some("order-123")).is_ok());
    assert_eq!(with_key(None).unwrap_err().reason(), "missing-key");
    assert_eq!(with_key(Some("payment-123")).unwrap_err().reason(), "key-mismatch");
    let s1 = samples!("s1.ndjson").lines().nth(2).unwrap();
    let s1_key = |key| decode(&record(Some(key), s1.as_bytes(), HeaderView::default()));
    assert!(s1_key("c3d41111-1111-4a53-9a53-0b7f7a5d1e01").is_ok(), "S1 may key by payment");
    assert_eq!(s1_key("another-key").unwrap_err().reason(), "key-mismatch");
    let s0 =
        samples!("s0.ndjson").lines().nth(3).unwrap().replace(r#""key":"SKU-1a2b3c4d""#, r#""key":"SKU-2""#);
    assert_eq!(reason(&s0), "key-mismatch", "S0 carries its key inside as well");
}

#[test]
fn a_field_twice_is_refused() {
    assert_eq!(
        reason(r#"{"id":"a","id":"b","user_id":"u","total":1,"timestamp":"2026-10-06T17:00:00Z"}"#),
        "invalid-field"
    );
}

fn any_id() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._:@-]{1,64}"
}

fn any_event() -> impl Strategy<Value = Event> {
    let time = -62_135_596_800_000_000..=253_402_300_799_999_999_i64;
    let fields = (
        any_id(),
        any_id(),
        0..=i64::MAX,
        time,
        -1_000_000_000..=1_000_000_000_i64,
        "[ -~\u{e9}\u{1f600}]{0,20}x",
    );
    (0..4, fields).prop_map(|(kind, (a, b, units, micros, delta, text))| {
        let at = Timestamp::from_micros(micros).unwrap();
        let price = Amount::from_units(units).unwrap();
        match kind {
            0 => Event::UserCreated(UserCreated {
                user_id: UserId::parse(&a).unwrap(),
                email: Text::parse_address("a@b").unwrap(),
                name: Text::parse(&text).unwrap(),
            }),
            1 => Event::OrderPlaced(OrderPlaced {
                order_id: OrderId::parse(&a).unwrap(),
                user_id: UserId::parse(&b).unwrap(),
                amount: price,
                currency: Currency::USD,
                status: OrderStatus::PLACED,
                placed_at: at,
                items: vec![OrderItem {
                    sku: Sku::parse(&b).unwrap(),
                    quantity: delta.abs().max(1),
                    unit_price: price,
                }],
            }),
            2 => Event::PaymentSettled(PaymentSettled {
                payment_id: PaymentId::parse(&b).unwrap(),
                order_id: OrderId::parse(&a).unwrap(),
                amount: price,
                currency: Currency::USD,
                method: Some(Text::parse(&text).unwrap()),
                status: PaymentStatus::Failed,
                settled_at: at,
            }),
            _ => Event::InventoryAdjusted(InventoryAdjusted {
                sku: Sku::parse(&a).unwrap(),
                delta,
                reason: None,
                reported_quantity: Some(units),
            }),
        }
    })
}

proptest! {
    #[test]
    fn an_encoded_event_decodes_to_itself(event in any_event()) {
        let envelope = Envelope::new(event, Timestamp::now(), Some(Text::parse("c-1").unwrap()));
        let written = envelope.to_record();
        let key = std::str::from_utf8(written.key.as_deref().unwrap()).unwrap();
        prop_assert_eq!(decode(&record(Some(key), &written.payload, written.headers.view())).unwrap(), envelope);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), headers in proptest::collection::vec(any::<u8>(), 0..60)) {
        let mut record = record(Some("k"), &bytes, HeaderView::default());
        record.headers = HeaderView::from_bytes(&headers);
        prop_assert!(decode(&record).is_err());
    }
}
