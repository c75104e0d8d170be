//! Serving connections: so many and no more, each under the time-outs of its port, until shutdown and a deadline.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{io, pin::Pin};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::config::{CorsOrigins, HttpConfig, Limits};
use super::paced_io::{PacedIo, Turn};
use super::tls::Tls;
use super::{cors, edge, timed_body};
use crate::problem::Problem;

/// How long connections may go on after the signal to stop. Shorter than [`crate::shutdown::DEADLINE`].
const DRAIN: Duration = Duration::from_secs(3);
/// Bytes of a request's head, at most: a Consistency-Token of a thousand partitions fits.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Headers of a request, at most.
const HEADERS_MAX: usize = 64;
/// Connections that are told at the same time that there are too many; beyond that they are closed without a word.
const REFUSED_MAX: usize = 64;
/// How long the answer to a refused connection may take to be read.
const REFUSED_WAIT: Duration = Duration::from_secs(1);
/// How long nothing is accepted after the system had nothing left for a connection (file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const REFUSAL: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 142\r\n\r\n{\"type\":\"/problems/overloaded\",\"title\":\"There is too much to do\",\"status\":503,\"detail\":\"too many connections are open; try again in a second\"}";

/// How a port serves.
#[derive(Debug, Clone, Default)]
pub struct Serving {
    limits: Limits,
    cors: CorsOrigins,
    tls: Option<Tls>,
}

impl Serving {
    /// By settings.
    ///
    /// # Errors
    /// A certificate or key that cannot be used.
    pub fn new(config: &HttpConfig) -> Result<Self, super::tls::TlsError> {
        Ok(Self { limits: config.limits(), cors: config.cors_origins.clone(), tls: Tls::new(config)? })
    }

    /// Without TLS, for no foreign page, under these limits.
    pub fn limited(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// With this setting of which foreign pages may ask.
    #[must_use]
    pub fn for_origins(mut self, origins: CorsOrigins) -> Self {
        self.cors = origins;
        self
    }

    /// The same without TLS and for no foreign page: for a port that only machines know.
    #[must_use]
    pub fn plain(&self) -> Self {
        Self { limits: self.limits.clone(), cors: CorsOrigins::None, tls: None }
    }

    /// `https` or `http`
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Serves until `stop`; then idle connections are closed at once and the others after their answer, or when the
    /// deadline has passed. WebSockets and streams are told to end; see [`Stopping`].
    pub async fn run(self, listener: TcpListener, router: Router, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.limits.connections_max as usize));
        let all = self.limits.connections_max;
        let cut = CancellationToken::new();
        let port = Arc::new(Port {
            router: cors::allow(router, &self.cors).with_state(()),
            at_work: AtomicU32::new(0),
            refusing: Arc::new(Semaphore::new(REFUSED_MAX)),
            limits: self.limits,
            tls: self.tls,
            stop: stop.clone(),
            cut: cut.clone(),
        });
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => port.clone().take(stream, peer, &places),
                Err(error) => after_failed_accept(&error).await,
            }
        }
        drop(listener);
        // Whoever holds every place knows that no connection is left.
        if timeout(DRAIN, places.acquire_many(all)).await.is_err() {
            tracing::warn!("connections are still busy; they are cut");
            cut.cancel();
        }
    }
}

/// Told to the handler of a request whose answer has no end of its own, because another protocol or a stream of events
/// is asked for: it has to end with the process.
#[derive(Debug, Clone)]
pub struct Stopping(pub CancellationToken);

fn is_endless(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    headers.contains_key(header::UPGRADE)
        || accepted.is_some_and(|accepted| accepted.contains("text/event-stream"))
}

/// A client that was gone before it was accepted is nobody's concern; anything else is, and may last.
async fn after_failed_accept(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    tracing::error!("a connection cannot be accepted: {error}");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// What all connections of a port share.
struct Port {
    router: Router,
    limits: Limits,
    tls: Option<Tls>,
    /// Requests worked on.
    at_work: AtomicU32,
    refusing: Arc<Semaphore>,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Port {
    fn take(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, places: &Arc<Semaphore>) {
        let Ok(place) = places.clone().try_acquire_owned() else {
            self.refuse(stream);
            return;
        };
        // Answers are written whole; waiting for more to send with them only delays them.
        let _only_slower = stream.set_nodelay(true);
        tokio::spawn(async move {
            let Some(tls) = &self.tls else {
                return self.talk(stream, peer, place).await;
            };
            if let Ok(Ok(stream)) = timeout(self.limits.header, tls.accept(stream)).await {
                self.talk(stream, peer, place).await;
            }
        });
    }

    /// One connection more than there may be. Behind TLS the answer would cost more than it is worth.
    fn refuse(&self, mut stream: TcpStream) {
        let Ok(permit) = self.refusing.clone().try_acquire_owned() else { return };
        if self.tls.is_some() {
            return;
        }
        let told = async move {
            stream.write_all(REFUSAL.as_bytes()).await?;
            stream.shutdown().await?;
            // Closing while bytes lie unread would take the answer away from the client.
            let mut unread = [0; 1024];
            while stream.read(&mut unread).await? > 0 {}
            drop(permit);
            io::Result::Ok(())
        };
        tokio::spawn(timeout(REFUSED_WAIT, told));
    }

    async fn talk<T>(self: Arc<Self>, stream: T, peer: SocketAddr, place: OwnedSemaphorePermit)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let turn = Arc::new(Turn::new());
        // Tokens of their own: every connection asks at every wake-up, and all would wait for one lock.
        let (stop, cut) = (self.stop.child_token(), self.cut.child_token());
        let io = PacedIo::new(stream, turn.clone(), &self.limits, cut.clone().cancelled_owned(), place);
        let service = service_fn(move |request| {
            // At once: before it asks for the answer, hyper looks whether there are more bytes.
            turn.begin();
            self.clone().answer(request, peer, Ended(turn.clone()))
        });
        let mut protocol = http1::Builder::new();
        protocol
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(HEAD_BYTES_MAX * 2)
            .max_headers(HEADERS_MAX);
        let connection = protocol.serve_connection(TokioIo::new(io), service).with_upgrades();
        let mut connection = pin!(connection);
        // How a connection ends is the client's business: hung up, too slow, not HTTP.
        tokio::select! {
            biased;
            _ended = connection.as_mut() => return,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            biased;
            _ended = connection => {}
            () = cut.cancelled() => {}
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        ended: Ended,
    ) -> Result<Response<Answer>, Infallible> {
        let Some(_work) = self.admit(request.uri().path()) else {
            return Ok(Answer::of(edge::dressed(overloaded()), ended));
        };
        let mut request = request.map(|body| timed_body::timed(body, self.limits.body));
        request.extensions_mut().insert(ConnectInfo(peer));
        if is_endless(request.headers()) {
            request.extensions_mut().insert(Stopping(self.stop.clone()));
        }
        let response = timeout(self.limits.request, self.router.clone().call(request)).await;
        let response = response.unwrap_or_else(|_| Ok(edge::dressed(took_too_long())))?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            ended.0.upgrade();
        }
        Ok(Answer::of(response, ended))
    }

    /// Room for one more request, unless there is too much to do. Who asks how we are is always answered.
    fn admit(&self, path: &str) -> Option<Work<'_>> {
        let work = Work(&self.at_work);
        let before = self.at_work.fetch_add(1, Ordering::Relaxed);
        let room = before < self.limits.requests_max || matches!(path, "/health" | "/metrics");
        room.then_some(work)
    }
}

/// A request that is worked on.
struct Work<'a>(&'a AtomicU32);

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn overloaded() -> Response<Body> {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded")
        .detail("too many requests in progress; retry after a second")
        .retry_after(1)
        .into_response()
}

fn took_too_long() -> Response<Body> {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout")
        .detail("the request timed out and may still complete; retry with the same ids")
        .retry_after(1)
        .into_response()
}

/// Gives the turn back to the client when it is dropped.
struct Ended(Arc<Turn>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The body of an answer, which ends the turn when it has been handed over or given up.
struct Answer {
    body: Body,
    _ended: Ended,
}

impl Answer {
    fn of(response: Response<Body>, ended: Ended) -> Response<Self> {
        response.map(|body| Self { body, _ended: ended })
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let (head, body) = REFUSAL.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len()))
                || head.ends_with(&format!("content-length: {}", body.len())),
            "{}",
            body.len()
        );
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["status"], 503);
    }
}
