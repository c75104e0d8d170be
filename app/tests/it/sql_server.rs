//! All roles with SQL Server, if `MSSQL_TEST_URL` names one: commands, the log (Kafka, if available), T-SQL, REST and GraphQL,
//! dead letters, and a process that is killed.

use millrace_testkit::kafka::{Topic, brokers};
use millrace_testkit::sql_server::Database;
use serde_json::{Value, json};

use crate::process::{Finished, Home, Process, Server, until};
use crate::store::SAMPLE_EVENTS;

const POISON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/events/poison.ndjson");

/// A database and processes that use it.
struct Shop {
    home: Home,
    database: Database,
    settings: Vec<(&'static str, String)>,
}

impl Shop {
    fn new() -> Option<Self> {
        let database = Database::create()?;
        let settings = vec![("READ_MODEL", database.setting()), ("SAMPLE", "off".to_owned())];
        Some(Self { home: Home::new(), database, settings })
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    fn start(&self) -> Server {
        Server::up(self.home.command(&[]).envs(self.settings.iter().cloned()))
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        Process::start(self.home.command(arguments).envs(self.settings.iter().cloned())).finish()
    }

    /// The result of a query for one number.
    fn number(&self, query: &str) -> i64 {
        self.database.rows(query)[0].parse().unwrap()
    }

    fn until_projected(&self, records: i64) {
        let query = "SELECT CAST(COALESCE(SUM(next_offset), 0) AS BIGINT) FROM dbo.checkpoints";
        until("everything is projected", || (self.number(query) >= records).then_some(()));
    }
}

/// An order before its user, then a payment: read with a consistency token, by REST and by GraphQL.
fn an_order_travels(shop: &Shop) {
    let server = shop.start();
    let order = r#"{"orderId":"o-1","userId":"u-1","amount":149.9901,
        "items":[{"sku":"s-1","quantity":3,"unitPrice":49.9967},{"sku":"s-2","quantity":1,"unitPrice":0}]}"#;
    let orders = format!("{}/api/v1/orders", server.commands);
    let (status, headers, answer) = server.client.exchange("POST", &orders, &[], order).unwrap();
    assert_eq!(status, 202, "{answer}");
    let token = headers["consistency-token"].to_str().unwrap();
    until("what was written can be read with its token", || {
        let read = [("consistency-token", token)];
        let answer = server.client.exchange("GET", &format!("{}/orders/o-1", server.queries), &read, "");
        match answer.unwrap() {
            (200, _, body) => {
                assert!(body.contains("149.9901"), "{body}");
                Some(())
            }
            // Not projected within CONSISTENCY_WAIT, or the read model is not open yet.
            (503 | 422, ..) => None,
            other => panic!("{other:?}"),
        }
    });
    server.accept("/api/v1/users", r#"{"userId":"u-1","email":"ada@example.com","name":"Ada 👩 O'Neil"}"#);
    server.accept("/api/v1/payments", r#"{"orderId":"o-1","amount":149.9901,"status":"SETTLED"}"#);
    server.accept("/api/v1/inventory-adjustments", r#"{"sku":"s-1","delta":-3}"#);
    shop.until_projected(4);
    let query = r#"{user(id:"u-1"){name recentOrders{orderId amount items{sku quantity unitPrice} payment{status}}}}"#;
    let expected = json!({ "user": { "name": "Ada 👩 O'Neil", "recentOrders": [{
        "orderId": "o-1",
        "amount": "149.9901",
        "items": [
            { "sku": "s-1", "quantity": 3, "unitPrice": "49.9967" },
            { "sku": "s-2", "quantity": 1, "unitPrice": "0.00" },
        ],
        "payment": { "status": "SETTLED" },
    }]}});
    assert_eq!(server.graphql(query), expected);
    assert_eq!(server.query("/users/u-1")["recentOrders"][0]["payment"]["status"], "SETTLED");
    assert_eq!(server.query("/inventory/s-1")["item"]["quantity"], -3);
    let (status, ready) = server.client.get(&format!("{}/ready", server.queries)).unwrap();
    assert_eq!(status, 200, "{ready}");
}

#[test]
fn an_order_travels_by_the_embedded_log() {
    let Some(shop) = Shop::new() else { return };
    an_order_travels(&shop);
}

#[test]
fn an_order_travels_by_kafka() {
    let Some(shop) = Shop::new() else { return };
    let Some(brokers) = brokers() else { return };
    let topic = Topic::new(&brokers, 3);
    an_order_travels(&shop.with("EVENT_LOG", &topic.url()).with("KAFKA_GROUP_ID", topic.name()));
}

#[test]
fn the_sample_shop_survives_a_kill() {
    let Some(shop) = Shop::new() else { return };
    let shop = shop.with("SAMPLE", "on").with("BATCH_EVENTS_MAX", "100");
    let up_to_date = shop.run(&["migrate"]);
    assert!(up_to_date.ok().ends_with("up to date"), "{up_to_date:?}");
    let server = shop.start();
    // Killed after the first batch, most likely before the last one.
    shop.until_projected(1);
    server.process.kill();
    let server = shop.start();
    shop.until_projected(SAMPLE_EVENTS);
    for (query, expected) in [
        ("SELECT COUNT(*) FROM dbo.users", 59),
        ("SELECT COUNT(*) FROM dbo.orders", 412),
        ("SELECT CAST(SUM(amount) * 10000 AS BIGINT) FROM dbo.orders", 23_286_000),
        ("SELECT COUNT(*) FROM dbo.order_items", 2_240),
        ("SELECT COUNT(*) FROM dbo.payments WHERE status = 'SETTLED'", 371),
        ("SELECT COUNT(*) FROM dbo.payments", 412),
        ("SELECT COUNT(*) FROM dbo.inventory", 1_984),
        ("SELECT CAST(SUM(quantity) AS BIGINT) FROM dbo.inventory", 19_840 - 2_240),
        ("SELECT COUNT(*) FROM dbo.projected_events", 1_984 + 2_240),
        ("SELECT COUNT(*) FROM dbo.dead_letters", 0),
    ] {
        assert_eq!(shop.number(query), expected, "{query}");
    }
    let customer = server.query("/users/customer-2");
    let orders = customer["recentOrders"].as_array().unwrap();
    let ids: Vec<_> = orders.iter().map(|order| order["orderId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["invoice-293", "invoice-241", "invoice-219", "invoice-196", "invoice-67"]);
    let page = server.graphql("{ users(first: 100) { nodes { orders(first: 5) { nodes { orderId } } } } }");
    let users = page["users"]["nodes"].as_array().unwrap();
    let shown: usize = users.iter().map(|user| user["orders"]["nodes"].as_array().unwrap().len()).sum();
    assert_eq!((users.len(), shown), (59, 59 * 5));
}

#[test]
fn dead_letters_are_listed_redriven_and_discarded() {
    let Some(shop) = Shop::new() else { return };
    let server = shop.start();
    let beside = |arguments: &[&str]| {
        let mut command = shop.home.command(arguments);
        let command = command.envs(shop.settings.iter().cloned());
        Process::start(command.envs(server.addresses())).finish()
    };
    beside(&["produce", "--file", POISON]).ok();
    shop.until_projected(7);
    let listed = beside(&["dead-letters", "list", "--json"]);
    let letters: Vec<Value> = listed.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(letters.len(), 7);
    let unknown = letters.iter().find(|letter| letter["reason"] == "unknown-type").unwrap();
    assert_eq!((&unknown["eventId"], &unknown["attempts"]), (&json!("test-456"), &json!(1)));
    beside(&["dead-letters", "discard", letters[0]["id"].as_str().unwrap()]).ok();
    beside(&["dead-letters", "redrive", letters[1]["id"].as_str().unwrap()]).ok();
    shop.until_projected(8);
    let open = "SELECT COUNT(*) FROM dbo.dead_letters WHERE state = 'open'";
    assert_eq!(shop.number(open), 6, "one is discarded, one is open again");
    beside(&["dead-letters", "clear", "--yes"]).ok();
    assert_eq!(shop.number(open), 0);
}
