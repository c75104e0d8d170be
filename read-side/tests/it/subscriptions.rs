//! Subscriptions over WebSocket and server-sent events, and clients that break the protocol.

use std::time::Duration;

use async_graphql::futures_util::{SinkExt, StreamExt};
use axum::body::Body;
use axum::http::{Request, header};
use millrace_domain::change::{ChangedOrder, Changes};
use millrace_domain::id::{OrderId, Sku, UserId};
use millrace_mssql::ReadModelUrl;
use millrace_platform::change_feed::ChangeFeed;
use millrace_platform::metrics::{MetricsRegistry, StoreMetrics};
use millrace_read_side::ReadModel;
use millrace_read_side::config::GraphqlConfig;
use millrace_read_side::watchers::{ChangeNotice, Topic, Watchers};
use serde_json::json;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::seed::{ReadSide, database};
use crate::socket::{Client, DEADLINE, until_open};

fn orders(ids: &[(&str, Option<&str>)]) -> Changes {
    let order = |(id, user): &(&str, Option<&str>)| ChangedOrder {
        order_id: OrderId::parse(id).unwrap(),
        user_id: user.map(|user| UserId::parse(user).unwrap()),
    };
    Changes { orders: ids.iter().map(order).collect(), ..Changes::default() }
}

fn inventory(sku: &str) -> Changes {
    Changes { inventory: vec![Sku::parse(sku).unwrap()], ..Changes::default() }
}

impl ReadSide {
    /// Changes rows and publishes the change, as the projector does.
    fn change(&self, rows: &str, changes: Changes) {
        drop(database(&self.path(), rows));
        self.feed.publish(|| vec![changes]);
    }
}

const SETTLE: &str =
    "INSERT INTO payments VALUES ('invoice-6', 'p-6', 9900, 'EUR', NULL, 'SETTLED', 1, 1, 'p-6')";

#[tokio::test]
async fn each_change_is_sent_with_the_current_state() {
    let read_side = ReadSide::seeded();
    let address = read_side.serve().await;
    let mut client = Client::acknowledged(&address).await;
    client
        .subscribe(
            "a",
            "subscription { orderChanged(id: \"invoice-6\") { orderId payment { status } user { name } } }",
        )
        .await;
    client.subscribe("b", "subscription { userOrders(userId: \"customer-2\") { orderId } }").await;
    client.subscribe("c", "subscription { inventoryChanged(sku: \"track-3\") { quantity } }").await;
    until_open(&read_side.registry, "subscriptions", 3).await;

    // Orders of other users are not sent, nor a payment without its order.
    read_side.change("", orders(&[("invoice-20", Some("customer-59")), ("invoice-88", None)]));
    // The change of a payment does not contain the user.
    read_side.change(SETTLE, orders(&[("invoice-6", None)]));
    let mut received = [client.receive().await, client.receive().await];
    received.sort_by_key(|message| message["id"].to_string());
    let order =
        json!({"orderId": "invoice-6", "payment": {"status": "SETTLED"}, "user": {"name": "Leonie Köhler"}});
    assert_eq!(received[0], json!({"type": "next", "id": "a", "payload": {"data": {"orderChanged": order}}}));
    assert_eq!(
        received[1],
        json!({"type": "next", "id": "b", "payload": {"data": {"userOrders": {"orderId": "invoice-6"}}}})
    );
    for quantity in [7, 8] {
        let rows = format!("UPDATE inventory SET quantity = {quantity} WHERE sku = 'track-3'");
        read_side.change(&rows, inventory("track-3"));
        assert_eq!(client.receive().await["payload"]["data"]["inventoryChanged"]["quantity"], quantity);
    }
    // After missed changes a single row is read again; a subscription to many rows ends with an error.
    read_side.change("", Changes { truncated: true, ..Changes::default() });
    let mut received = [client.receive().await, client.receive().await, client.receive().await];
    received.sort_by_key(|message| message["id"].to_string());
    assert_eq!(
        received.each_ref().map(|message| message["type"].as_str().unwrap()),
        ["next", "error", "next"]
    );
    assert_eq!(received[1]["payload"][0]["extensions"]["code"], "CHANGES_MISSED");

    client.send_json(&json!({"type": "complete", "id": "a"})).await;
    until_open(&read_side.registry, "subscriptions", 1).await;
    drop(client);
    until_open(&read_side.registry, "subscriptions", 0).await;
    until_open(&read_side.registry, "sockets", 0).await;
}

#[tokio::test]
async fn queries_run_on_a_socket_and_pass_the_same_guards() {
    let read_side =
        ReadSide::with_graphql(GraphqlConfig { graphql_subscriptions_max: 1, ..GraphqlConfig::default() });
    let mut client = Client::acknowledged(&read_side.serve().await).await;
    client.subscribe("q", "{ user(id: \"customer-60\") { name } }").await;
    let name = json!({"data": {"user": {"name": "山田 🌸 \"Yuki\""}}});
    assert_eq!(client.receive().await, json!({"type": "next", "id": "q", "payload": name}));
    assert_eq!(client.receive().await, json!({"type": "complete", "id": "q"}));

    client.send_json(&json!({"type": "ping", "payload": {"a": 1}})).await;
    assert_eq!(client.receive().await, json!({"type": "pong"}));
    client.send_json(&json!({"type": "complete", "id": "nothing"})).await;

    let cycle = "{ ...A } fragment A on Query { ...A }";
    let two =
        "subscription { a: orderChanged(id: \"a\") { orderId } b: orderChanged(id: \"b\") { orderId } }";
    for (query, code) in [
        (cycle, "FRAGMENT_CYCLE"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { orderChanged(id: \"a b\") { orderId } }", "INVALID_VALUE"),
        (two, "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
    ] {
        client.subscribe("x", query).await;
        let received = client.receive().await;
        assert_eq!((&received["type"], &received["id"]), (&json!("error"), &json!("x")), "{received}");
        assert_eq!(received["payload"][0]["extensions"]["code"], code, "{received}");
    }

    client.subscribe("one", "subscription { orderChanged(id: \"a\") { orderId } }").await;
    client.subscribe("two", "subscription { orderChanged(id: \"a\") { orderId } }").await;
    let received = client.receive().await;
    assert_eq!(received["payload"][0]["extensions"]["code"], "TOO_MANY_SUBSCRIPTIONS");
    assert_eq!(read_side.store.operations("orders"), 0);
}

#[tokio::test]
async fn protocol_errors_close_the_socket_with_their_code() {
    let read_side = ReadSide::seeded();
    let address = read_side.serve().await;
    let init = || Message::text(r#"{"type":"connection_init"}"#);
    let subscribe = || {
        let query = "subscription { orderChanged(id: \"a\") { orderId } }";
        Message::text(json!({"type": "subscribe", "id": "a", "payload": {"query": query}}).to_string())
    };
    let text = |text: &str| Message::text(text.to_owned());
    for (messages, code) in [
        (vec![text("nonsense")], 4400),
        (vec![text("[]")], 4400),
        (vec![text(r#"{"type":"what"}"#)], 4400),
        (vec![Message::binary(vec![1, 2])], 4400),
        (vec![init(), text(r#"{"type":"subscribe","payload":{"query":"{a}"}}"#)], 4400),
        (vec![init(), text(r#"{"type":"subscribe","id":"a"}"#)], 4400),
        (vec![init(), text(r#"{"type":"subscribe","id":"","payload":{"query":"{a}"}}"#)], 4400),
        (vec![init(), text(r#"{"type":"subscribe","id":"a","payload":{"query":5}}"#)], 4400),
        (vec![init(), text(r#"{"type":"subscribe","id":"a","payload":["{a}",null,null,null]}"#)], 4400),
        (vec![init(), text(r#"{"type":"subscribe","id":"a","payload":{}}"#)], 4400),
        (vec![subscribe()], 4401),
        (vec![init(), subscribe(), subscribe()], 4409),
        (vec![init(), init()], 4429),
    ] {
        let mut client = Client::connected(&address).await;
        for message in messages.clone() {
            client.0.send(message).await.unwrap();
        }
        assert_eq!(client.closed().await, code, "{messages:?}");
    }
    let mut client = Client::connect(&address, "", None).await.unwrap();
    assert_eq!(client.closed().await, 4406);
    until_open(&read_side.registry, "sockets", 0).await;
}

#[tokio::test]
async fn connected_clients_are_disconnected() {
    let config = GraphqlConfig {
        graphql_socket_init: Duration::from_millis(20),
        graphql_socket_keep_alive: Duration::from_millis(20),
        ..GraphqlConfig::default()
    };
    let read_side = ReadSide::with_graphql(config);
    let address = read_side.serve().await;
    let mut client = Client::connected(&address).await;
    assert_eq!(client.closed().await, 4408);
    // A client that does not read does not answer pings.
    let unresponsive = Client::acknowledged(&address).await;
    until_open(&read_side.registry, "sockets", 0).await;
    drop(unresponsive);
}

#[tokio::test]
async fn sockets_are_limited_in_number_and_origin() {
    let config = GraphqlConfig {
        graphql_sockets_max: 2,
        graphql_origins: vec!["https://shop.example".to_owned()],
        ..GraphqlConfig::default()
    };
    let read_side = ReadSide::with_graphql(config);
    let address = read_side.serve().await;
    let connect = async |origin: Option<&str>| {
        Client::connect(&address, "graphql-transport-ws", origin).await.map_err(|error| match error {
            Error::Http(response) => response.status().as_u16(),
            other => panic!("{other}"),
        })
    };
    assert_eq!(connect(Some("https://evil.example")).await.err(), Some(403));
    assert_eq!(connect(Some("null")).await.err(), Some(403));
    let own = connect(Some(&format!("http://{address}"))).await.unwrap();
    let _trusted = connect(Some("https://shop.example")).await.unwrap();
    assert_eq!(connect(None).await.err(), Some(503));
    drop(own);
    until_open(&read_side.registry, "sockets", 1).await;
    connect(None).await.unwrap();
}

#[tokio::test]
async fn equal_subscriptions_share_one_read() {
    let read_side = ReadSide::seeded();
    let address = read_side.serve().await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Client::acknowledged(&address).await;
        for id in 0..20 {
            client
                .subscribe(
                    &id.to_string(),
                    "subscription { inventoryChanged(sku: \"track-3\") { quantity } }",
                )
                .await;
        }
        clients.push(client);
    }
    until_open(&read_side.registry, "subscriptions", 200).await;
    read_side.change("UPDATE inventory SET quantity = 7 WHERE sku = 'track-3'", inventory("track-3"));
    for client in &mut clients {
        for _ in 0..20 {
            assert_eq!(client.receive().await["payload"]["data"]["inventoryChanged"]["quantity"], 7);
        }
    }
    assert_eq!(read_side.store.operations("inventory"), 1, "equal subscriptions are executed once");
    drop(clients);
    until_open(&read_side.registry, "subscriptions", 0).await;
}

#[tokio::test]
async fn an_event_stream_is_negotiated_with_accept() {
    let read_side = ReadSide::seeded();
    let query = "subscription%7BinventoryChanged(sku:%22track-3%22)%7Bquantity%7D%7D";
    let request = Request::get(format!("/graphql?query={query}"))
        .header(header::ACCEPT, "text/event-stream")
        .body(Body::empty());
    let response = read_side.open(request.unwrap()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut body = response.into_body().into_data_stream();
    until_open(&read_side.registry, "subscriptions", 1).await;
    read_side.change("UPDATE inventory SET quantity = 7 WHERE sku = 'track-3'", inventory("track-3"));
    let event = tokio::time::timeout(DEADLINE, body.next()).await.unwrap().unwrap().unwrap();
    let event = std::str::from_utf8(&event).unwrap();
    assert!(event.contains("event: next\n"), "{event}");
    assert!(event.contains(r#"data: {"data":{"inventoryChanged":{"quantity":7}}}"#), "{event}");
    drop(body);
    until_open(&read_side.registry, "subscriptions", 0).await;
    until_open(&read_side.registry, "sockets", 0).await;

    let request = Request::post("/graphql")
        .header(header::ACCEPT, "text/event-stream")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(r#"{"query":"{ __typename }"}"#));
    let answer = read_side.send(request.unwrap()).await;
    assert!(answer.text().contains(r#"data: {"data":{"__typename":"Query"}}"#), "{}", answer.text());
    assert!(answer.text().contains("event: complete"), "{}", answer.text());
    let answer =
        read_side.query("subscription { inventoryChanged(sku: \"a\") { quantity } }", json!({})).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[tokio::test]
async fn a_slow_watcher_of_many_rows_is_removed() {
    let read_side = ReadSide::seeded();
    let metrics = StoreMetrics::register(&MetricsRegistry::new());
    let read_model = ReadModel::open(&ReadModelUrl::Sqlite(read_side.path()), metrics).unwrap();
    let feed = ChangeFeed::in_process();
    let watchers = Watchers::new(feed.clone(), read_model);
    let mut of_user = watchers.watch(Topic::OrdersOf(UserId::parse("customer-2").unwrap()));
    let mut of_row = watchers.watch(Topic::Order(OrderId::parse("invoice-1").unwrap()));
    for _ in 0..500 {
        feed.publish(|| vec![orders(&[("invoice-1", Some("customer-2"))])]);
    }
    // Notices are sent in order, so the last one shows that all were sent.
    let mut last = watchers.watch(Topic::Inventory(Sku::parse("track-3").unwrap()));
    feed.publish(|| vec![inventory("track-3")]);
    assert_eq!(last.next().await, Some(ChangeNotice::Row));
    let mut notices = 0;
    while let Some(notice) = of_user.next().await {
        assert_eq!(notice, ChangeNotice::Order(OrderId::parse("invoice-1").unwrap()));
        notices += 1;
    }
    assert_eq!(notices, 256);
    assert_eq!(of_row.next().await, Some(ChangeNotice::Row), "one notice covers all changes of a row");
}
