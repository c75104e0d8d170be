//! The payload of `connection_init`: bearer token and consistency token. And event streams at shutdown.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use millrace_platform::http::ShutdownToken;
use millrace_read_side::ReadConfig;
use millrace_read_side::access::ReadTokens;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::seed::{ReadSide, database};
use crate::socket::{Client, until_open};

const TOKEN: &str = "correct-horse-battery";
const STOCK: &str = "subscription { inventoryChanged(sku: \"track-3\") { quantity } }";

fn waiting(wait: Duration) -> ReadSide {
    ReadSide::with_config(&ReadConfig { consistency_wait: wait, ..ReadConfig::default() })
}

/// Moves the checkpoint of partition 0.
fn project(read_side: &ReadSide, next: i64) {
    let rows = format!(
        "INSERT INTO checkpoints (topic, partition, next_offset) VALUES ('events', 0, {next})
         ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset"
    );
    drop(database(&read_side.path(), &rows));
}

async fn connect_with(address: &str, payload: Value) -> Client {
    let mut client = Client::connected(address).await;
    client.send_json(&json!({"type": "connection_init", "payload": payload})).await;
    client
}

#[tokio::test]
async fn a_socket_waits_for_the_write_of_its_consistency_token() {
    let read_side = waiting(Duration::from_secs(120));
    let address = read_side.serve().await;
    project(&read_side, 1);
    let mut client = connect_with(&address, json!({"Consistency-Token": "events:0:1"})).await;
    let before = read_side.store.operations("checkpoints");
    crate::socket::until("the socket waits", || read_side.store.operations("checkpoints") > before + 1).await;
    project(&read_side, 2);
    assert_eq!(client.receive().await, json!({"type": "connection_ack"}));
    client.subscribe("q", "{ __typename }").await;
    assert_eq!(client.receive().await["payload"]["data"]["__typename"], "Query");
}

#[tokio::test]
async fn a_wait_without_success_is_1013_or_a_stale_ack() {
    let read_side = waiting(Duration::from_millis(30));
    let address = read_side.serve().await;
    project(&read_side, 1);
    let too_early = json!({"consistency-token": "events:0:1"});
    assert_eq!(connect_with(&address, too_early).await.closed().await, 1013);
    let eventual = json!({"Consistency-Token": "events:0:1", "Consistency": "eventual"});
    let stale = json!({"type": "connection_ack", "payload": {"Consistency": "stale"}});
    assert_eq!(connect_with(&address, eventual).await.receive().await, stale);
    for wrong in [json!({"Consistency-Token": "x"}), json!({"Consistency-Token": 5}), json!([]), json!("x")] {
        assert_eq!(connect_with(&address, wrong.clone()).await.closed().await, 4400, "{wrong}");
    }
}

#[tokio::test]
async fn an_event_stream_waits_for_its_consistency_token() {
    let read_side = waiting(Duration::from_millis(30));
    let request = Request::post("/graphql")
        .header(header::ACCEPT, "text/event-stream")
        .header(header::CONTENT_TYPE, "application/json")
        .header("consistency-token", "events:0:0")
        .body(Body::from(json!({ "query": STOCK }).to_string()));
    read_side.send(request.unwrap()).await.assert_problem(503, &["not-yet-projected"]);
}

fn locked() -> ReadSide {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, TOKEN).unwrap();
    let tokens = ReadTokens::load(file.to_str().unwrap()).unwrap();
    ReadSide::with_config(&ReadConfig { read_tokens_file: Some(tokens), ..ReadConfig::default() })
}

#[tokio::test]
async fn a_socket_can_send_its_bearer_token_in_connection_init() {
    let read_side = locked();
    let address = read_side.serve().await;
    for wrong in [json!({}), json!(null), json!({"Authorization": "Bearer of-another-server"})] {
        assert_eq!(connect_with(&address, wrong.clone()).await.closed().await, 4403, "{wrong}");
    }
    let mut unauthenticated = Client::connected(&address).await;
    unauthenticated.subscribe("a", STOCK).await;
    assert_eq!(unauthenticated.closed().await, 4401);
    let mut client = connect_with(&address, json!({"authorization": format!("Bearer {TOKEN}")})).await;
    assert_eq!(client.receive().await, json!({"type": "connection_ack"}));
    client.subscribe("q", "{ user(id: \"customer-59\") { name } }").await;
    assert_eq!(client.receive().await["payload"]["data"]["user"]["name"], "Puja Srivastava");
}

#[tokio::test]
async fn pages_need_no_token_and_everything_else_does() {
    let read_side = locked();
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    let get = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::get(path).header(header::ACCEPT, browser);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read_side.send(request.body(Body::empty()).unwrap()).await
    };
    for page in ["/graphql", "/graphql/editor"] {
        let answer = get(page, &[]).await;
        assert_eq!(answer.status, 200, "{page}");
        assert!(answer.header(header::CONTENT_TYPE).starts_with("text/html"), "{page}");
    }
    // An incomplete upgrade, a query and the schema are not pages.
    let upgrade: &[_] = &[("upgrade", "websocket"), ("connection", "upgrade")];
    for (path, headers) in [
        ("/graphql?query=%7B__typename%7D", &[][..]),
        ("/graphql?query=%7B__typename%7D", upgrade),
        ("/graphql?extensions=%7B%7D", &[]),
        ("/graphql/schema", &[]),
        ("/users", upgrade),
    ] {
        get(path, headers).await.assert_problem(401, &["unauthorized"]);
    }
    let request = Request::get("/graphql").header(header::ACCEPT, "application/json").body(Body::empty());
    read_side.send(request.unwrap()).await.assert_problem(401, &["unauthorized"]);
}

#[tokio::test]
async fn an_event_stream_ends_without_complete_on_shutdown() {
    let read_side = ReadSide::seeded();
    let stop = CancellationToken::new();
    let mut request = Request::post("/graphql")
        .header(header::ACCEPT, "text/event-stream")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(json!({ "query": STOCK }).to_string()))
        .unwrap();
    request.extensions_mut().insert(ShutdownToken(stop.clone()));
    let response = read_side.open(request).await;
    until_open(&read_side.registry, "subscriptions", 1).await;
    stop.cancel();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = std::str::from_utf8(&body).unwrap();
    assert!(!text.contains("complete"), "it ends without complete, so that the client reconnects: {text}");
    until_open(&read_side.registry, "sockets", 0).await;
}
