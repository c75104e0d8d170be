//! What all HTTP ports have in common: serving until shutdown, health, metrics, problem documents for unknown routes.

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

/// Answers that fit a packet or two travel no faster when they are smaller.
const COMPRESSED_FROM_BYTES: u16 = 1024;

/// Adds to a port's routes what every port has: `/health`, `/metrics`, metrics by route, problem documents for unknown
/// routes, wrong methods and panics, request ids and security headers on every answer, and compression.
pub fn finish(router: Router, registry: &MetricsRegistry, http: &HttpMetrics) -> Router {
    let compressible = DefaultPredicate::new().and(SizeAbove::new(COMPRESSED_FROM_BYTES));
    router
        .merge(metrics_routes(registry))
        .fallback(async || Problem::not_found("route not found; GET / lists the routes"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed")
                .detail("the header Allow lists the methods of this route")
        })
        .layer(CompressionLayer::new().compress_when(compressible))
        .layer(middleware::from_fn_with_state(Arc::new(Edge::new(http.clone())), edge::pass))
}

/// `/health` and `/metrics`, for the port that Prometheus scrapes.
pub fn metrics_routes(registry: &MetricsRegistry) -> Router {
    let registry = registry.clone();
    let render = async move || ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], registry.render());
    Router::new().route("/metrics", get(render)).route("/health", get(health))
}

/// The process is up. What it depends on is reported by `/ready`.
async fn health() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], r#"{"status":"up"}"#)
}

/// The answer of `/ready`: 200 without reasons, else 503 with the reasons why this port cannot do its job.
pub fn readiness(reasons: &[String]) -> Response {
    if reasons.is_empty() {
        return ([(header::CONTENT_TYPE, "application/json")], r#"{"status":"ready"}"#).into_response();
    }
    Problem::unavailable(reasons.join("; ")).into_response()
}

/// Longest wait of `/ready` for a dependency: shorter than the timeout of a usual probe, so that it gets a reason.
const READY_WAIT: Duration = Duration::from_millis(800);

/// The answer of `/ready` for a port that depends on one part, which `check` asks.
pub async fn readiness_of(part: &str, check: impl Future<Output = Result<(), String>>) -> Response {
    match tokio::time::timeout(READY_WAIT, check).await {
        Ok(Ok(())) => readiness(&[]),
        Ok(Err(reason)) => readiness(&[reason]),
        Err(_) => readiness(&[format!("{part} did not answer within {READY_WAIT:?}")]),
    }
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
/// 415
pub fn expect_content_type(headers: &HeaderMap, expected: &[&str]) -> Result<(), Problem> {
    let given = media_type(headers);
    if expected.iter().any(|expected| given.eq_ignore_ascii_case(expected)) {
        return Ok(());
    }
    let detail = format!("send the header content-type: {}", expected.join(" or "));
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type").detail(detail))
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
