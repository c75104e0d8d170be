//! The REST routes: one thing and what belongs to it, by id.
//!
//! An id that breaks the rule of DESIGN section 6 is answered 422, one that nobody has told of yet 404.

use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use shared::http::json;
use shared::id::{InvalidId, OrderId, Sku, UserId};
use shared::problem::Problem;

use crate::read_model::{ReadError, ReadModel};
use crate::view::{InventoryItem, Order, Payment, User};

/// Orders shown with a user.
const RECENT_ORDERS: u32 = 5;
/// Most users that `/users/recent` lists, and how many when it is not told.
const RECENT_USERS_MAX: u32 = 100;
const RECENT_USERS: u32 = 5;

/// The routes. A fixed path wins over one with a parameter: a user whose id is `recent` is found through GraphQL only.
pub(crate) fn routes(read_model: ReadModel) -> Router {
    Router::new()
        .route("/users/recent", get(recent_users))
        .route("/users/{id}", get(user))
        .route("/orders/{id}", get(order))
        .route("/inventory/{sku}", get(inventory_item))
        .with_state(read_model)
}

/// An order as it stands in a list: its payment inside.
#[derive(Serialize)]
struct OrderWithPayment<'a> {
    #[serde(flatten)]
    order: &'a Order,
    payment: &'a Option<Payment>,
}

async fn user(
    State(read_model): State<ReadModel>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer<'a> {
        user: &'a User,
        recent_orders: Vec<OrderWithPayment<'a>>,
    }

    let ids = [parse_id("user id", id, UserId::parse)?];
    let users = read_model.users(&ids).await.map_err(ReadError::into_problem)?;
    let user = users.first().ok_or_else(|| unknown("user", ids[0].as_str()))?;
    let orders = read_model.recent_orders(&ids, RECENT_ORDERS).await.map_err(ReadError::into_problem)?;
    let with_payment = |order| OrderWithPayment { order, payment: &order.payment };
    let recent_orders = orders.iter().map(with_payment).collect();
    Ok(json(StatusCode::OK, &Answer { user, recent_orders }))
}

async fn order(
    State(read_model): State<ReadModel>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Answer<'a> {
        order: &'a Order,
        payment: &'a Option<Payment>,
    }

    let ids = [parse_id("order id", id, OrderId::parse)?];
    let orders = read_model.orders(&ids).await.map_err(ReadError::into_problem)?;
    let order = orders.first().ok_or_else(|| unknown("order", ids[0].as_str()))?;
    let payment = &order.payment;
    Ok(json(StatusCode::OK, &Answer { order, payment }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecentUsers {
    #[serde(default = "recent_users_default")]
    limit: u32,
}

fn recent_users_default() -> u32 {
    RECENT_USERS
}

async fn recent_users(
    State(read_model): State<ReadModel>,
    parameters: Result<Query<RecentUsers>, QueryRejection>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Answer {
        users: Vec<User>,
    }

    let Query(RecentUsers { limit }) = parameters.map_err(|error| Problem::invalid(error.body_text()))?;
    if !(1..=RECENT_USERS_MAX).contains(&limit) {
        return Err(Problem::invalid(format!("limit is {limit}; it must be from 1 to {RECENT_USERS_MAX}")));
    }
    let users = read_model.recent_users(limit).await.map_err(ReadError::into_problem)?;
    Ok(json(StatusCode::OK, &Answer { users }))
}

async fn inventory_item(
    State(read_model): State<ReadModel>,
    sku: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Answer<'a> {
        item: &'a InventoryItem,
    }

    let skus = [parse_id("SKU", sku, Sku::parse)?];
    let items = read_model.inventory(&skus).await.map_err(ReadError::into_problem)?;
    let item = items.first().ok_or_else(|| unknown("SKU", skus[0].as_str()))?;
    Ok(json(StatusCode::OK, &Answer { item }))
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
