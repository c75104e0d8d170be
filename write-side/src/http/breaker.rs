//! The circuit breaker over HTTP: how it stands, and closing it by hand once the store is known to be back.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::WriteSide;

/// `GET /api/v1/circuit-breaker/status`
pub(super) async fn status(State(write_side): State<Arc<WriteSide>>) -> Response {
    shared::http::json(StatusCode::OK, &write_side.progress.breaker())
}

/// `POST /api/v1/circuit-breaker/reset`: the projector tries again at once.
pub(super) async fn reset(State(write_side): State<Arc<WriteSide>>) -> Response {
    tracing::info!("the circuit breaker is closed by hand");
    write_side.progress.retry_now();
    shared::http::json(StatusCode::OK, &write_side.progress.breaker())
}
