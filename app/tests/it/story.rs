//! One order, end to end, and what a person does with what went wrong.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::process::{Finished, Home, Process, Server, until};
use crate::store::SAMPLE_EVENTS;

const NO_SAMPLE: &[(&str, &str)] = &[("SAMPLE", "off")];
/// Customer 2's last five invoices, newest first, and what they cost.
const INVOICES: [(&str, &str); 5] = [
    ("invoice-293", "0.99"),
    ("invoice-241", "5.94"),
    ("invoice-219", "3.96"),
    ("invoice-196", "1.98"),
    ("invoice-67", "8.91"),
];

#[test]
fn the_sample_shop_answers() {
    let home = Home::new();
    let server = home.start(&[]);
    home.until_projected(SAMPLE_EVENTS);
    let answer = server.query("/users/customer-2");
    assert_eq!(answer["user"]["name"], "Leonie Köhler");
    let orders = answer["recentOrders"].as_array().unwrap();
    let seen: Vec<_> = orders
        .iter()
        .map(|order| {
            assert_eq!(order["payment"]["status"], "SETTLED");
            (order["orderId"].as_str().unwrap(), order["amount"].to_string())
        })
        .collect();
    assert_eq!(seen, INVOICES.map(|(id, amount)| (id, amount.to_owned())));
    let answer =
        server.graphql(r#"{user(id:"customer-2"){name recentOrders{orderId amount payment{status}}}}"#);
    let expected = INVOICES
        .map(|(id, amount)| json!({ "orderId": id, "amount": amount, "payment": { "status": "SETTLED" } }));
    assert_eq!(answer, json!({ "user": { "name": "Leonie Köhler", "recentOrders": expected } }));
    assert_eq!(server.query("/orders/invoice-20")["payment"]["status"], "PENDING");
    assert_eq!(server.query("/orders/invoice-67")["payment"]["paymentId"], "payment-67");
    let (status, ready) = server.client.get(&format!("{}/ready", server.commands)).unwrap();
    assert_eq!(status, 200, "{ready}");
    assert_eq!(server.events_processed(), SAMPLE_EVENTS.unsigned_abs());
}

#[test]
fn the_sample_shop_is_whole_and_is_loaded_once() {
    let home = Home::new();
    for start in 0..2 {
        let server = home.start(&[]);
        home.until_projected(SAMPLE_EVENTS);
        assert_eq!(home.records(), SAMPLE_EVENTS, "start {start}");
        server.process.kill();
    }
    for (query, expected) in [
        ("SELECT COUNT(*) FROM users", 59),
        ("SELECT COUNT(*) FROM orders", 412),
        ("SELECT SUM(amount) FROM orders", 23_286_000),
        ("SELECT SUM(json_array_length(items)) FROM orders", 2_240),
        ("SELECT COUNT(*) FROM payments", 412),
        ("SELECT COUNT(*) FROM payments WHERE status = 'SETTLED'", 371),
        ("SELECT COUNT(*) FROM payments WHERE status = 'PENDING' AND substr(order_id, -1) = '0'", 41),
        ("SELECT COUNT(*) FROM inventory", 1_984),
        ("SELECT SUM(quantity) FROM inventory", 19_840 - 2_240),
        ("SELECT COUNT(*) FROM projected_events", 1_984 + 2_240),
        ("SELECT COUNT(*) FROM dead_letters", 0),
    ] {
        assert_eq!(home.count(query), expected, "{query}");
    }
}

#[test]
fn an_order_travels_from_its_command_to_every_answer() {
    let home = Home::new();
    let server = home.start(NO_SAMPLE);
    // The order comes before its user: it waits for nobody.
    let placed = server.accept(
        "/api/v1/orders",
        r#"{"orderId":"o-1","userId":"u-1","amount":149.9901,"items":[{"sku":"s-1","quantity":3,"unitPrice":49.9967}]}"#,
    );
    assert_eq!(placed["orderId"], "o-1");
    let answer = server.query("/orders/o-1");
    assert_eq!(answer["order"]["amount"].to_string(), "149.9901");
    assert_eq!(answer["payment"]["status"], "PENDING");
    let query = r#"{order(id:"o-1"){amount items{sku quantity unitPrice} user{name} payment{status}}}"#;
    let mut expected = json!({ "order": {
        "amount": "149.9901",
        "items": [{ "sku": "s-1", "quantity": 3, "unitPrice": "49.9967" }],
        "user": null,
        "payment": { "status": "PENDING" },
    }});
    assert_eq!(server.graphql(query), expected);
    server.accept("/api/v1/users", r#"{"userId":"u-1","email":"ada@example.com","name":"Ada"}"#);
    server.accept("/api/v1/payments", r#"{"orderId":"o-1","amount":149.9901,"status":"SETTLED"}"#);
    server.accept("/api/v1/inventory-adjustments", r#"{"sku":"s-1","delta":-3}"#);
    home.until_projected(4);
    expected["order"]["user"] = json!({ "name": "Ada" });
    expected["order"]["payment"] = json!({ "status": "SETTLED" });
    assert_eq!(server.graphql(query), expected);
    let user = server.query("/users/u-1");
    assert_eq!(user["recentOrders"][0]["orderId"], "o-1");
    assert_eq!(server.query("/inventory/s-1")["item"]["quantity"], -3);
}

#[test]
fn a_write_can_be_read_at_once_with_its_token() {
    let home = Home::new();
    let server = home.start(NO_SAMPLE);
    let orders = format!("{}/api/v1/orders", server.commands);
    for number in 0..50 {
        let body = format!(r#"{{"orderId":"o-{number}","userId":"u-1","amount":{number}.5}}"#);
        let (status, headers, answer) = server.client.exchange("POST", &orders, &[], &body).unwrap();
        assert_eq!(status, 202, "{answer}");
        let token = headers["consistency-token"].to_str().unwrap().to_owned();
        let read = [("consistency-token", token.as_str())];
        let order = format!("{}/orders/o-{number}", server.queries);
        let (status, _, answer) = server.client.exchange("GET", &order, &read, "").unwrap();
        assert_eq!(status, 200, "order {number} after {token}: {answer}");
        let query = json!({ "query": format!("{{order(id:\"o-{number}\"){{amount}}}}") }).to_string();
        let graphql = format!("{}/graphql", server.queries);
        let (_, _, answer) = server.client.exchange("POST", &graphql, &read, &query).unwrap();
        assert!(answer.contains(&format!("{number}.5")), "{answer}");
    }
}

#[test]
fn a_token_of_what_nobody_projects_is_waited_for_and_then_refused() {
    let home = Home::new();
    let server = home.start(NO_SAMPLE);
    server.accept("/api/v1/orders", r#"{"orderId":"o-1","userId":"u-1","amount":1}"#);
    server.query("/orders/o-1");
    server.process.kill();
    // Only the read side runs: there is no projector that could move the checkpoint.
    let mut process = Process::start(home.command(&["read-side"]).env("CONSISTENCY_WAIT", "50ms"));
    let line = process.said("  read side");
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let client = crate::process::Client::new();
    let token = [("consistency-token", "events:0:1000000")];
    let eventual = [token[0], ("consistency", "eventual")];
    let order = format!("{url}/orders/o-1");
    let (status, headers, answer) = client.exchange("GET", &order, &token, "").unwrap();
    assert_eq!(status, 503, "{answer}");
    assert!(answer.contains("/problems/not-yet-projected"), "{answer}");
    assert_eq!(headers["retry-after"], "1");
    let (status, headers, _) = client.exchange("GET", &order, &eventual, "").unwrap();
    assert_eq!((status, headers["consistency"].to_str().unwrap()), (200, "stale"));
}

/// Sends a file of sample events, of which so many are sent.
#[track_caller]
fn produce(home: &Home, server: &Server, file: &str, events: i64) -> Finished {
    let path = format!("{}/../examples/events/{file}", env!("CARGO_MANIFEST_DIR"));
    let produced = home.beside(server, &["produce", "--file", &path]);
    assert!(produced.ok().starts_with(&format!("{events} events sent")), "{produced:?}");
    produced
}

#[test]
fn events_of_every_shape_are_produced_from_files() {
    let home = Home::new();
    let server = home.start(NO_SAMPLE);
    let files = [
        ("cloudevents.ndjson", 4),
        ("s0.ndjson", 4),
        ("s1.ndjson", 4),
        ("s2.ndjson", 5),
        ("s3.ndjson", 4),
        ("s4.ndjson", 1),
    ];
    for (file, events) in files {
        let produced = produce(&home, &server, file, events);
        assert!(!produced.stdout.contains("are no events"), "{produced:?}");
    }
    home.until_projected(22);
    assert_eq!(home.count("SELECT COUNT(*) FROM users"), 5);
    assert_eq!(home.count("SELECT COUNT(*) FROM dead_letters"), 0);
    assert_eq!(server.query("/orders/order-001")["order"]["amount"].to_string(), "149.99");
}

fn letters(home: &Home) -> Vec<Value> {
    let listed = Process::start(&mut home.command(&["dead-letters", "list", "--json"])).finish();
    let lines = listed.ok().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Everything in one process, and seven dead letters in it.
fn poisoned() -> (Home, Server) {
    let home = Home::new();
    let server = home.start(NO_SAMPLE);
    let produced = produce(&home, &server, "poison.ndjson", 7);
    assert!(produced.stdout.contains("7 of them are no events"), "{produced:?}");
    home.until_projected(7);
    (home, server)
}

#[test]
fn dead_letters_are_listed_counted_and_shown() {
    let (home, server) = poisoned();
    let all = letters(&home);
    assert_eq!(all.len(), 7);
    let newest = all[0]["id"].as_str().unwrap();
    let listed = home.beside(&server, &["dead-letters", "list", "--limit", "2"]);
    assert_eq!(listed.ok().lines().count(), 2);
    assert!(listed.stderr.contains("7 in all; --offset 2 shows more"), "{listed:?}");
    let beyond = home.beside(&server, &["dead-letters", "list", "--offset", "7"]);
    assert_eq!((beyond.ok(), beyond.stderr.as_str()), ("", ""));
    assert!(listed.ok().starts_with(newest), "{listed:?}");
    let shown = home.beside(&server, &["dead-letters", "show", newest]);
    assert_eq!(serde_json::from_str::<Value>(shown.ok()).unwrap(), all[0]);
    let stats = home.beside(&server, &["dead-letters", "stats"]);
    assert!(stats.ok().contains("unknown-type"), "{stats:?}");
    let one = home.beside(&server, &["dead-letters", "stats", "--type", "UnknownEvent", "--json"]);
    let one: Value = serde_json::from_str(one.ok()).unwrap();
    assert_eq!((&one["reason"], &one["count"]), (&"unknown-type".into(), &1.into()));
    let none = home.beside(&server, &["dead-letters", "stats", "--reason", "nothing"]);
    assert_eq!(none.ok(), "no open dead letters");
    // As `head` does, which has read enough.
    let mut list = home.command(&["dead-letters", "list"]);
    let mut list = list.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(list.stdout.take());
    let ended = list.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
    for (id, code, part) in [("9:9", 1, "no open dead letter 9:9"), ("9", 2, "partition:offset")] {
        let ended = home.beside(&server, &["dead-letters", "show", id]);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.stderr.contains(part), "{ended:?}");
    }
}

#[test]
fn dead_letters_are_redriven_and_discarded() {
    let (home, server) = poisoned();
    let all = letters(&home);
    let [first, second, third] = [0, 1, 2].map(|at: usize| all[at]["id"].as_str().unwrap());
    let discarded = home.beside(&server, &["dead-letters", "discard", first]);
    assert_eq!(discarded.ok(), format!("{first} discarded"));
    // The server owns the log, so the letter goes through it.
    let redriven = home.beside(&server, &["dead-letters", "redrive", second]);
    assert!(redriven.ok().starts_with(&format!("{second} redriven to ")), "{redriven:?}");
    home.until_projected(8);
    let left = letters(&home);
    assert_eq!(left.len(), 6, "one is given up, one came back");
    let back = left.iter().find(|letter| letter["payload"] == all[1]["payload"]);
    assert_eq!(back.unwrap()["attempts"], 2);
    for id in [first, second] {
        let gone = home.beside(&server, &["dead-letters", "show", id]);
        assert_eq!(gone.code, Some(1), "{gone:?}");
    }
    // With the server gone, the command takes the log itself.
    server.process.signal("TERM");
    assert_eq!(server.process.finish().code, Some(0));
    let alone = Process::start(&mut home.command(&["dead-letters", "redrive", third])).finish();
    assert!(alone.ok().starts_with(&format!("{third} redriven to ")), "{alone:?}");
    assert_eq!(home.records(), 9);
    assert_eq!(letters(&home).len(), 5);
}

#[test]
fn made_up_events_come_at_a_rate_and_all_are_projected() {
    let home = Home::new();
    let server = home.start(NO_SAMPLE);
    let produced = home.beside(&server, &["produce", "--rate", "10000", "--count", "500"]);
    assert_eq!(produced.ok(), "500 events sent");
    home.until_projected(500);
    assert_eq!(home.different_events(), 500);
    assert_eq!(home.count("SELECT COUNT(*) FROM dead_letters"), 0);
}

#[test]
fn the_simulator_keeps_the_shop_alive() {
    let home = Home::new();
    let _server = home.start(&[("SAMPLE", "off"), ("EVENT_RATE", "1000")]);
    until("a made-up order is readable", || (home.projected() > 20).then_some(()));
}
