//! The circuit breaker over HTTP: its state, and closing it by hand once the store is available again.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use millrace_platform::http::json;
use millrace_platform::http::openapi::CommonProblems;

use super::state::Admin;
use crate::projector::BreakerStatus;

/// The state of the circuit breaker around the read model's store
#[utoipa::path(get, path = "/api/v1/circuit-breaker/status", tag = "circuit breaker",
    responses((status = 200, body = BreakerStatus), CommonProblems))]
pub(super) async fn status(State(admin): State<Arc<Admin>>) -> Response {
    json(StatusCode::OK, &admin.progress.breaker())
}

/// Close the circuit breaker: the projector tries again at once
#[utoipa::path(post, path = "/api/v1/circuit-breaker/reset", tag = "circuit breaker",
    responses((status = 200, body = BreakerStatus), CommonProblems))]
pub(super) async fn reset(State(admin): State<Arc<Admin>>) -> Response {
    tracing::info!(target: "millrace::projector", "circuit breaker closed over HTTP");
    admin.progress.retry_now();
    json(StatusCode::OK, &admin.progress.breaker())
}
