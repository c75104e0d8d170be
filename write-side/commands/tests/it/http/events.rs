//! `POST /api/v1/events`: events of every wire shape, one by one or by the line, appended as they came.

use millrace_domain::event::EventType;
use serde_json::json;

use super::{Api, NDJSON, position};

/// Every sample file, and how many lines it has.
const SAMPLES: [(&str, usize); 6] = [
    (include_str!("../../../../../examples/events/cloudevents.ndjson"), 4),
    (include_str!("../../../../../examples/events/s0.ndjson"), 4),
    (include_str!("../../../../../examples/events/s1.ndjson"), 4),
    (include_str!("../../../../../examples/events/s2.ndjson"), 5),
    (include_str!("../../../../../examples/events/s3.ndjson"), 4),
    (include_str!("../../../../../examples/events/s4.ndjson"), 1),
];
const POISON: &str = include_str!("../../../../../examples/events/poison.ndjson");

#[test]
fn one_event_of_every_shape() {
    let api = Api::new();
    let mut sent = 0_usize;
    for (sample, lines) in SAMPLES {
        assert_eq!(sample.lines().count(), lines);
        for line in sample.lines() {
            let answer = api.post("/api/v1/events", line);
            let body = answer.accepted();
            let stored = api.record(position(&body));
            assert_eq!(stored.payload, line.as_bytes(), "the bytes as they came");
            let envelope = stored.decode();
            assert_eq!(body["eventId"], envelope.event_id.as_str());
            assert_eq!(stored.key(), envelope.event.partition_key());
            let id = match envelope.event.event_type() {
                EventType::UserCreated => &body["userId"],
                EventType::OrderPlaced | EventType::PaymentSettled => &body["orderId"],
                EventType::InventoryAdjusted => &body["sku"],
            };
            assert_eq!(id, stored.key());
            assert_eq!(stored.header("x-correlation-id"), Some(answer.header("x-correlation-id")));
            sent += 1;
        }
    }
    assert_eq!(api.decoded().iter().flatten().count(), sent, "the projector reads them all");
}

#[test]
fn a_cloud_event_may_say_that_it_is_one() {
    let api = Api::new();
    let line = SAMPLES[0].0.lines().next().unwrap();
    for content_type in ["application/cloudevents+json", "application/cloudevents+json; charset=UTF-8"] {
        let body = api.post_as(content_type, "/api/v1/events", line).accepted();
        assert_eq!(body["userId"], "user-123");
    }
}

#[test]
fn many_lines_are_taken_and_the_poison_among_them_is_named() {
    let api = Api::new();
    let good: Vec<_> = SAMPLES.iter().flat_map(|(sample, _)| sample.lines()).collect();
    let poison: Vec<_> = POISON.lines().collect();
    // Poison first, in the middle and last; blank lines and carriage returns between.
    let (before, after) = good.split_at(good.len() / 2);
    let lines = [&poison[..2], before, &poison[2..4], &[""], after, &poison[4..]].concat();
    let answer = api.post_as(NDJSON, "/api/v1/events", lines.join("\r\n"));
    let body = answer.accepted();
    assert_eq!(body["accepted"], good.len() + poison.len());
    let named: Vec<_> = body["undecodable"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let at = usize::try_from(one["line"].as_u64().unwrap()).unwrap();
            assert!(one["error"].as_str().is_some_and(|error| !error.is_empty()));
            (lines[at - 1], one["reason"].as_str().unwrap())
        })
        .collect();
    let expected: Vec<_> = poison
        .iter()
        .copied()
        .zip([
            "invalid-json",
            "missing-field",
            "unknown-type",
            "unrecognised-shape",
            "invalid-json",
            "invalid-field",
            "invalid-field",
        ])
        .collect();
    assert_eq!(named, expected);
    let records = api.file.records();
    for (line, reason) in expected {
        let record = records.iter().find(|record| record.payload == line.as_bytes()).expect(line);
        assert_eq!(record.try_decode().unwrap_err().reason(), reason, "as the projector will find it");
    }
    assert_eq!(api.decoded().iter().flatten().count(), 22, "their neighbours are read");
}

#[test]
fn lines_that_are_no_text_are_kept_as_they_came() {
    let api = Api::new();
    let mut body = SAMPLES[5].0.trim_end().as_bytes().to_vec();
    body.extend_from_slice(b"\n\xff\xfe\x00\n");
    let answer = api.post_as(NDJSON, "/api/v1/events", body).accepted();
    assert_eq!(answer["undecodable"][0]["reason"], "invalid-utf8");
    assert_eq!(answer["undecodable"][0]["line"], 2);
    let broken: Vec<_> =
        api.file.records().into_iter().filter(|record| record.try_decode().is_err()).collect();
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].payload, b"\xff\xfe\x00");
}

#[test]
fn no_lines_are_no_events() {
    let api = Api::new();
    for body in ["", "\n", " \n\r\n\t\n"] {
        let problem = api.post_as(NDJSON, "/api/v1/events", body).problem(400, "malformed");
        assert_eq!(problem["detail"], "the body has no event");
    }
    assert_eq!(api.records(), 0);
}

#[test]
fn the_token_of_many_lines_names_the_newest_of_each_partition() {
    let api = Api::new();
    let line =
        |n: usize| format!(r#"{{"id":"o-{n}","user_id":"u","total":1,"timestamp":"2026-10-06T17:00:00Z"}}"#);
    let lines: Vec<_> = (0..100).map(line).collect();
    let answer = api.post_as(NDJSON, "/api/v1/events", lines.join("\n"));
    assert_eq!(answer.accepted(), json!({ "accepted": 100, "undecodable": [], "refused": [] }));
    let token = answer.token();
    let partitions: Vec<_> = token.iter().map(|position| position.partition).collect();
    assert_eq!(partitions, [0, 1, 2]);
    let records: i64 = token.iter().map(|position| position.offset + 1).sum();
    assert_eq!(records, 100, "each is the last of its partition");
}

#[test]
fn a_line_too_long_for_the_log_is_left_out_and_named() {
    let api = Api::new();
    let long = format!(r#"{{"x":"{}"}}"#, "x".repeat(1024 * 1024));
    let answer = api.post_as("Application/X-NDJSON", "/api/v1/events", format!("{{}}\n{long}\n")).accepted();
    assert_eq!((&answer["accepted"], &answer["undecodable"][0]["line"]), (&1.into(), &1.into()));
    assert_eq!(
        (&answer["refused"][0]["line"], &answer["refused"][0]["reason"]),
        (&2.into(), &"too-large".into())
    );
    assert_eq!(api.records(), 1);
}
