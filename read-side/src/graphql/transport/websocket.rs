//! GraphQL over WebSocket, by the protocol graphql-transport-ws (docs/adr/0015). One task for each socket:
//!
//! ```text
//! connected ── connection_init ─► acknowledged ── subscribe ─► operations run
//!     │ 4408 timeout                   │ 4429 second init         │ 4409 same id
//!     │ 4401 subscribe                 │                          │
//!     └──────────── 4400 invalid message, 1009 too large, 1001 shutdown or no pong, 1008 too slow ──► closing
//! ```
//!
//! Everything that a socket holds is limited: the time until `connection_init`, the size of messages, concurrent
//! operations, outgoing messages, the time to send one, and silence.

mod close;
mod operation;

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use self::close::Close;
use self::operation::{OperationMessage, OperationSender, Outgoing};
use super::connection_init::headers_of;
use super::parameters::{JsonParameters, NO_QUERY, ParametersError};
use crate::consistency::{Consistency, ConsistencyError, Freshness};
use crate::graphql::execution::{Executor, GraphqlRequest, RequestError};
use crate::graphql::schema::ErrorCode;
use crate::http::access::Unauthenticated;
use crate::http::consistency::requirement;

/// The only supported sub-protocol.
pub(super) const PROTOCOL: &str = "graphql-transport-ws";
/// Messages that wait to be sent. When the queue is full, operations wait.
const OUTGOING_MAX: usize = 32;
/// Longest id of an operation.
const ID_BYTES_MAX: usize = 128;

#[derive(Debug, Clone, Copy)]
pub(super) struct SocketTimes {
    /// Until `connection_init`.
    pub(super) init: Duration,
    /// Between two pings. A client that sends nothing for two of them is disconnected.
    pub(super) keep_alive: Duration,
    /// To send one message.
    pub(super) send: Duration,
}

/// What applies to one socket.
pub(super) struct Session {
    pub(super) times: SocketTimes,
    /// Concurrent operations.
    pub(super) operations_max: usize,
    pub(super) consistency: Consistency,
    /// Set if `connection_init` must contain a token.
    pub(super) unauthenticated: Option<Unauthenticated>,
    pub(super) shutdown: CancellationToken,
}

/// A message of the client.
#[derive(Deserialize)]
struct Incoming {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    payload: Option<Value>,
}

/// Dropping it ends the operation's wait for changes.
struct Operation {
    number: u64,
    _cancel: oneshot::Sender<()>,
}

struct Socket {
    socket: WebSocket,
    executor: Executor,
    session: Session,
    operations: HashMap<String, Operation>,
    /// The number of the last operation, which distinguishes operations that reuse an id.
    last_number: u64,
    outgoing: mpsc::Sender<Outgoing>,
    is_acknowledged: bool,
    last_received: Instant,
}

/// Serves a socket until it is closed, then releases `permit`.
pub(super) async fn serve(
    socket: WebSocket,
    executor: Executor,
    session: Session,
    permit: OwnedSemaphorePermit,
) {
    let _open = executor.count_socket();
    let (outgoing, waiting) = mpsc::channel(OUTGOING_MAX);
    let is_supported = socket.protocol().is_some_and(|protocol| protocol == PROTOCOL);
    let send_time = session.times.send;
    let mut socket = Socket {
        socket,
        executor,
        session,
        operations: HashMap::new(),
        last_number: 0,
        outgoing,
        is_acknowledged: false,
        last_received: Instant::now(),
    };
    let end = if is_supported {
        socket.run(waiting).await
    } else {
        Err(Close::new(4406, "Subprotocol not acceptable"))
    };
    let Socket { socket, operations, .. } = socket;
    // Before the closing handshake, which takes time: operations must not go on for a client that is leaving.
    drop(operations);
    match end {
        Ok(()) => close::answer(socket, send_time).await,
        Err(reason) => close::start(socket, reason, send_time).await,
    }
    drop(permit);
}

impl Socket {
    /// `Ok` if the client has closed the socket or disconnected.
    async fn run(&mut self, mut waiting: mpsc::Receiver<Outgoing>) -> Result<(), Close> {
        let started = Instant::now();
        let shutdown = self.session.shutdown.clone();
        let init = sleep_until(started + self.session.times.init);
        tokio::pin!(init);
        let keep_alive = self.session.times.keep_alive;
        let mut pings = interval_at(started + keep_alive, keep_alive);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                received = self.socket.recv() => match received {
                    Some(Ok(Message::Close(_))) | None => return Ok(()),
                    Some(Ok(message)) => self.receive(message).await?,
                    Some(Err(error)) => return Close::after_error(error),
                },
                Some(outgoing) = waiting.recv() => self.forward(outgoing).await?,
                () = &mut init, if !self.is_acknowledged => {
                    return Err(Close::new(4408, "Connection initialisation timeout"));
                }
                _ = pings.tick() => self.ping().await?,
                () = shutdown.cancelled() => return Err(Close::new(1001, "Server shutting down")),
            }
        }
    }

    async fn ping(&mut self) -> Result<(), Close> {
        if self.last_received.elapsed() >= self.session.times.keep_alive * 2 {
            return Err(Close::new(1001, "No pong received"));
        }
        self.send(Message::Ping(axum::body::Bytes::new())).await
    }

    async fn receive(&mut self, message: Message) -> Result<(), Close> {
        self.last_received = Instant::now();
        let Message::Text(text) = message else {
            return match message {
                Message::Binary(_) => Err(Close::new(4400, "Binary messages are not supported")),
                _ => Ok(()),
            };
        };
        let incoming: Incoming =
            serde_json::from_str(&text).map_err(|_| Close::new(4400, "Invalid message received"))?;
        match (incoming.kind.as_str(), incoming.id) {
            ("connection_init", _) if self.is_acknowledged => {
                Err(Close::new(4429, "Too many initialisation requests"))
            }
            ("connection_init", _) => self.initialise(incoming.payload.as_ref()).await,
            ("ping", _) => self.send_json(&json!({ "type": "pong" })).await,
            ("pong", _) => Ok(()),
            ("subscribe", _) if !self.is_acknowledged => Err(Close::new(4401, "Unauthorized")),
            ("subscribe", Some(id)) => self.subscribe(id, incoming.payload).await,
            ("complete", Some(id)) => {
                self.operations.remove(&id);
                Ok(())
            }
            _ => Err(Close::new(4400, "Invalid message received")),
        }
    }

    /// Checks the client's bearer token and waits for its consistency token.
    async fn initialise(&mut self, payload: Option<&Value>) -> Result<(), Close> {
        let headers =
            headers_of(payload).ok_or_else(|| Close::new(4400, "Invalid payload of connection_init"))?;
        let rejects = |unauthenticated: &Unauthenticated| !unauthenticated.is_allowed_with(&headers);
        if self.session.unauthenticated.as_ref().is_some_and(rejects) {
            return Err(Close::new(4403, "Forbidden"));
        }
        let freshness = match requirement(&headers) {
            Ok(None) => Ok(Freshness::Current),
            Ok(Some(requirement)) => self.session.consistency.wait_for(&requirement).await,
            Err(error) => Err(error),
        };
        let freshness = freshness.map_err(|error| {
            // Clients reconnect after 1013, "try again later".
            let is_late = matches!(error, ConsistencyError::NotYetProjected { .. });
            Close::new(if is_late { 1013 } else { 4400 }, error.kind())
        })?;
        self.is_acknowledged = true;
        match freshness {
            Freshness::Current => self.send_json(&json!({ "type": "connection_ack" })).await,
            Freshness::Stale => {
                let payload = json!({ "Consistency": "stale" });
                self.send_json(&json!({ "type": "connection_ack", "payload": payload })).await
            }
        }
    }

    async fn subscribe(&mut self, id: String, payload: Option<Value>) -> Result<(), Close> {
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return Err(Close::new(4400, format!("id must have 1 to {ID_BYTES_MAX} bytes")));
        }
        if self.operations.contains_key(&id) {
            return Err(Close::new(4409, format!("Subscriber for {id} already exists")));
        }
        let payload = payload.filter(Value::is_object);
        let parameters: JsonParameters = payload
            .and_then(|payload| serde_json::from_value(payload).ok())
            .ok_or_else(|| Close::new(4400, "Invalid payload of subscribe"))?;
        let request = match parameters.into_request() {
            Ok(request) => request,
            Err(ParametersError::NoQuery) => return Err(Close::new(4400, NO_QUERY)),
            Err(ParametersError::Rejected(error)) => return self.reject(&id, error).await,
        };
        if self.operations.len() >= self.session.operations_max {
            let max = self.session.operations_max;
            let message = format!("too many operations on this socket; at most {max} are allowed");
            return self.reject(&id, RequestError::new(ErrorCode::TooManySubscriptions, message)).await;
        }
        self.start(id, request);
        Ok(())
    }

    fn start(&mut self, id: String, request: GraphqlRequest) {
        self.last_number += 1;
        let number = self.last_number;
        let (cancel, cancelled) = oneshot::channel();
        self.operations.insert(id.clone(), Operation { number, _cancel: cancel });
        let sender = OperationSender { id, number, outgoing: self.outgoing.clone() };
        tokio::spawn(operation::run(self.executor.clone(), request, sender, cancelled));
    }

    async fn reject(&mut self, id: &str, error: RequestError) -> Result<(), Close> {
        let errors = error.into_response().errors;
        self.send_json(&json!({ "id": id, "type": "error", "payload": errors })).await
    }

    /// Sends a message of an operation, unless the client has completed the operation meanwhile.
    async fn forward(&mut self, outgoing: Outgoing) -> Result<(), Close> {
        let Outgoing { id, number, message } = outgoing;
        if self.operations.get(&id).is_none_or(|operation| operation.number != number) {
            return Ok(());
        }
        let message = match message {
            OperationMessage::Next(response) => {
                let text = format!(r#"{{"id":{},"type":"next","payload":{response}}}"#, json!(id));
                return self.send(Message::text(text)).await;
            }
            OperationMessage::Error(response) => {
                json!({ "id": id, "type": "error", "payload": response.errors })
            }
            OperationMessage::Complete => json!({ "id": id, "type": "complete" }),
        };
        self.operations.remove(&id);
        self.send_json(&message).await
    }

    async fn send_json(&mut self, message: &Value) -> Result<(), Close> {
        self.send(Message::text(message.to_string())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Close> {
        match timeout(self.session.times.send, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Close::new(1008, "Client too slow")),
        }
    }
}
