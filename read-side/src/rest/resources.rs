//! Single resources by id, and the latest users.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use millrace_domain::id::{OrderId, Sku, UserId};
use millrace_platform::http::json;
use millrace_platform::http::openapi::CommonProblems;
use millrace_platform::problem::Problem;
use serde::Deserialize;
use utoipa::IntoParams;

use super::bodies::{OrderAndPayment, OrderWithPayment, Stock, UserWithOrders, Users};
use super::parameters::{NoParameters, not_found, parse_id, parse_limit};
use crate::read_model::ReadModel;

/// Orders in the answer to `/users/{id}`.
const RECENT_ORDERS: u32 = 5;
/// Users in the answer to `/users/recent` by default.
const RECENT_USERS: u32 = 5;

/// A user and their latest five orders, each with its payment
#[utoipa::path(get, path = "/users/{id}", tag = "users", params(("id" = String, Path, description = "Id of the user", pattern = "^[A-Za-z0-9._:@-]{1,64}$")),
    responses((status = 200, body = UserWithOrders), CommonProblems))]
pub(super) async fn user(
    State(read_model): State<ReadModel>,
    id: Result<Path<String>, PathRejection>,
    _: NoParameters,
) -> Result<Response, Problem> {
    let id = parse_id("user id", id, UserId::parse)?;
    let row = read_model.user_with_orders(&id, RECENT_ORDERS).await?;
    let (user, orders) = row.ok_or_else(|| not_found("user", id.as_str()))?;
    let recent_orders = orders.into_iter().map(OrderWithPayment::from).collect();
    Ok(json(StatusCode::OK, &UserWithOrders { user, recent_orders }))
}

/// An order and its payment
#[utoipa::path(get, path = "/orders/{id}", tag = "orders", params(("id" = String, Path, description = "Id of the order", pattern = "^[A-Za-z0-9._:@-]{1,64}$")),
    responses((status = 200, body = OrderAndPayment), CommonProblems))]
pub(super) async fn order(
    State(read_model): State<ReadModel>,
    id: Result<Path<String>, PathRejection>,
    _: NoParameters,
) -> Result<Response, Problem> {
    let ids = [parse_id("order id", id, OrderId::parse)?];
    let orders = read_model.orders(&ids).await?;
    let mut order = orders.into_iter().next().ok_or_else(|| not_found("order", ids[0].as_str()))?;
    let payment = order.payment.take();
    Ok(json(StatusCode::OK, &OrderAndPayment { order, payment }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RecentUsers {
    /// Number of users, 1 to 100; 5 by default
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// The users created last, newest first
#[utoipa::path(get, path = "/users/recent", tag = "users", params(RecentUsers),
    responses((status = 200, body = Users), CommonProblems))]
pub(super) async fn recent_users(
    State(read_model): State<ReadModel>,
    parameters: Result<Query<RecentUsers>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(RecentUsers { limit }) = parameters.map_err(|error| Problem::invalid(error.body_text()))?;
    let limit = parse_limit(limit, RECENT_USERS)?;
    let users = read_model.recent_users(limit).await?;
    Ok(json(StatusCode::OK, &Users { users }))
}

/// The stock of one SKU
#[utoipa::path(get, path = "/inventory/{sku}", tag = "inventory", params(("sku" = String, Path, description = "Stock keeping unit", pattern = "^[A-Za-z0-9._:@-]{1,64}$")),
    responses((status = 200, body = Stock), CommonProblems))]
pub(super) async fn inventory_item(
    State(read_model): State<ReadModel>,
    sku: Result<Path<String>, PathRejection>,
    _: NoParameters,
) -> Result<Response, Problem> {
    let skus = [parse_id("SKU", sku, Sku::parse)?];
    let items = read_model.inventory(&skus).await?;
    let item = items.into_iter().next().ok_or_else(|| not_found("SKU", skus[0].as_str()))?;
    Ok(json(StatusCode::OK, &Stock { item }))
}
