//! Lists, page by page. A cursor names a row, so rows that are projected between two pages neither shift nor repeat
//! others. The header Link (RFC 8288) has the URLs of the neighbouring pages.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use millrace_domain::Timestamp;
use millrace_domain::id::UserId;
use millrace_domain::text::OrderStatus;
use millrace_platform::http::json;
use millrace_platform::http::openapi::CommonProblems;
use millrace_platform::problem::Problem;
use serde::Deserialize;
use utoipa::IntoParams;

use super::bodies::{OrderWithPayment, OrdersPage, UsersPage};
use super::parameters::{not_found, parse_id, parse_limit};
use crate::page::{Direction, Page, SortKey, Sorted};
use crate::read_model::ReadModel;
use crate::view::Order;

/// Entries of a page by default.
const PAGE_DEFAULT: u32 = 20;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsersParameters {
    /// Number of users, 1 to 100; 20 by default
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Only users after this cursor
    after: Option<String>,
    /// Only users before this cursor
    before: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct OrdersParameters {
    /// Number of orders, 1 to 100; 20 by default
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Only orders after this cursor
    after: Option<String>,
    /// Only orders before this cursor
    before: Option<String>,
    /// Only orders with this status
    status: Option<String>,
    /// Only orders placed at this time or later
    #[param(format = DateTime)]
    placed_from: Option<String>,
    /// Only orders placed before this time
    #[param(format = DateTime)]
    placed_until: Option<String>,
}

/// All users, newest first
#[utoipa::path(get, path = "/users", tag = "users", params(UsersParameters),
    responses((status = 200, body = UsersPage), CommonProblems))]
pub(super) async fn users(
    State(read_model): State<ReadModel>,
    uri: Uri,
    parameters: Result<Query<UsersParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(parameters) = parameters.map_err(|error| Problem::invalid(error.body_text()))?;
    let (after, before) = (parameters.after.as_deref(), parameters.before.as_deref());
    let request = PageRequest::parse(parameters.limit, after, before)?;
    let rows = read_model.users_page(&request.page()).await?;
    let RowsPage { rows, next, previous } = request.split(rows);
    let links = links(&uri, next.as_deref(), previous.as_deref());
    Ok(with_links(json(StatusCode::OK, &UsersPage { users: rows, next, previous }), links))
}

/// All orders, newest first
#[utoipa::path(get, path = "/orders", tag = "orders", params(OrdersParameters),
    responses((status = 200, body = OrdersPage), CommonProblems))]
pub(super) async fn orders(
    State(read_model): State<ReadModel>,
    uri: Uri,
    parameters: Result<Query<OrdersParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let (request, status, page) = parse_orders(parameters)?;
    let rows = read_model.orders_page(status.as_ref(), &page).await?;
    Ok(orders_page(&uri, &request, rows))
}

/// The orders of a user, newest first
#[utoipa::path(get, path = "/users/{id}/orders", tag = "users",
    params(("id" = String, Path, description = "Id of the user", pattern = "^[A-Za-z0-9._:@-]{1,64}$"), OrdersParameters),
    responses((status = 200, body = OrdersPage), CommonProblems))]
pub(super) async fn orders_of_user(
    State(read_model): State<ReadModel>,
    uri: Uri,
    id: Result<Path<String>, PathRejection>,
    parameters: Result<Query<OrdersParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let ids = [parse_id("user id", id, UserId::parse)?];
    let (request, status, page) = parse_orders(parameters)?;
    let rows = read_model.orders_of_users(&ids, status.as_ref(), &page).await?;
    // Orders can be projected before their user, so only a user without either is not found.
    if rows.is_empty() && read_model.users(&ids).await?.is_empty() {
        return Err(not_found("user", ids[0].as_str()));
    }
    Ok(orders_page(&uri, &request, rows))
}

fn parse_orders(
    parameters: Result<Query<OrdersParameters>, QueryRejection>,
) -> Result<(PageRequest, Option<OrderStatus>, Page), Problem> {
    let Query(parameters) = parameters.map_err(|error| Problem::invalid(error.body_text()))?;
    let (after, before) = (parameters.after.as_deref(), parameters.before.as_deref());
    let request = PageRequest::parse(parameters.limit, after, before)?;
    let status = parameters.status.as_deref().map(OrderStatus::parse).transpose();
    let status = status.map_err(|error| Problem::invalid(format!("status {error}")))?;
    let mut page = request.page();
    if let Some(from) = parse_time("placedFrom", parameters.placed_from.as_deref())? {
        page = page.newer_than(SortKey::start_of(from));
    }
    if let Some(until) = parse_time("placedUntil", parameters.placed_until.as_deref())? {
        page = page.older_than(SortKey::start_of(until));
    }
    Ok((request, status, page))
}

fn orders_page(uri: &Uri, request: &PageRequest, rows: Vec<Order>) -> Response {
    let RowsPage { rows, next, previous } = request.split(rows);
    let links = links(uri, next.as_deref(), previous.as_deref());
    let orders = rows.into_iter().map(OrderWithPayment::from).collect();
    with_links(json(StatusCode::OK, &OrdersPage { orders, next, previous }), links)
}

fn parse_time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    text.map(Timestamp::parse).transpose().map_err(|error| Problem::invalid(format!("{name} {error}")))
}

/// The requested page.
struct PageRequest {
    limit: u32,
    start: Start,
}

enum Start {
    Newest,
    After(SortKey),
    Before(SortKey),
}

/// The rows of a page and the cursors of its neighbours.
struct RowsPage<T> {
    rows: Vec<T>,
    next: Option<String>,
    previous: Option<String>,
}

impl PageRequest {
    fn parse(limit: Option<u32>, after: Option<&str>, before: Option<&str>) -> Result<Self, Problem> {
        let limit = parse_limit(limit, PAGE_DEFAULT)?;
        let key = |name: &str, cursor: &str| {
            SortKey::from_cursor(cursor).map_err(|error| Problem::invalid(format!("{name} {error}")))
        };
        let start = match (after, before) {
            (None, None) => Start::Newest,
            (Some(after), None) => Start::After(key("after", after)?),
            (None, Some(before)) => Start::Before(key("before", before)?),
            (Some(_), Some(_)) => return Err(Problem::invalid("send after or before, not both")),
        };
        Ok(Self { limit, start })
    }

    /// The rows to read: one more than requested, which shows whether there is another page.
    fn page(&self) -> Page {
        let limit = self.limit + 1;
        match &self.start {
            Start::Newest => Page::first(Direction::NewestFirst, limit),
            Start::After(key) => Page::first(Direction::NewestFirst, limit).older_than(key.clone()),
            Start::Before(key) => Page::first(Direction::OldestFirst, limit).newer_than(key.clone()),
        }
    }

    fn split<T: Sorted>(&self, mut rows: Vec<T>) -> RowsPage<T> {
        let has_more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        // A cursor comes from a neighbouring page, so there is a page on its side.
        let (has_older, has_newer) = match self.start {
            Start::Newest => (has_more, false),
            Start::After(_) => (has_more, true),
            Start::Before(_) => (true, has_more),
        };
        if matches!(self.start, Start::Before(_)) {
            rows.reverse();
        }
        let cursor = |row: &T| row.sort_key().to_cursor();
        let next = rows.last().filter(|_| has_older).map(cursor);
        let previous = rows.first().filter(|_| has_newer).map(cursor);
        RowsPage { rows, next, previous }
    }
}

/// The URLs of the neighbouring pages: the same parameters with another cursor.
fn links(uri: &Uri, next: Option<&str>, previous: Option<&str>) -> String {
    let parameters = uri.query().unwrap_or_default().split('&');
    let others =
        parameters.filter(|one| !one.is_empty() && !one.starts_with("after=") && !one.starts_with("before="));
    let others: String = others.flat_map(|one| [one, "&"]).collect();
    let link = |cursor: Option<&str>, parameter: &str, relation: &str| {
        cursor.map(|cursor| format!("<{}?{others}{parameter}={cursor}>; rel=\"{relation}\"", uri.path()))
    };
    let links = [link(next, "after", "next"), link(previous, "before", "prev")];
    links.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn with_links(mut response: Response, links: String) -> Response {
    if let Some(links) = HeaderValue::try_from(links).ok().filter(|links| !links.is_empty()) {
        response.headers_mut().insert(header::LINK, links);
    }
    response
}
