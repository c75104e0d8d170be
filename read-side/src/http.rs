//! The read side's routes, all of them, in one router.

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
pub(crate) use shared::http::page;
use shared::http::{finish, readiness};
use shared::metrics::Metrics;

use crate::config::ReadConfig;
use crate::consistency::{Consistency, read_your_writes};
use crate::read_model::ReadModel;
use crate::{graphql, rest};

/// REST, GraphQL, `/ready`, the page at `/`, and what every service has.
pub fn router(read_model: ReadModel, config: &ReadConfig, metrics: &Metrics) -> Router {
    let own = Router::new()
        .route("/", get(async || page(include_str!("http/landing.html"))))
        .route("/ready", get(ready))
        .with_state(read_model.clone());
    let consistency = Consistency::new(read_model.clone(), config.consistency_wait);
    let views = rest::routes(read_model.clone())
        .merge(graphql::routes(read_model, metrics))
        .route_layer(middleware::from_fn_with_state(consistency, read_your_writes));
    finish(own.merge(views), metrics)
}

async fn ready(State(read_model): State<ReadModel>) -> Response {
    match read_model.ping().await {
        Ok(()) => readiness(&[]),
        Err(error) => {
            error.log();
            readiness(&[error.to_string()])
        }
    }
}
