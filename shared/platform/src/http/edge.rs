//! What every answer has, whatever route gave it: an id, headers that keep browsers careful, a line in the metrics,
//! and a problem instead of a panic.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use crate::metrics::HttpMetrics;
use crate::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
/// Longest id that is taken from a client.
const ID_BYTES_MAX: usize = 128;
/// What has no page may load nothing and may not be framed.
const NO_PAGE: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// What the edge of a service needs. Shared by all requests.
#[derive(Debug)]
pub(super) struct Edge {
    metrics: HttpMetrics,
    ids: RequestIds,
}

impl Edge {
    pub(super) fn new(metrics: HttpMetrics) -> Self {
        Self { metrics, ids: RequestIds::new() }
    }
}

/// The outermost layer.
pub(super) async fn pass(State(edge): State<std::sync::Arc<Edge>>, request: Request, next: Next) -> Response {
    let request_id = given_id(request.headers(), &REQUEST_ID).unwrap_or_else(|| edge.ids.next());
    let correlation_id = given_id(request.headers(), &CORRELATION_ID);
    let mut seen = Seen::begin(&edge.metrics, &request);
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answer.unwrap_or_else(|_| Problem::internal().into_response());
    if seen.method == Method::OPTIONS && response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response = options();
    }
    if response.status().is_server_error() {
        tracing::warn!(requestId = ?request_id, route = seen.route(), status = response.status().as_u16(), "answered");
    }
    seen.status = Some(response.status());
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, request_id);
    if let Some(id) = correlation_id {
        headers.entry(CORRELATION_ID).or_insert(id);
    }
    dressed(response)
}

/// The headers that keep browsers careful, where the route has not set its own.
pub(super) fn dressed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(NO_PAGE);
    response
}

/// A route tells its methods to whoever asks. The router adds the header Allow to what has none.
fn options() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// An id that the client gave, when it is one: short, visible ASCII.
fn given_id(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let plain = |value: &&HeaderValue| {
        (1..=ID_BYTES_MAX).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    headers.get(name).filter(plain).cloned()
}

/// Ids that no two processes and no two requests share: random at start, counted from there.
#[derive(Debug)]
struct RequestIds {
    process: String,
    count: AtomicU64,
}

impl RequestIds {
    fn new() -> Self {
        Self { process: format!("{:x}", uuid::Uuid::now_v7().as_u128()), count: AtomicU64::new(0) }
    }

    fn next(&self) -> HeaderValue {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        HeaderValue::try_from(format!("{}-{count:x}", self.process)).expect("hexadecimal digits are ASCII")
    }
}

/// One request for the metrics. Counted when it is dropped, so that clients who hang up are counted as well.
struct Seen<'a> {
    metrics: &'a HttpMetrics,
    started: Instant,
    method: Method,
    /// The route's pattern, not its path: a label must not grow with what clients ask for.
    path: Option<MatchedPath>,
    status: Option<StatusCode>,
}

impl<'a> Seen<'a> {
    fn begin(metrics: &'a HttpMetrics, request: &Request) -> Self {
        let path = request.extensions().get::<MatchedPath>().cloned();
        Self { metrics, started: Instant::now(), method: request.method().clone(), path, status: None }
    }

    fn route(&self) -> &str {
        self.path.as_ref().map_or("unknown", MatchedPath::as_str)
    }
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        let status = self.status.as_ref().map_or("cancelled", StatusCode::as_str);
        let labels = [self.route(), method_label(&self.method), status];
        self.metrics.requests.with_label_values(&labels).inc();
        self.metrics.duration.with_label_values(&labels).observe(self.started.elapsed().as_secs_f64());
    }
}

fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        _ => "other",
    }
}
