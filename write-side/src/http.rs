//! The write side's routes. A command is answered 202 only after the log has its event durably.

mod admin;
mod breaker;
mod commands;
mod dead_letters;
mod idempotent;
mod openapi;
mod replay;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use shared::metrics::Metrics;
use shared::secret::Secret;

use crate::dead_letter::DeadLetters;
use crate::event_log::EventLog;
use crate::idempotency::IdempotencyKeys;
use crate::projector::ProgressReader;

/// What the routes work on.
#[derive(Debug, Clone)]
pub struct WriteSide {
    /// Where events go.
    pub log: EventLog,
    /// How far they are projected.
    pub progress: ProgressReader,
    /// The dead letters.
    pub letters: Arc<DeadLetters>,
    /// What those show who review letters from other machines.
    pub admin_token: Option<Secret>,
    /// The keys of commands that were tried.
    pub idempotency: Arc<IdempotencyKeys>,
    /// What is counted.
    pub metrics: Metrics,
}

/// All routes of the write side.
pub fn router(write_side: WriteSide) -> Router {
    let metrics = write_side.metrics.clone();
    let token = write_side.admin_token.clone();
    let write_side = Arc::new(write_side);
    let routes = Router::new()
        .route("/", get(index))
        .route("/ready", get(ready))
        .merge(commands(&write_side))
        .merge(guarded(token))
        .with_state(write_side);
    shared::http::finish(routes.merge(shared::http::openapi::routes(&openapi::write_side())), &metrics)
}

/// Routes that take commands.
fn commands(write_side: &Arc<WriteSide>) -> Router<Arc<WriteSide>> {
    Router::new()
        .route("/order", post(commands::bare_order))
        .route("/api/v1/users", post(commands::user))
        .route("/api/v1/orders", post(commands::order))
        .route("/api/v1/orders/batch", post(commands::order_batch))
        .route("/api/v1/payments", post(commands::payment))
        .route("/api/v1/inventory-adjustments", post(commands::inventory_adjustment))
        .route("/api/v1/events", post(commands::events))
        .route_layer(axum::middleware::from_fn_with_state(write_side.clone(), idempotent::guard))
}

/// Routes for those who run the system.
fn guarded(token: Option<Secret>) -> Router<Arc<WriteSide>> {
    Router::new()
        .route("/api/v1/dlq/messages", get(dead_letters::messages))
        .route("/api/v1/dlq/messages/{id}", get(dead_letters::message).delete(dead_letters::discard))
        .route("/api/v1/dlq/stats", get(dead_letters::stats))
        .route("/api/v1/dlq/clear", delete(dead_letters::clear))
        .route("/api/v1/replay", post(replay::replay))
        .route("/api/v1/replay/batch", post(replay::replay_batch))
        .route("/api/v1/circuit-breaker/status", get(breaker::status))
        .route("/api/v1/circuit-breaker/reset", post(breaker::reset))
        .route_layer(axum::middleware::from_fn_with_state(token, admin::guard))
}

/// What is here, for a person.
async fn index() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], include_str!("http/index.txt"))
}

/// Log and store can be reached, and the projector is not stuck; otherwise what is wrong.
async fn ready(State(write_side): State<Arc<WriteSide>>) -> Response {
    let log = write_side.log.ping().await.err().map(|error| shared::telemetry::chain(&error));
    let wrong: Vec<_> = log.into_iter().chain(write_side.progress.complaint()).collect();
    shared::http::readiness(&wrong)
}
