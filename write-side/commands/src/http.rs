//! The command port. A command is answered 202 only after the log has its event durably.

mod commands;
mod events;
mod idempotent;
mod origin;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use millrace_event_log::{EventLog, LogError};
use millrace_platform::http::{finish, openapi, readiness};
use millrace_platform::metrics::{HttpMetrics, MetricsRegistry};
use millrace_platform::problem::Problem;
use millrace_platform::telemetry::chain;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::idempotency::IdempotencyKeys;
use crate::metrics::CommandMetrics;

/// Largest body of a route that takes many commands at once, in bytes.
const BULK_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What the routes work on.
#[derive(Debug)]
pub struct Commands {
    /// Where events go.
    pub log: EventLog,
    /// The keys of commands that were tried.
    pub idempotency: IdempotencyKeys,
    /// What is counted.
    pub metrics: CommandMetrics,
}

/// All routes of the command port.
pub fn router(commands: Commands, registry: &MetricsRegistry, http: &HttpMetrics) -> Router {
    let commands = Arc::new(commands);
    let own = Router::new().route("/", get(index)).route("/ready", get(ready)).with_state(commands.clone());
    let (routes, document) =
        OpenApiRouter::with_openapi(openapi::document("Millrace commands", "text/plain"))
            .merge(command_routes(&commands).with_state(commands))
            .split_for_parts();
    finish(own.merge(routes).merge(openapi::routes(&document)), registry, http)
}

fn command_routes(commands: &Arc<Commands>) -> OpenApiRouter<Arc<Commands>> {
    OpenApiRouter::new()
        .routes(routes!(commands::user))
        .routes(routes!(commands::order))
        .routes(routes!(commands::order_batch))
        .routes(routes!(commands::payment))
        .routes(routes!(commands::inventory_adjustment))
        .routes(routes!(events::events))
        .routes(routes!(commands::bare_order))
        .route_layer(middleware::from_fn_with_state(commands.clone(), idempotent::guard))
}

/// A list of the routes, for a person.
async fn index() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], include_str!("http/index.txt"))
}

/// Whether the log would take an append.
async fn ready(State(commands): State<Arc<Commands>>) -> Response {
    let reason = commands.log.ping().await.err().map(|error| chain(&error));
    readiness(reason.as_slice())
}

impl From<AppendError> for Problem {
    fn from(AppendError(error): AppendError) -> Self {
        tracing::warn!(target: "millrace::commands", "command not accepted: {}", chain(&error));
        match error {
            LogError::Unavailable(_) => Self::unavailable("event log unavailable; retry with the same ids"),
            LogError::Fatal(_) => Self::internal(),
        }
    }
}

/// The log did not take the events of a request.
#[derive(Debug)]
struct AppendError(LogError);
