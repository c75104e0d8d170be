//! The outermost middleware: request ids, security headers, metrics, and a problem document for a panic.

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
/// Maximum length of an id that a client sends.
const ID_BYTES_MAX: usize = 128;
/// The policy of responses that are not pages.
const NO_CONTENT_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// The state of the middleware, shared by all requests.
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

pub(super) async fn handle(
    State(edge): State<std::sync::Arc<Edge>>,
    request: Request,
    next: Next,
) -> Response {
    let request_id = client_id(request.headers(), &REQUEST_ID).unwrap_or_else(|| edge.ids.next());
    let correlation_id = client_id(request.headers(), &CORRELATION_ID);
    let mut observation = RequestObservation::begin(&edge.metrics, &request);
    let result = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = result.unwrap_or_else(|_| Problem::internal().into_response());
    if observation.method == Method::OPTIONS && response.status() == StatusCode::METHOD_NOT_ALLOWED {
        // The router adds the header `Allow`, which it has for a route without a handler for OPTIONS.
        response = StatusCode::NO_CONTENT.into_response();
    }
    if response.status().is_server_error() {
        let status = response.status().as_u16();
        tracing::warn!(
            target: "millrace::platform",
            requestId = ?request_id,
            route = observation.route(),
            status,
            "request failed"
        );
    }
    observation.status = Some(response.status());
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, request_id);
    if let Some(id) = correlation_id {
        headers.entry(CORRELATION_ID).or_insert(id);
    }
    with_security_headers(response)
}

/// Adds the security headers that the route has not set itself.
pub(super) fn with_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(NO_CONTENT_POLICY);
    response
}

/// The id in a request header, if it is short and visible ASCII.
fn client_id(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let plain = |value: &&HeaderValue| {
        (1..=ID_BYTES_MAX).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    headers.get(name).filter(plain).cloned()
}

/// Creates unique request ids: a random part for each process, and a counter.
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

/// Observes a request in the metrics when it is dropped, so that requests of clients that disconnect are counted too.
struct RequestObservation<'a> {
    metrics: &'a HttpMetrics,
    started: Instant,
    method: Method,
    /// The pattern of the route. The path is not used as a label: it has unlimited values.
    path: Option<MatchedPath>,
    status: Option<StatusCode>,
}

impl<'a> RequestObservation<'a> {
    fn begin(metrics: &'a HttpMetrics, request: &Request) -> Self {
        let path = request.extensions().get::<MatchedPath>().cloned();
        Self { metrics, started: Instant::now(), method: request.method().clone(), path, status: None }
    }

    fn route(&self) -> &str {
        self.path.as_ref().map_or("unknown", MatchedPath::as_str)
    }
}

impl Drop for RequestObservation<'_> {
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
