//! CORS for the origins of the setting `CORS_ORIGINS`.

use axum::Router;
use axum::http::{HeaderName, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::config::CorsOrigins;

/// How long a browser caches the result of a preflight request.
const MAX_AGE: std::time::Duration = std::time::Duration::from_secs(3_600);

pub(super) fn allow(router: Router, origins: &CorsOrigins) -> Router {
    let origins = match origins {
        CorsOrigins::None => return router,
        CorsOrigins::Any => AllowOrigin::any(),
        CorsOrigins::These(list) => AllowOrigin::list(list.iter().cloned()),
    };
    let name = HeaderName::from_static;
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            name("consistency"),
            name("consistency-token"),
            name("idempotency-key"),
            name("traceparent"),
            name("x-correlation-id"),
            name("x-request-id"),
        ])
        .expose_headers([
            header::ETAG,
            header::LINK,
            header::RETRY_AFTER,
            name("consistency"),
            name("consistency-token"),
            name("x-correlation-id"),
            name("x-request-id"),
        ])
        .max_age(MAX_AGE);
    router.layer(layer)
}
