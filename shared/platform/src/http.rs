//! The HTTP server that every role uses, its common routes, and helpers for handlers.

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
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate, SizeAbove};

use crate::metrics::{HttpMetrics, MetricsRegistry};
use crate::problem::Problem;
use edge::Edge;
pub use page::{page, page_with_policy};
pub use server::{HttpServer, ShutdownToken};
use timed_body::BodyTimeout;
pub use tls::TlsError;

#[derive(Debug, thiserror::Error)]
#[error(
    "failed to listen on {address}: {source}; set {setting} to a free address, or stop the process that uses this one"
)]
pub struct BindError {
    setting: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

/// Listens on an address. `setting` is the name of its setting, for the error.
///
/// # Errors
/// [`BindError`].
pub async fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { setting, address, source })
}

/// A response of one or two packets does not arrive sooner when it is compressed.
const COMPRESSION_BYTES_MIN: u16 = 1024;

/// Adds what every port has: `/health` and `/metrics`, metrics of each route, problem documents for unknown routes,
/// wrong methods and panics, request ids, security headers and compression.
pub fn with_common_routes(router: Router, registry: &MetricsRegistry, http: &HttpMetrics) -> Router {
    let compressible = DefaultPredicate::new().and(SizeAbove::new(COMPRESSION_BYTES_MIN));
    router
        .merge(metrics_routes(registry))
        .fallback(async || Problem::not_found("route not found; GET / lists the routes"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed")
                .detail("the header Allow lists the methods of this route")
        })
        .layer(CompressionLayer::new().compress_when(compressible))
        .layer(middleware::from_fn_with_state(Arc::new(Edge::new(http.clone())), edge::handle))
}

/// `/health` and `/metrics`.
pub fn metrics_routes(registry: &MetricsRegistry) -> Router {
    let registry = registry.clone();
    let render = async move || ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], registry.render());
    Router::new().route("/metrics", get(render)).route("/health", get(health))
}

/// Reports that the process runs. `/ready` reports its dependencies.
async fn health() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], r#"{"status":"up"}"#)
}

/// The response of `/ready`: 200 if there are no not-ready reasons, otherwise 503 with the reasons.
pub fn readiness(reasons: &[String]) -> Response {
    if reasons.is_empty() {
        return ([(header::CONTENT_TYPE, "application/json")], r#"{"status":"ready"}"#).into_response();
    }
    Problem::unavailable(reasons.join("; ")).into_response()
}

/// How long `/ready` waits for a dependency. Shorter than the time-out of a usual probe, so that the probe gets a
/// reason.
const READY_TIMEOUT: Duration = Duration::from_millis(800);

/// The response of `/ready` for a port that depends on one part. `check` returns why the part is not ready.
pub async fn readiness_of(part: &str, check: impl Future<Output = Result<(), String>>) -> Response {
    match tokio::time::timeout(READY_TIMEOUT, check).await {
        Ok(Ok(())) => readiness(&[]),
        Ok(Err(reason)) => readiness(&[reason]),
        Err(_) => readiness(&[format!("{part} did not respond within {READY_TIMEOUT:?}")]),
    }
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// 413 for a longer body, 408 for one that arrives too slowly, 400 for an incomplete one.
pub async fn read_body(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    // A body that is announced as too long is refused before it is read.
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
            return Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow").detail(error.to_string()).closing();
        }
        cause = error.source();
    }
    Problem::malformed("the body is incomplete")
}

/// `application/json`
pub const JSON: &str = "application/json";

/// The media type of a body, without parameters.
pub fn media_type(headers: &HeaderMap) -> &str {
    let whole = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    whole.split(';').next().unwrap_or_default().trim()
}

/// Checks that a body has one of these media types.
///
/// # Errors
/// 415.
pub fn expect_content_type(headers: &HeaderMap, expected: &[&str]) -> Result<(), Problem> {
    let given = media_type(headers);
    if expected.iter().any(|expected| given.eq_ignore_ascii_case(expected)) {
        return Ok(());
    }
    let detail = format!("send the header content-type: {}", expected.join(" or "));
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type").detail(detail))
}

pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("views and responses always serialise");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Runs database work in a separate task. A client that disconnects drops the handler, and must not cancel the work
/// halfway.
///
/// # Errors
/// 500 when the work panics.
pub async fn detached<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work).await.map_err(|_| Problem::internal())
}
