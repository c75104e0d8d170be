//! One order from its command to the responses of the read side, and the review of dead letters.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::process::{Finished, Home, Process, Server, until};
use crate::store::SAMPLE_EVENTS;

const NO_SAMPLE: &[(&str, &str)] = &[("SAMPLE", "off")];
/// The last five invoices of customer 2, newest first, with their amounts.
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
    server.until_ready();
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
fn an_order_travels_from_its_command_to_every_response() {
    let home = Home::new();
    let server = home.start(NO_SAMPLE);
    // The order is projected although its user does not exist yet.
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
fn a_read_with_a_token_waits_and_is_then_refused() {
    let home = Home::new();
    let server = home.start(NO_SAMPLE);
    server.accept("/api/v1/orders", r#"{"orderId":"o-1","userId":"u-1","amount":1}"#);
    server.query("/orders/o-1");
    server.process.kill();
    // Without a projector the checkpoint does not move.
    let mut process = Process::start(home.command(&["read-side"]).env("CONSISTENCY_WAIT", "50ms"));
    let line = process.printed("  read side");
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let client = crate::process::Client::new();
    let token = [("consistency-token", "events:0:1000000")];
    let eventual = [token[0], ("consistency", "eventual")];
    let order = format!("{url}/orders/o-1");
    until("the read model is open", || (client.get(&order)?.0 == 200).then_some(()));
    let (status, headers, answer) = client.exchange("GET", &order, &token, "").unwrap();
    assert_eq!(status, 503, "{answer}");
    assert!(answer.contains("/problems/not-yet-projected"), "{answer}");
    assert_eq!(headers["retry-after"], "1");
    let (status, headers, _) = client.exchange("GET", &order, &eventual, "").unwrap();
    assert_eq!((status, headers["consistency"].to_str().unwrap()), (200, "stale"));
}

/// Sends a file of sample events; `events` is the number of its lines.
#[track_caller]
fn produce(home: &Home, server: &Server, file: &str, events: i64) -> Finished {
    let path = format!("{}/../examples/events/{file}", env!("CARGO_MANIFEST_DIR"));
    let produced = home.beside(server, &["produce", "--file", &path]);
    assert!(produced.ok().starts_with(&format!("{events} events sent")), "{produced:?}");
    produced
}

#[test]
fn events_are_sent_by_a_menu() {
    let home = Home::new();
    let server = home.start(NO_SAMPLE);
    let typed = home.path().join("typed");
    let order = "2\norder-1\nuser-1\nmuch\n\norder-1\nuser-1\n149.9900\nEUR\n";
    let lines = format!(
        "1\nuser-1\nAda Lovelace\nada@example.com\n{order}3\norder-1\n149.99\nSETTLED\ncard\n4\nsku-1\n-5\n\n9\n5\n0\n"
    );
    std::fs::write(&typed, lines).unwrap();
    let mut command = home.command(&["produce", "--interactive"]);
    command.env("COMMAND_ADDR", server.commands_addr()).stdin(std::fs::File::open(&typed).unwrap());
    let ended = command.output().unwrap();
    let output = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{output}");
    assert!(output.contains("amount") && output.contains("try again"), "{output}");
    assert_eq!(output.matches("sent ").count(), 14, "{output}");
    home.until_projected(14);
    let answer = server.query("/orders/order-1");
    assert_eq!(answer["order"]["amount"].to_string(), "149.99");
    assert_eq!(answer["order"]["currency"], "EUR");
    assert_eq!(answer["payment"]["status"], "SETTLED");
    assert_eq!(server.query("/inventory/sku-1")["item"]["quantity"], -5);
}

#[test]
fn events_of_every_format_are_produced_from_files() {
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
        assert!(!produced.stdout.contains("not valid events"), "{produced:?}");
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

/// All roles in one process, with seven dead letters.
fn poisoned() -> (Home, Server) {
    let home = Home::new();
    let server = home.start(NO_SAMPLE);
    let produced = produce(&home, &server, "poison.ndjson", 7);
    assert!(produced.stdout.contains("7 of them are not valid events"), "{produced:?}");
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
    assert!(listed.stderr.contains("7 open letters; --offset 2 shows more"), "{listed:?}");
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
    // A reader such as `head` closes the pipe.
    let mut list = home.command(&["dead-letters", "list"]);
    let mut list = list.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(list.stdout.take());
    let ended = list.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
    for (id, code, part) in [("9:9", 1, "open dead letter 9:9 not found"), ("9", 2, "partition:offset")] {
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
    // The server uses the log, so the command sends a request to its admin API.
    let redriven = home.beside(&server, &["dead-letters", "redrive", second]);
    assert!(redriven.ok().starts_with(&format!("{second} redriven to ")), "{redriven:?}");
    home.until_projected(8);
    let left = letters(&home);
    assert_eq!(left.len(), 6, "one is discarded, one is open again");
    let again = left.iter().find(|letter| letter["payload"] == all[1]["payload"]);
    assert_eq!(again.unwrap()["attempts"], 2);
    for id in [first, second] {
        let closed = home.beside(&server, &["dead-letters", "show", id]);
        assert_eq!(closed.code, Some(1), "{closed:?}");
    }
    // Without the server, the command opens the log itself.
    server.process.signal("TERM");
    assert_eq!(server.process.finish().code, Some(0));
    let alone = Process::start(&mut home.command(&["dead-letters", "redrive", third])).finish();
    assert!(alone.ok().starts_with(&format!("{third} redriven to ")), "{alone:?}");
    assert_eq!(home.records(), 9);
    assert_eq!(letters(&home).len(), 5);
}

#[test]
fn simulated_events_are_all_projected() {
    let home = Home::new();
    let server = home.start(NO_SAMPLE);
    let produced = home.beside(&server, &["produce", "--rate", "10000", "--count", "500"]);
    assert_eq!(produced.ok(), "500 events sent");
    home.until_projected(500);
    assert_eq!(home.different_events(), 500);
    assert_eq!(home.count("SELECT COUNT(*) FROM dead_letters"), 0);
}

#[test]
fn the_simulator_creates_events() {
    let home = Home::new();
    let _server = home.start(&[("SAMPLE", "off"), ("EVENT_RATE", "1000")]);
    until("simulated events are projected", || (home.projected() > 20).then_some(()));
}
