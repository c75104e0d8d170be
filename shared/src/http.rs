//! What both services' HTTP has in common: serving until shutdown, health, metrics, problems for unknown routes.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::problem::Problem;

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

/// Serves until `shutdown`, then answers what has begun and returns.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

/// Adds to a service's routes what every service has: `/health`, `/metrics`, RED metrics per route, problems for
/// unknown routes, wrong methods and panics.
pub fn finish(router: Router, metrics: &Metrics) -> Router {
    router
        .merge(metrics_routes(metrics))
        .fallback(async || Problem::not_found("no such route; GET / tells which there are"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The route has other methods")
                .detail("the header Allow tells which")
        })
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(|_| Problem::internal().into_response()))
        .layer(middleware::from_fn_with_state(metrics.clone(), observe))
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

async fn observe(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    // The route's pattern, not its path: a label must not grow with what clients ask for.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let status = response.status();
    let labels =
        [route.as_ref().map_or("unknown", MatchedPath::as_str), method_label(&method), status.as_str()];
    metrics.http_requests.with_label_values(&labels).inc();
    metrics.http_duration.with_label_values(&labels).observe(started.elapsed().as_secs_f64());
    response
}

fn method_label(method: &axum::http::Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "POST" | "PUT" | "DELETE" | "HEAD" | "OPTIONS" | "PATCH") => known,
        _ => "other",
    }
}

/// Reads a body of at most `limit` bytes; one that says it is longer is refused before anything is read.
///
/// # Errors
/// 413 for a longer body, 400 for one that breaks off.
pub async fn read_body(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > limit) {
        return Err(Problem::too_large(limit).header(header::CONNECTION, HeaderValue::from_static("close")));
    }
    axum::body::to_bytes(request.into_body(), limit).await.map_err(|error| {
        let too_long =
            std::error::Error::source(&error).is_some_and(|e| e.is::<http_body_util::LengthLimitError>());
        if too_long { Problem::too_large(limit) } else { Problem::malformed("the body broke off") }
    })
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
