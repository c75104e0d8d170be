//! A client of graphql-transport-ws, and waiting for a metric.

use std::time::{Duration, Instant};

use async_graphql::futures_util::{SinkExt, StreamExt};
use millrace_platform::metrics::MetricsRegistry;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// For machines under load.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Client(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub(crate) async fn connect(address: &str, protocol: &str, origin: Option<&str>) -> Result<Self, Error> {
        let mut request = format!("ws://{address}/graphql").into_client_request().unwrap();
        if !protocol.is_empty() {
            request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        tokio_tungstenite::connect_async(request).await.map(|(socket, _)| Self(socket))
    }

    /// Without connection_init.
    pub(crate) async fn connected(address: &str) -> Self {
        Self::connect(address, "graphql-transport-ws", None).await.unwrap()
    }

    pub(crate) async fn acknowledged(address: &str) -> Self {
        let mut client = Self::connected(address).await;
        client.send_json(&json!({"type": "connection_init", "payload": {}})).await;
        assert_eq!(client.receive().await, json!({"type": "connection_ack"}));
        client
    }

    pub(crate) async fn send_json(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    pub(crate) async fn subscribe(&mut self, id: &str, query: &str) {
        self.send_json(&json!({"type": "subscribe", "id": id, "payload": {"query": query}})).await;
    }

    /// The next text message.
    pub(crate) async fn receive(&mut self) -> Value {
        loop {
            let received = tokio::time::timeout(DEADLINE, self.0.next()).await.unwrap();
            match received.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The code of the Close frame.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            let received = tokio::time::timeout(DEADLINE, self.0.next()).await.unwrap();
            match received.unwrap().unwrap() {
                Message::Close(Some(frame)) => return frame.code.into(),
                Message::Close(None) => return 0,
                _ => {}
            }
        }
    }
}

pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) async fn until_open(registry: &MetricsRegistry, what: &str, count: i64) {
    let line = format!("millrace_graphql_{what}_open {count}\n");
    until("open", || registry.render().contains(&line)).await;
}
