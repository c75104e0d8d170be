//! GraphQL over the same views as REST, in three folders. Each imports only from those before it:
//!
//! - `schema`: one file for each GraphQL type, and the loaders that its fields read through;
//! - `execution`: documents and their limits, execution, subscriptions; knows no HTTP;
//! - `transport`: HTTP, WebSocket, server-sent events, the editor.
//!
//! A request passes these stages, each of which limits the work of the next: size of the body, guard of the text, parser,
//! guard of the document (skipped for cached documents), validation, depth and complexity, execution.

pub mod config;
mod execution;
mod metrics;
mod schema;
mod transport;

use axum::Router;
use millrace_platform::metrics::MetricsRegistry;

pub use self::execution::TrustedDocuments;
pub use self::schema::sdl;

use self::config::GraphqlConfig;
use self::execution::Executor;
use self::metrics::GraphqlMetrics;
use crate::consistency::Consistency;
use crate::read_model::ReadModel;
use crate::watchers::Watchers;

/// `/graphql` and `/graphql/schema`. Without `watchers` subscriptions are rejected. A WebSocket passes the token of its
/// client to `consistency`.
pub(crate) fn routes(
    read_model: ReadModel,
    config: &GraphqlConfig,
    watchers: Option<Watchers>,
    consistency: Consistency,
    registry: &MetricsRegistry,
) -> Router {
    let executor = Executor::new(read_model, config, watchers, &GraphqlMetrics::register(registry));
    transport::routes(executor, consistency, config)
}

/// The static files of the editor. They contain no data, so they need no token.
pub(crate) fn pages(config: &GraphqlConfig) -> Router {
    if config.graphql_editor.is_on() { transport::playground_routes() } else { Router::new() }
}
