//! GraphQL over WebSocket, by the protocol graphql-transport-ws. One task per socket; everything it holds is bounded:
//! the time until the client introduces itself, the size of messages, operations at once, what waits to be sent, the
//! time one message takes to be sent, and silence.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Response;
use async_graphql::parser::types::OperationType;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::errors::{Code, Refused};
use super::introduction::headers_of;
use super::live::{Open, Said, json as written};
use super::parameters::{JsonParameters, NO_QUERY, NotAsked};
use super::{Asked, Executor, Outcome, Stage, kind};
use crate::access::Unproven;
use crate::consistency::Consistency;

/// The one protocol that is spoken.
pub(super) const PROTOCOL: &str = "graphql-transport-ws";
/// Answers that wait to be sent. When they are as many, operations wait, and what they watch notices.
const OUTGOING_MAX: usize = 32;
/// Longest name that a client gives an operation.
const ID_BYTES_MAX: usize = 128;

/// How long things on a socket may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct SocketTimes {
    /// Until the client introduces itself.
    pub(super) init: Duration,
    /// Between two signs of life that are asked for; a client that gives none for two of them is gone.
    pub(super) keep_alive: Duration,
    /// For one message to be sent.
    pub(super) send: Duration,
}

/// On which terms a socket is served.
pub(super) struct Terms {
    pub(super) times: SocketTimes,
    /// Operations at once.
    pub(super) operations_max: usize,
    /// For a token of what the client has written.
    pub(super) consistency: Consistency,
    /// Whether the client has still to show that it may read.
    pub(super) unproven: Option<Unproven>,
    /// When the process ends.
    pub(super) stop: CancellationToken,
}

/// Why a socket is closed, by the protocol.
struct Close(u16, String);

impl Close {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        Self(code, reason.into())
    }
}

/// What the client says.
#[derive(Deserialize)]
struct Incoming {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    payload: Option<Value>,
}

/// What an operation says.
struct Outgoing {
    id: String,
    /// Tells the operation from an earlier one of the same name.
    number: u64,
    said: Spoken,
}

enum Spoken {
    Next(Arc<str>),
    Error(Arc<Response>),
    Complete,
}

/// Dropping it ends the operation's wait for changes.
struct Operation {
    number: u64,
    _end: oneshot::Sender<()>,
}

/// A socket and what runs on it.
pub(super) struct Socket {
    socket: WebSocket,
    executor: Executor,
    terms: Terms,
    operations: HashMap<String, Operation>,
    /// How many there have been.
    last: u64,
    outgoing: mpsc::Sender<Outgoing>,
    introduced: bool,
    heard: Instant,
}

/// Serves a socket until it is closed. `permit` counts it among those of the process.
pub(super) async fn serve(socket: WebSocket, executor: Executor, terms: Terms, permit: OwnedSemaphorePermit) {
    let _open = Open::count(&executor.0.metrics.sockets);
    let (outgoing, waiting) = mpsc::channel(OUTGOING_MAX);
    let is_spoken = socket.protocol().is_some_and(|protocol| protocol == PROTOCOL);
    let mut socket = Socket {
        socket,
        executor,
        terms,
        operations: HashMap::new(),
        last: 0,
        outgoing,
        introduced: false,
        heard: Instant::now(),
    };
    let ended = if is_spoken {
        socket.run(waiting).await
    } else {
        Err(Close::new(4406, "Subprotocol not acceptable"))
    };
    if let Err(Close(code, reason)) = ended {
        let frame = CloseFrame { code, reason: reason.into() };
        // The client may be gone already; then there is nobody to tell.
        let _gone = timeout(socket.terms.times.send, socket.socket.send(Message::Close(Some(frame)))).await;
    }
    drop(permit);
}

impl Socket {
    /// `Ok` when the client has left.
    async fn run(&mut self, mut waiting: mpsc::Receiver<Outgoing>) -> Result<(), Close> {
        let started = Instant::now();
        let stop = self.terms.stop.clone();
        let init = sleep_until(started + self.terms.times.init);
        tokio::pin!(init);
        let mut ticks = interval_at(started + self.terms.times.keep_alive, self.terms.times.keep_alive);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                received = self.socket.recv() => match received {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                    Some(Ok(message)) => self.take(message).await?,
                },
                Some(outgoing) = waiting.recv() => self.pass_on(outgoing).await?,
                () = &mut init, if !self.introduced => {
                    return Err(Close::new(4408, "Connection initialisation timeout"));
                }
                _ = ticks.tick() => self.ask_for_life().await?,
                () = stop.cancelled() => return Err(Close::new(1001, "The server is going away")),
            }
        }
    }

    async fn ask_for_life(&mut self) -> Result<(), Close> {
        if self.heard.elapsed() >= self.terms.times.keep_alive * 2 {
            return Err(Close::new(1001, "No sign of life"));
        }
        self.send(Message::Ping(axum::body::Bytes::new())).await
    }

    async fn take(&mut self, message: Message) -> Result<(), Close> {
        self.heard = Instant::now();
        let Message::Text(text) = message else {
            return match message {
                Message::Binary(_) => Err(Close::new(4400, "Messages are text")),
                _ => Ok(()),
            };
        };
        let incoming: Incoming =
            serde_json::from_str(&text).map_err(|_| Close::new(4400, "Invalid message received"))?;
        match (incoming.kind.as_str(), incoming.id) {
            ("connection_init", _) if self.introduced => {
                Err(Close::new(4429, "Too many initialisation requests"))
            }
            ("connection_init", _) => self.introduce(incoming.payload.as_ref()).await,
            ("ping", _) => self.tell(&json!({ "type": "pong" })).await,
            ("pong", _) => Ok(()),
            ("subscribe", _) if !self.introduced => Err(Close::new(4401, "Unauthorized")),
            ("subscribe", Some(id)) => self.subscribe(id, incoming.payload).await,
            ("complete", Some(id)) => {
                self.operations.remove(&id);
                Ok(())
            }
            _ => Err(Close::new(4400, "Invalid message received")),
        }
    }

    /// Takes what the client says of itself: whether it may read, and what it has written and wants to see.
    async fn introduce(&mut self, payload: Option<&Value>) -> Result<(), Close> {
        let headers =
            headers_of(payload).ok_or_else(|| Close::new(4400, "Invalid payload of connection_init"))?;
        if self.terms.unproven.as_ref().is_some_and(|unproven| !unproven.is_proven_by(&headers)) {
            return Err(Close::new(4403, "Forbidden"));
        }
        let is_stale = self.terms.consistency.wait_for(&headers).await.map_err(|problem| {
            // What is asked for too early may be asked for again, and clients do so after this code.
            let code = if problem.status().is_server_error() { 1013 } else { 4400 };
            Close::new(code, problem.kind())
        })?;
        self.introduced = true;
        if is_stale {
            return self
                .tell(&json!({ "type": "connection_ack", "payload": { "Consistency": "stale" } }))
                .await;
        }
        self.tell(&json!({ "type": "connection_ack" })).await
    }

    async fn subscribe(&mut self, id: String, payload: Option<Value>) -> Result<(), Close> {
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return Err(Close::new(4400, format!("An id has 1 to {ID_BYTES_MAX} bytes")));
        }
        if self.operations.contains_key(&id) {
            return Err(Close::new(4409, format!("Subscriber for {id} already exists")));
        }
        let payload = payload.filter(Value::is_object);
        let parameters: JsonParameters = payload
            .and_then(|payload| serde_json::from_value(payload).ok())
            .ok_or_else(|| Close::new(4400, "Invalid payload of subscribe"))?;
        let asked = match parameters.asked() {
            Ok(asked) => asked,
            Err(NotAsked::NoQuery) => return Err(Close::new(4400, NO_QUERY)),
            Err(NotAsked::Refused(refused)) => return self.refuse(&id, refused).await,
        };
        if self.operations.len() >= self.terms.operations_max {
            let words = format!("At most {} operations run on one socket.", self.terms.operations_max);
            return self.refuse(&id, Refused::new(Code::TooManySubscriptions, words)).await;
        }
        self.begin(id, asked);
        Ok(())
    }

    fn begin(&mut self, id: String, asked: Asked) {
        self.last += 1;
        let number = self.last;
        let (end, ended) = oneshot::channel();
        self.operations.insert(id.clone(), Operation { number, _end: end });
        let speaker = Speaker { id, number, outgoing: self.outgoing.clone() };
        tokio::spawn(operate(self.executor.clone(), asked, speaker, ended));
    }

    async fn refuse(&mut self, id: &str, refused: Refused) -> Result<(), Close> {
        let errors = Outcome::refused(refused).response.errors;
        self.tell(&json!({ "id": id, "type": "error", "payload": errors })).await
    }

    /// What an operation says, unless the client has ended it meanwhile.
    async fn pass_on(&mut self, outgoing: Outgoing) -> Result<(), Close> {
        let Outgoing { id, number, said } = outgoing;
        if self.operations.get(&id).is_none_or(|operation| operation.number != number) {
            return Ok(());
        }
        let message = match said {
            Spoken::Next(answer) => {
                let text = format!(r#"{{"id":{},"type":"next","payload":{answer}}}"#, json!(id));
                return self.send(Message::text(text)).await;
            }
            Spoken::Error(response) => json!({ "id": id, "type": "error", "payload": response.errors }),
            Spoken::Complete => json!({ "id": id, "type": "complete" }),
        };
        self.operations.remove(&id);
        self.tell(&message).await
    }

    async fn tell(&mut self, message: &Value) -> Result<(), Close> {
        self.send(Message::text(message.to_string())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Close> {
        match timeout(self.terms.times.send, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            // Nobody reads the close frame either, but the socket is done with.
            Ok(Err(_)) | Err(_) => Err(Close::new(1008, "Too slow")),
        }
    }
}

/// Where an operation says what it has to say.
struct Speaker {
    id: String,
    number: u64,
    outgoing: mpsc::Sender<Outgoing>,
}

impl Speaker {
    /// Waits while too much waits to be sent.
    async fn say(&self, said: Spoken) {
        let outgoing = Outgoing { id: self.id.clone(), number: self.number, said };
        // A socket that is closed hears nothing.
        let _closed = self.outgoing.send(outgoing).await;
    }

    async fn fail(&self, response: Response) {
        self.say(Spoken::Error(Arc::new(response))).await;
    }
}

/// Runs an operation to its end, or until `ended`: between two answers, never within what the database does.
async fn operate(executor: Executor, asked: Asked, speaker: Speaker, mut ended: oneshot::Receiver<()>) {
    let document = match executor.find(&asked) {
        Ok(document) => document,
        Err(refused) => return speaker.fail(Outcome::refused(refused).response).await,
    };
    if kind(&document, &asked) != OperationType::Subscription {
        let outcome = executor.execute(document, asked).await;
        if outcome.stage != Stage::Executed {
            return speaker.fail(outcome.response).await;
        }
        speaker.say(Spoken::Next(written(&outcome.response))).await;
        return speaker.say(Spoken::Complete).await;
    }
    let mut live = match executor.subscribe(document, asked).await {
        Ok(live) => live,
        Err(outcome) => return speaker.fail(outcome.response).await,
    };
    loop {
        let said = tokio::select! {
            said = live.next() => said,
            _ = &mut ended => return,
        };
        match said {
            Said::Next(answer) => speaker.say(Spoken::Next(answer)).await,
            Said::End(response) => return speaker.say(Spoken::Error(response)).await,
        }
    }
}
