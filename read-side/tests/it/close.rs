//! The closing handshake of WebSockets: the client receives a code in every case, never 1006.

use async_graphql::futures_util::{SinkExt, StreamExt};
use millrace_platform::http::ShutdownToken;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_util::sync::CancellationToken;

use crate::seed::ReadSide;
use crate::socket::{Client, DEADLINE, until_open};

/// Larger than GRAPHQL_BODY_BYTES_MAX by default.
const TOO_LARGE: usize = 64 * 1024 + 1;

/// Checks that the connection ends without an error after the Close frames.
async fn assert_closed(mut client: Client) {
    let end = tokio::time::timeout(DEADLINE, client.0.next()).await.unwrap();
    assert!(end.is_none(), "{end:?}");
}

#[tokio::test]
async fn the_server_answers_a_close_frame() {
    let read_side = ReadSide::seeded();
    let address = read_side.serve().await;
    for frame in [Some(CloseFrame { code: CloseCode::Normal, reason: "done".into() }), None] {
        let mut client = Client::acknowledged(&address).await;
        client.subscribe("a", "subscription { inventoryChanged(sku: \"track-3\") { quantity } }").await;
        until_open(&read_side.registry, "subscriptions", 1).await;
        let expected = if frame.is_some() { 1000 } else { 0 };
        client.0.close(frame).await.unwrap();
        assert_eq!(client.closed().await, expected);
        assert_closed(client).await;
        until_open(&read_side.registry, "subscriptions", 0).await;
        until_open(&read_side.registry, "sockets", 0).await;
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_closes_with_1009() {
    let read_side = ReadSide::seeded();
    let address = read_side.serve().await;
    for size in [TOO_LARGE, 1_000_000] {
        let mut client = Client::acknowledged(&address).await;
        client.0.send(Message::text("x".repeat(size))).await.unwrap();
        assert_eq!(client.closed().await, 1009, "{size} bytes");
    }
    // In fragments, each of which is small enough.
    let mut client = Client::acknowledged(&address).await;
    let fragment = |code| Frame::message(vec![b'x'; TOO_LARGE / 2 + 1], OpCode::Data(code), false);
    client.0.send(Message::Frame(fragment(Data::Text))).await.unwrap();
    client.0.send(Message::Frame(fragment(Data::Continue))).await.unwrap();
    assert_eq!(client.closed().await, 1009, "in fragments");
    until_open(&read_side.registry, "sockets", 0).await;
}

#[tokio::test]
async fn text_that_is_not_utf_8_closes_with_1007() {
    let read_side = ReadSide::seeded();
    let mut client = Client::acknowledged(&read_side.serve().await).await;
    let frame = Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true);
    client.0.send(Message::Frame(frame)).await.unwrap();
    assert_eq!(client.closed().await, 1007);
}

#[tokio::test]
async fn the_code_of_the_server_arrives_also_if_the_client_goes_on_sending() {
    let read_side = ReadSide::seeded();
    let address = read_side.serve().await;
    for (first, code) in [
        (json!({"type": "unknown"}), 4400),
        (json!({"type": "subscribe", "id": "a", "payload": {"query": "{ __typename }"}}), 4401),
    ] {
        let mut client = Client::connected(&address).await;
        client.send_json(&first).await;
        for _ in 0..100 {
            // The server can have closed the connection by now.
            let _closed = client.0.feed(Message::text(r#"{"type":"ping"}"#)).await;
        }
        let _closed = client.0.flush().await;
        assert_eq!(client.closed().await, code);
        assert_closed(client).await;
    }
}

#[tokio::test]
async fn a_shutdown_closes_with_1001() {
    let read_side = ReadSide::seeded();
    let shutdown = CancellationToken::new();
    let address = read_side.serve_until(ShutdownToken(shutdown.clone())).await;
    let mut client = Client::acknowledged(&address).await;
    shutdown.cancel();
    assert_eq!(client.closed().await, 1001);
    assert_closed(client).await;
}

#[tokio::test]
async fn a_client_that_offers_both_protocols_gets_the_supported_one() {
    let read_side = ReadSide::seeded();
    let address = read_side.serve().await;
    for offered in ["graphql-ws, graphql-transport-ws", "graphql-transport-ws, graphql-ws"] {
        let mut client = Client::connect(&address, offered, None).await.unwrap();
        client.send_json(&json!({"type": "connection_init"})).await;
        assert_eq!(client.receive().await, json!({"type": "connection_ack"}), "{offered}");
    }
}

#[tokio::test]
async fn a_client_without_the_supported_protocol_is_closed_with_4406() {
    let read_side = ReadSide::seeded();
    let address = read_side.serve().await;
    for headers in ["", "sec-websocket-protocol: graphql-ws\r\n", "sec-websocket-protocol: soap\r\n"] {
        assert_eq!(raw_close_code(&address, headers).await, 4406, "{headers}");
    }
}

/// The code of the first frame of the server. Without tungstenite, which rejects an upgrade without the protocol that it
/// offered.
async fn raw_close_code(address: &str, headers: &str) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /graphql HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"\r\n\r\n") {
        received.push(tokio::time::timeout(DEADLINE, stream.read_u8()).await.unwrap().unwrap());
    }
    assert!(received.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&received));
    // FIN and opcode 8, then the length.
    let mut frame_header = [0; 2];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut frame_header)).await.unwrap().unwrap();
    assert_eq!(frame_header[0], 0x88);
    stream.read_u16().await.unwrap()
}
