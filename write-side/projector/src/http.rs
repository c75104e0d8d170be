//! The admin port: dead letters and their review, the circuit breaker, and how the projector is.

mod access;
mod breaker;
mod dead_letters;
mod replay;
mod state;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use millrace_platform::http::openapi;
use millrace_platform::http::{readiness, with_common_routes};
use millrace_platform::metrics::{HttpMetrics, MetricsRegistry};
use millrace_platform::secret::Secret;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::projector::ProgressReader;

pub use state::Admin;

/// All routes of the admin port. Without a `token` only callers on this machine may review letters.
pub fn router(admin: Admin, token: Option<Secret>, registry: &MetricsRegistry, http: &HttpMetrics) -> Router {
    let progress = admin.progress.clone();
    let (guarded, document) =
        OpenApiRouter::with_openapi(openapi::document("Millrace projector", "text/plain"))
            .merge(review_routes().with_state(Arc::new(admin)))
            .split_for_parts();
    let guarded = guarded.route_layer(middleware::from_fn_with_state(token, access::guard));
    let open = Router::new().route("/", get(index)).merge(openapi::routes(&document));
    with_common_routes(guarded.merge(open).merge(ready_route(progress)), registry, http)
}

fn review_routes() -> OpenApiRouter<Arc<Admin>> {
    OpenApiRouter::new()
        .routes(routes!(dead_letters::messages))
        .routes(routes!(dead_letters::message, dead_letters::discard))
        .routes(routes!(dead_letters::stats))
        .routes(routes!(dead_letters::clear))
        .routes(routes!(replay::replay))
        .routes(routes!(replay::replay_batch))
        .routes(routes!(breaker::status))
        .routes(routes!(breaker::reset))
}

/// `/ready` of the projector; `METRICS_ADDR` has it as well, where a probe from another machine can reach it.
pub fn ready_route(progress: ProgressReader) -> Router {
    Router::new().route("/ready", get(ready)).with_state(progress)
}

/// A list of the routes, for a person.
async fn index() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], include_str!("http/index.txt"))
}

/// Whether the projector projects, or is a standby that would.
async fn ready(State(progress): State<ProgressReader>) -> Response {
    let state = progress.state();
    match state.not_ready_reason() {
        Some(reason) => readiness(&[reason]),
        None => {
            let body = format!(r#"{{"status":"ready","projector":"{}"}}"#, state.as_str());
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
    }
}
