//! What both services' HTTP has in common: serving until shutdown, health, metrics, problems for unknown routes.

pub mod config;
mod cors;
mod edge;
pub mod openapi;
mod paced_io;
mod page;
mod server;
mod timed_body;
mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate, SizeAbove};

use crate::metrics::Metrics;
use crate::problem::Problem;
use edge::Edge;
pub use page::{page, page_with_policy};
pub use server::{Serving, Stopping};
use timed_body::BodyTimeout;
pub use tls::TlsError;

/// A port that is taken, or an address that is not ours.
#[derive(Debug, thiserror::Error)]
#[error(
    "{setting} {address}: {source}; is another millrace running, or is the port taken? Set {setting} to a free one"
)]
pub struct BindError {
    setting: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

/// Listens on an address that `setting` named.
///
/// # Errors
/// [`BindError`], one line that says what to do.
pub async fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { setting, address, source })
}

/// Serves with the default limits until `shutdown`; see [`Serving::run`].
///
/// # Errors
/// None; kept for callers that serve by settings.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    Serving::default().run(listener, router, shutdown).await;
    Ok(())
}

/// Answers that fit a packet or two travel no faster when they are smaller.
const COMPRESSED_FROM_BYTES: u16 = 1024;

/// Adds to a service's routes what every service has: `/health`, `/metrics`, RED metrics per route, problems for
/// unknown routes, wrong methods and panics, ids and careful headers on every answer, and compression.
pub fn finish(router: Router, metrics: &Metrics) -> Router {
    let compressible = DefaultPredicate::new().and(SizeAbove::new(COMPRESSED_FROM_BYTES));
    router
        .merge(metrics_routes(metrics))
        .fallback(async || Problem::not_found("no such route; GET / tells which there are"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The route has other methods")
                .detail("the header Allow tells which")
        })
        .layer(CompressionLayer::new().compress_when(compressible))
        .layer(middleware::from_fn_with_state(Arc::new(Edge::new(metrics.clone())), edge::pass))
}

/// `/health` and `/metrics`, for the port that only Prometheus knows.
pub fn metrics_routes(metrics: &Metrics) -> Router {
    let metrics = metrics.clone();
    let render = async move || ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render());
    Router::new().route("/metrics", get(render)).route("/health", get(health))
}

/// The process is up; nothing more is said.
async fn health() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], r#"{"status":"up"}"#)
}

/// What `/ready` answers: 200 when nothing is wrong, else 503 with what is.
pub fn readiness(wrong: &[String]) -> Response {
    if wrong.is_empty() {
        return ([(header::CONTENT_TYPE, "application/json")], r#"{"status":"ready"}"#).into_response();
    }
    Problem::unavailable(wrong.join("; ")).into_response()
}

/// Reads a body of at most `limit` bytes; one that says it is longer is refused before anything is read.
///
/// # Errors
/// 413 for a longer body, 408 for one that is too slow, 400 for one that breaks off.
pub async fn read_body(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > limit) {
        return Err(Problem::too_large(limit).closing());
    }
    axum::body::to_bytes(request.into_body(), limit).await.map_err(|error| body_problem(&error, limit))
}

fn body_problem(error: &axum::Error, limit: usize) -> Problem {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return Problem::too_large(limit).closing();
        }
        if error.is::<BodyTimeout>() {
            return Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "too-slow",
                "The request took too long to arrive",
            )
            .detail(error.to_string())
            .closing();
        }
        cause = error.source();
    }
    Problem::malformed("the body broke off")
}

/// JSON with a status.
pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("views and answers always serialise");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Runs database work as a task of its own, so that a client that hangs up does not cancel it midway.
///
/// # Errors
/// A panic in the work is a 500.
pub async fn detached<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work).await.map_err(|_| Problem::internal())
}
