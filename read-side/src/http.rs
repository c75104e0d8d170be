//! The router of the read side: all its routes, and the layers in front of them.

pub(crate) mod access;
pub(crate) mod consistency;
mod problems;

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use millrace_platform::change_feed::ChangeFeed;
use millrace_platform::http::openapi::{self, RouteDescription};
use millrace_platform::http::{page, readiness_of, with_common_routes};
use millrace_platform::metrics::{HttpMetrics, MetricsRegistry};
use millrace_platform::telemetry::chain;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;

use self::consistency::read_your_writes;
use crate::config::ReadConfig;
use crate::consistency::Consistency;
use crate::read_model::{ReadError, ReadModel};
use crate::watchers::Watchers;
use crate::{graphql, rest};

/// REST, GraphQL, `/ready`, the landing page and the routes of every service. Without `feed`, GraphQL subscriptions are
/// disabled.
pub fn router(
    read_model: ReadModel,
    config: &ReadConfig,
    feed: Option<ChangeFeed>,
    registry: &MetricsRegistry,
    http: &HttpMetrics,
) -> Router {
    let watchers = feed.map(|feed| Watchers::new(feed, read_model.clone()));
    let base = Router::new()
        .route("/", get(async || page(include_str!("http/landing.html"))))
        .route("/ready", get(ready))
        .with_state(read_model.clone());
    let consistency = Consistency::new(read_model.clone(), config.consistency_wait);
    let (views, document) =
        OpenApiRouter::with_openapi(document()).merge(rest::routes(read_model.clone())).split_for_parts();
    let views = views
        .merge(graphql::routes(read_model, &config.graphql, watchers, consistency.clone(), registry))
        .route_layer(middleware::from_fn_with_state(consistency, read_your_writes));
    let views = access::guard(views, config.read_tokens_file.as_ref());
    let pages = graphql::pages(&config.graphql).merge(openapi::routes(&document));
    with_common_routes(base.merge(views).merge(pages), registry, http)
}

/// The OpenAPI document of GraphQL, which has a schema of its own, and of the routes of every service.
fn document() -> openapi::OpenApi {
    let operation = json!({ "type": "object", "required": ["query"], "properties": {
        "query": { "type": "string", "example": "{ user(id: \"customer-2\") { name } }" },
        "operationName": { "type": ["string", "null"] },
        "variables": { "type": ["object", "null"] },
    }});
    let mut document = openapi::document("Millrace read side", "text/html");
    openapi::describe(
        &mut document,
        [
            RouteDescription::post("/graphql", "graphql", operation, 200, "Execute a GraphQL operation"),
            RouteDescription::get(
                "/graphql",
                "graphql",
                "application/json",
                "Execute a GraphQL query; browsers receive an editor",
            ),
            RouteDescription::get(
                "/graphql/schema",
                "graphql",
                "text/plain",
                "The GraphQL schema in its definition language",
            ),
        ],
    );
    document
}

async fn ready(State(read_model): State<ReadModel>) -> Response {
    let ping = async { read_model.ping().await.inspect_err(ReadError::log).map_err(|error| chain(&error)) };
    readiness_of("read model", ping).await
}
