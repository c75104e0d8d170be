//! The REST routes. Query parameters that a route does not have are rejected, because a misspelt one would otherwise be
//! ignored without notice.

mod bodies;
mod conditional;
mod lists;
mod parameters;
mod resources;

use axum::middleware;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::read_model::ReadModel;

/// The routes and their OpenAPI description. A fixed path takes precedence over one with a parameter: a user with the id
/// `recent` can be read through GraphQL only.
pub(crate) fn routes(read_model: ReadModel) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(lists::users))
        .routes(routes!(resources::recent_users))
        .routes(routes!(resources::user))
        .routes(routes!(lists::orders_of_user))
        .routes(routes!(lists::orders))
        .routes(routes!(resources::order))
        .routes(routes!(resources::inventory_item))
        .route_layer(middleware::from_fn(conditional::answer))
        .with_state(read_model)
}
