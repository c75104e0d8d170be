//! The command port. A command is answered 202 only after the log has its event durably.

mod commands;
mod events;
mod idempotent;
mod origin;
mod state;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use millrace_platform::http::{openapi, readiness_of, with_common_routes};
use millrace_platform::metrics::{HttpMetrics, MetricsRegistry};
use millrace_platform::telemetry::chain;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use state::Commands;

/// All routes of the command port.
pub fn router(commands: Commands, registry: &MetricsRegistry, http: &HttpMetrics) -> Router {
    let commands = Arc::new(commands);
    let own = Router::new().route("/", get(index)).route("/ready", get(ready)).with_state(commands.clone());
    let (routes, document) =
        OpenApiRouter::with_openapi(openapi::document("Millrace commands", "text/plain"))
            .merge(command_routes(&commands).with_state(commands))
            .split_for_parts();
    with_common_routes(own.merge(routes).merge(openapi::routes(&document)), registry, http)
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
    readiness_of("event log", async { commands.log.ping().await.map_err(|error| chain(&error)) }).await
}
