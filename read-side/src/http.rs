//! The read side's routes, all of them, in one router.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use shared::change_feed::ChangeFeed;
use shared::http::{finish, readiness};
use shared::metrics::Metrics;

use crate::config::ReadConfig;
use crate::read_model::ReadModel;
use crate::watchers::Watchers;
use crate::{graphql, rest};

/// REST, GraphQL, `/ready`, the page at `/`, and what every service has.
///
/// `feed` tells of changes; without one GraphQL has no subscriptions.
pub fn router(
    read_model: ReadModel,
    config: &ReadConfig,
    feed: Option<ChangeFeed>,
    metrics: &Metrics,
) -> Router {
    let watchers = feed.map(|feed| Watchers::new(feed, read_model.clone()));
    let own = Router::new()
        .route("/", get(async || page(include_str!("http/landing.html"))))
        .route("/ready", get(ready))
        .with_state(read_model.clone());
    let router = own.merge(rest::routes(read_model.clone())).merge(graphql::routes(
        read_model,
        &config.graphql,
        watchers,
        metrics,
    ));
    finish(router, metrics)
}

/// An HTML page of our own: it may run what it contains and ask this server, nothing else.
pub(crate) fn page(html: &'static str) -> Response {
    const POLICY: &str =
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";
    page_with_policy(html, POLICY)
}

/// An HTML page with a content security policy.
pub(crate) fn page_with_policy(html: &'static str, policy: &'static str) -> Response {
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
    ];
    (headers, html).into_response()
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
