//! The HTTP server: limits on connections and requests, time-outs, and a graceful shutdown with a deadline.

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
use super::paced_io::{ConnectionState, PacedIo};
use super::tls::{Tls, TlsError};
use super::{cors, edge, timed_body};
use crate::problem::Problem;

/// How long a graceful shutdown waits for connections. Shorter than [`crate::shutdown::DEADLINE`].
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum size of a request's head. A consistency token of a thousand partitions fits.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Maximum number of headers of a request.
const HEADERS_MAX: usize = 64;
/// Connections that can receive [`REFUSAL`] at the same time. Further ones are closed without a response.
const REFUSALS_MAX: usize = 64;
/// How long a client can take to read [`REFUSAL`].
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// Delay after a failed accept, for example because there are no file descriptors left.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);
const REFUSAL: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 133\r\n\r\n{\"type\":\"/problems/overloaded\",\"title\":\"Service unavailable\",\"status\":503,\"detail\":\"too many open connections; retry after a second\"}";

/// The configuration of a server for one port.
#[derive(Debug, Clone, Default)]
pub struct HttpServer {
    limits: Limits,
    cors: CorsOrigins,
    tls: Option<Tls>,
}

impl HttpServer {
    /// # Errors
    /// [`TlsError`] for an invalid certificate or key.
    pub fn new(config: &HttpConfig) -> Result<Self, TlsError> {
        Ok(Self { limits: config.limits(), cors: config.cors_origins.clone(), tls: Tls::new(config)? })
    }

    /// With these limits, without TLS and CORS.
    pub fn with_limits(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Allows requests from pages of these origins.
    #[must_use]
    pub fn with_origins(mut self, origins: CorsOrigins) -> Self {
        self.cors = origins;
        self
    }

    /// The same limits without TLS and CORS, for a port that browsers do not use.
    #[must_use]
    pub fn plain(&self) -> Self {
        Self { limits: self.limits.clone(), cors: CorsOrigins::None, tls: None }
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Serves until `stop` is cancelled. Then closes idle connections at once, the others after their response or after
    /// a deadline. WebSockets and event streams end through [`ShutdownToken`].
    pub async fn run(self, listener: TcpListener, router: Router, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(self.limits.connections_max as usize));
        let permits_max = self.limits.connections_max;
        let abort = CancellationToken::new();
        let port = Arc::new(Port {
            router: cors::allow(router, &self.cors).with_state(()),
            in_flight: AtomicU32::new(0),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            limits: self.limits,
            tls: self.tls,
            stop: stop.clone(),
            abort: abort.clone(),
        });
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => port.clone().accept(stream, peer, &permits),
                Err(error) => after_failed_accept(&error).await,
            }
        }
        drop(listener);
        // Each connection holds a permit, so all of them are available once no connection is left.
        if timeout(DRAIN_TIMEOUT, permits.acquire_many(permits_max)).await.is_err() {
            tracing::warn!(target: "millrace::platform", "aborting connections that are still busy");
            abort.cancel();
        }
    }
}

/// Request extension for WebSockets and event streams. They have no end of their own, so their handlers must end them
/// when the token is cancelled.
#[derive(Debug, Clone)]
pub struct ShutdownToken(pub CancellationToken);

fn is_endless(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    headers.contains_key(header::UPGRADE)
        || accepted.is_some_and(|accepted| accepted.contains("text/event-stream"))
}

async fn after_failed_accept(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    // The client disconnected before it was accepted.
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    // Other errors can last, so a delay keeps this from being a busy loop.
    tracing::error!(target: "millrace::platform", "failed to accept a connection: {error}");
    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
}

/// The state that all connections of a port share.
struct Port {
    router: Router,
    limits: Limits,
    tls: Option<Tls>,
    /// The number of requests in progress.
    in_flight: AtomicU32,
    refusals: Arc<Semaphore>,
    stop: CancellationToken,
    abort: CancellationToken,
}

impl Port {
    fn accept(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, permits: &Arc<Semaphore>) {
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            self.refuse(stream);
            return;
        };
        // Responses are written completely, so waiting for more bytes would only delay them. Best effort.
        let _best_effort = stream.set_nodelay(true);
        tokio::spawn(async move {
            let Some(tls) = &self.tls else {
                return self.serve(stream, peer, permit).await;
            };
            if let Ok(Ok(stream)) = timeout(self.limits.header, tls.accept(stream)).await {
                self.serve(stream, peer, permit).await;
            }
        });
    }

    /// Responds to a connection beyond the limit with [`REFUSAL`].
    fn refuse(&self, mut stream: TcpStream) {
        let Ok(permit) = self.refusals.clone().try_acquire_owned() else { return };
        // A TLS handshake would take more work than the limit is meant to save.
        if self.tls.is_some() {
            return;
        }
        let respond = async move {
            stream.write_all(REFUSAL.as_bytes()).await?;
            stream.shutdown().await?;
            // Closing a socket with unread bytes resets the connection, and the client would lose the response.
            let mut unread = [0; 1024];
            while stream.read(&mut unread).await? > 0 {}
            drop(permit);
            io::Result::Ok(())
        };
        tokio::spawn(timeout(REFUSAL_TIMEOUT, respond));
    }

    async fn serve<T>(self: Arc<Self>, stream: T, peer: SocketAddr, permit: OwnedSemaphorePermit)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let state = Arc::new(ConnectionState::new());
        // Child tokens, because each connection checks its tokens at each wake-up and one token has one lock.
        let (stop, abort) = (self.stop.child_token(), self.abort.child_token());
        let io = PacedIo::new(stream, state.clone(), &self.limits, abort.clone().cancelled_owned(), permit);
        let service = service_fn(move |request| {
            // Here and not in the future: hyper polls for more bytes before it polls the future.
            state.begin_response();
            self.clone().respond(request, peer, ResponseGuard(state.clone()))
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
        // The result is ignored: an error means that the client disconnected, was too slow, or did not send HTTP.
        tokio::select! {
            biased;
            _ended = connection.as_mut() => return,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            biased;
            _ended = connection => {}
            () = abort.cancelled() => {}
        }
    }

    async fn respond(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        guard: ResponseGuard,
    ) -> Result<Response<GuardedBody>, Infallible> {
        let Some(_in_flight) = self.admit(request.uri().path()) else {
            return Ok(GuardedBody::wrap(edge::with_security_headers(overloaded()), guard));
        };
        let mut request = request.map(|body| timed_body::timed(body, self.limits.body));
        request.extensions_mut().insert(ConnectInfo(peer));
        if is_endless(request.headers()) {
            request.extensions_mut().insert(ShutdownToken(self.stop.clone()));
        }
        let response = timeout(self.limits.request, self.router.clone().call(request)).await;
        let response = response.unwrap_or_else(|_| Ok(edge::with_security_headers(timed_out())))?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            guard.0.upgrade();
        }
        Ok(GuardedBody::wrap(response, guard))
    }

    /// Counts a request, or returns `None` beyond the limit.
    fn admit(&self, path: &str) -> Option<InFlight<'_>> {
        let request = InFlight(&self.in_flight);
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        // A probe must not fail because the server is busy.
        let admitted = before < self.limits.requests_max || matches!(path, "/health" | "/metrics");
        admitted.then_some(request)
    }
}

/// A request in progress. Dropping it ends the count.
struct InFlight<'a>(&'a AtomicU32);

impl Drop for InFlight<'_> {
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

fn timed_out() -> Response<Body> {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout")
        .detail("the request timed out and may still complete; retry with the same ids")
        .retry_after(1)
        .into_response()
}

/// Marks the end of the response when it is dropped.
struct ResponseGuard(Arc<ConnectionState>);

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        self.0.end_response();
    }
}

/// A response body that is dropped, with its guard, when it was written or its connection failed.
struct GuardedBody {
    body: Body,
    _guard: ResponseGuard,
}

impl GuardedBody {
    fn wrap(response: Response<Body>, guard: ResponseGuard) -> Response<Self> {
        response.map(|body| Self { body, _guard: guard })
    }
}

impl HttpBody for GuardedBody {
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
    fn the_content_length_of_the_refusal_is_right() {
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
