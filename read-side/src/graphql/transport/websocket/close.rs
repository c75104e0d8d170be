//! The closing handshake of RFC 6455 (5.5.1 and 7.1.1): each side sends a Close frame and the server closes the
//! connection. Without it clients report 1006 instead of the code.

use std::time::Duration;

use async_graphql::futures_util::SinkExt;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use tokio::time::{sleep, timeout};
use tungstenite::Error;

/// Longest wait for the client's Close frame.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Time for the client to receive the Close frame where its answer cannot be read.
const LINGER: Duration = Duration::from_secs(1);

/// Why the server closes a socket.
#[derive(Debug)]
pub(super) struct Close {
    code: u16,
    reason: String,
    /// After an error in what the client sent, the rest cannot be read.
    can_read: bool,
}

impl Close {
    pub(super) fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), can_read: true }
    }

    /// How to close a socket that failed to receive. `Ok` if the connection is lost.
    pub(super) fn after_error(error: axum::Error) -> Result<(), Self> {
        let error = error.into_inner();
        let (code, reason) = match error.downcast_ref::<Error>() {
            Some(Error::Capacity(_)) => (1009, "Message too large"),
            Some(Error::Utf8(_)) => (1007, "Text is not UTF-8"),
            Some(Error::Protocol(_)) => (1002, "Protocol error"),
            _ => return Ok(()),
        };
        Err(Self { code, reason: reason.to_owned(), can_read: false })
    }
}

/// Answers the client's Close frame: the library has queued the answer, which must be written before the socket is
/// dropped.
pub(super) async fn answer(mut socket: WebSocket, send_time: Duration) {
    let _disconnected = timeout(send_time, socket.flush()).await;
}

/// Sends a Close frame and waits for the client's.
pub(super) async fn start(mut socket: WebSocket, close: Close, send_time: Duration) {
    let frame = CloseFrame { code: close.code, reason: close.reason.into() };
    let sent = timeout(send_time, socket.send(Message::Close(Some(frame)))).await;
    if !matches!(sent, Ok(Ok(()))) {
        return;
    }
    // A connection that is closed with unread data is reset, and the reset can overtake the Close frame. So read what
    // the client sends until its Close frame; where that is impossible, give it time to receive the server's.
    if close.can_read {
        let drained = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _unanswered = timeout(ANSWER_MAX, drained).await;
    } else {
        sleep(LINGER).await;
    }
}
