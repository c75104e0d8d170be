//! A client of graphql-transport-ws, and waiting for what a server counts.

use std::time::{Duration, Instant};

use async_graphql::futures_util::{SinkExt, StreamExt};
use millrace_platform::metrics::MetricsRegistry;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// A machine under load may be slow.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A client of graphql-transport-ws.
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

    /// Connected, but not introduced.
    pub(crate) async fn silent(address: &str) -> Self {
        Self::connect(address, "graphql-transport-ws", None).await.unwrap()
    }

    pub(crate) async fn introduced(address: &str) -> Self {
        let mut client = Self::silent(address).await;
        client.say(&json!({"type": "connection_init", "payload": {}})).await;
        assert_eq!(client.hear().await, json!({"type": "connection_ack"}));
        client
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    pub(crate) async fn subscribe(&mut self, id: &str, query: &str) {
        self.say(&json!({"type": "subscribe", "id": id, "payload": {"query": query}})).await;
    }

    /// The next message that is no ping of the transport.
    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            let heard = tokio::time::timeout(DEADLINE, self.0.next()).await.unwrap();
            match heard.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The code that the socket is closed with.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            let heard = tokio::time::timeout(DEADLINE, self.0.next()).await.unwrap();
            match heard.unwrap().unwrap() {
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
