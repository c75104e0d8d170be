//! The REST routes: one thing and what belongs to it, by id; lists stand in `rest/lists.rs`.
//!
//! An id that breaks the rule of DESIGN section 6 is answered 422, one that nobody has told of yet 404. Query parameters
//! that a route does not have are refused: a misspelt one would otherwise be ignored in silence.

mod conditional;
mod lists;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware;
use axum::response::Response;
use millrace_domain::id::{InvalidId, OrderId, Sku, UserId};
use millrace_platform::http::json;
use millrace_platform::http::openapi::CommonProblems;
use millrace_platform::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::read_model::ReadModel;
use crate::view::{InventoryItem, Order, Payment, User};

/// Orders shown with a user.
const RECENT_ORDERS: u32 = 5;
/// Most things that a list gives at once.
const PAGE_MAX: u32 = 100;
/// Users in `/users/recent` when it is not told how many.
const RECENT_USERS: u32 = 5;

/// The routes and what they are. A fixed path wins over one with a parameter: a user whose id is `recent` is found
/// through GraphQL only.
pub(crate) fn routes(read_model: ReadModel) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(lists::users))
        .routes(routes!(recent_users))
        .routes(routes!(user))
        .routes(routes!(lists::orders_of_user))
        .routes(routes!(lists::orders))
        .routes(routes!(order))
        .routes(routes!(inventory_item))
        .route_layer(middleware::from_fn(conditional::answer))
        .with_state(read_model)
}

/// An order as it stands in a list: its payment inside.
#[derive(Serialize, ToSchema)]
struct OrderWithPayment {
    #[serde(flatten)]
    order: Order,
    payment: Option<Payment>,
}

impl From<Order> for OrderWithPayment {
    fn from(mut order: Order) -> Self {
        let payment = order.payment.take();
        Self { order, payment }
    }
}

/// A user and the last orders.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UserWithOrders {
    user: User,
    /// The last five, newest first.
    recent_orders: Vec<OrderWithPayment>,
}

/// A user and their last five orders, each with its payment
#[utoipa::path(get, path = "/users/{id}", tag = "users", params(("id" = String, Path, description = "Of the user", pattern = "^[A-Za-z0-9._:@-]{1,64}$")),
    responses((status = 200, body = UserWithOrders), CommonProblems))]
async fn user(
    State(read_model): State<ReadModel>,
    id: Result<Path<String>, PathRejection>,
    _: NoParameters,
) -> Result<Response, Problem> {
    let id = parse_id("user id", id, UserId::parse)?;
    let found = read_model.user_with_orders(&id, RECENT_ORDERS).await?;
    let (user, orders) = found.ok_or_else(|| unknown("user", id.as_str()))?;
    let recent_orders = orders.into_iter().map(OrderWithPayment::from).collect();
    Ok(json(StatusCode::OK, &UserWithOrders { user, recent_orders }))
}

/// An order with its payment beside it.
#[derive(Serialize, ToSchema)]
struct OrderAndPayment {
    order: Order,
    payment: Option<Payment>,
}

/// An order and its payment
#[utoipa::path(get, path = "/orders/{id}", tag = "orders", params(("id" = String, Path, description = "Of the order", pattern = "^[A-Za-z0-9._:@-]{1,64}$")),
    responses((status = 200, body = OrderAndPayment), CommonProblems))]
async fn order(
    State(read_model): State<ReadModel>,
    id: Result<Path<String>, PathRejection>,
    _: NoParameters,
) -> Result<Response, Problem> {
    let ids = [parse_id("order id", id, OrderId::parse)?];
    let orders = read_model.orders(&ids).await?;
    let mut order = orders.into_iter().next().ok_or_else(|| unknown("order", ids[0].as_str()))?;
    let payment = order.payment.take();
    Ok(json(StatusCode::OK, &OrderAndPayment { order, payment }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RecentUsers {
    /// How many, 1 to 100; 5 when it is not told
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// Some users.
#[derive(Serialize, ToSchema)]
struct Users {
    users: Vec<User>,
}

/// The users created last, newest first
#[utoipa::path(get, path = "/users/recent", tag = "users", params(RecentUsers),
    responses((status = 200, body = Users), CommonProblems))]
async fn recent_users(
    State(read_model): State<ReadModel>,
    parameters: Result<Query<RecentUsers>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(RecentUsers { limit }) = parameters.map_err(|error| Problem::invalid(error.body_text()))?;
    let limit = parse_limit(limit, RECENT_USERS)?;
    let users = read_model.recent_users(limit).await?;
    Ok(json(StatusCode::OK, &Users { users }))
}

/// Stock of one SKU.
#[derive(Serialize, ToSchema)]
struct Stock {
    item: InventoryItem,
}

/// Stock of one SKU
#[utoipa::path(get, path = "/inventory/{sku}", tag = "inventory", params(("sku" = String, Path, description = "Of the item", pattern = "^[A-Za-z0-9._:@-]{1,64}$")),
    responses((status = 200, body = Stock), CommonProblems))]
async fn inventory_item(
    State(read_model): State<ReadModel>,
    sku: Result<Path<String>, PathRejection>,
    _: NoParameters,
) -> Result<Response, Problem> {
    let skus = [parse_id("SKU", sku, Sku::parse)?];
    let items = read_model.inventory(&skus).await?;
    let item = items.into_iter().next().ok_or_else(|| unknown("SKU", skus[0].as_str()))?;
    Ok(json(StatusCode::OK, &Stock { item }))
}

/// For a route without query parameters.
struct NoParameters;

impl<S: Sync> FromRequestParts<S> for NoParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.uri.query() {
            None | Some("") => Ok(Self),
            Some(_) => Err(Problem::invalid("this route has no query parameters")),
        }
    }
}

fn parse_limit(limit: Option<u32>, default: u32) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(default);
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::invalid(format!("limit is {limit}; it must be from 1 to {PAGE_MAX}")))
}

fn parse_id<T>(
    what: &str,
    path: Result<Path<String>, PathRejection>,
    parse: fn(&str) -> Result<T, InvalidId>,
) -> Result<T, Problem> {
    let invalid = |reason: String| {
        Problem::invalid(format!("the {what} {reason}; it must match [A-Za-z0-9._:@-]{{1,64}}"))
    };
    let Path(text) = path.map_err(|_| invalid("is not UTF-8".to_owned()))?;
    parse(&text).map_err(|error| invalid(error.to_string()))
}

fn unknown(what: &str, id: &str) -> Problem {
    Problem::not_found(format!("no {what} {id} has arrived yet"))
}
