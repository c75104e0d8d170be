//! Lists, page by page: a cursor names the row where a page ended, so what arrives meanwhile neither shifts nor repeats
//! anything. The header Link (RFC 8288) has the neighbouring pages ready to be fetched.

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
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{OrderWithPayment, parse_id, parse_limit, unknown};
use crate::page::{Direction, Page, Place, Placed};
use crate::read_model::ReadModel;
use crate::view::{Order, User};

/// Rows of a page when it is not told how many.
const PAGE: u32 = 20;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsersParameters {
    /// How many, 1 to 100; 20 when it is not told
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Only what comes after this cursor
    after: Option<String>,
    /// Only what comes before this cursor
    before: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct OrdersParameters {
    /// How many, 1 to 100; 20 when it is not told
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Only what comes after this cursor
    after: Option<String>,
    /// Only what comes before this cursor
    before: Option<String>,
    /// Only orders of this status
    status: Option<String>,
    /// Only orders placed at this time or later
    #[param(format = DateTime)]
    placed_from: Option<String>,
    /// Only orders placed before this time
    #[param(format = DateTime)]
    placed_until: Option<String>,
}

/// A page of users, newest first.
#[derive(Serialize, ToSchema)]
struct UsersPage {
    users: Vec<User>,
    /// The cursor for `after`; null when there is nothing more.
    next: Option<String>,
    /// The cursor for `before`; null when this page begins the list.
    previous: Option<String>,
}

/// A page of orders, newest first.
#[derive(Serialize, ToSchema)]
struct OrdersPage {
    orders: Vec<OrderWithPayment>,
    /// The cursor for `after`; null when there is nothing more.
    next: Option<String>,
    /// The cursor for `before`; null when this page begins the list.
    previous: Option<String>,
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
    let asked = Asked::parse(parameters.limit, parameters.after.as_deref(), parameters.before.as_deref())?;
    let rows = read_model.users_page(&asked.page()).await?;
    let Part { rows, next, previous } = asked.cut(rows);
    let links = links(&uri, next.as_deref(), previous.as_deref());
    Ok(linked(json(StatusCode::OK, &UsersPage { users: rows, next, previous }), links))
}

/// All orders, newest first
#[utoipa::path(get, path = "/orders", tag = "orders", params(OrdersParameters),
    responses((status = 200, body = OrdersPage), CommonProblems))]
pub(super) async fn orders(
    State(read_model): State<ReadModel>,
    uri: Uri,
    parameters: Result<Query<OrdersParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let (asked, status, page) = orders_asked(parameters)?;
    let rows = read_model.orders_page(status.as_ref(), &page).await?;
    Ok(orders_page(&uri, &asked, rows))
}

/// The orders of a user, newest first
#[utoipa::path(get, path = "/users/{id}/orders", tag = "users",
    params(("id" = String, Path, description = "Of the user", pattern = "^[A-Za-z0-9._:@-]{1,64}$"), OrdersParameters),
    responses((status = 200, body = OrdersPage), CommonProblems))]
pub(super) async fn orders_of_user(
    State(read_model): State<ReadModel>,
    uri: Uri,
    id: Result<Path<String>, PathRejection>,
    parameters: Result<Query<OrdersParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let ids = [parse_id("user id", id, UserId::parse)?];
    let (asked, status, page) = orders_asked(parameters)?;
    let rows = read_model.orders_of_users(&ids, status.as_ref(), &page).await?;
    // Orders may come before their user; without either there is nothing of that name.
    if rows.is_empty() && read_model.users(&ids).await?.is_empty() {
        return Err(unknown("user", ids[0].as_str()));
    }
    Ok(orders_page(&uri, &asked, rows))
}

fn orders_asked(
    parameters: Result<Query<OrdersParameters>, QueryRejection>,
) -> Result<(Asked, Option<OrderStatus>, Page), Problem> {
    let Query(parameters) = parameters.map_err(|error| Problem::invalid(error.body_text()))?;
    let asked = Asked::parse(parameters.limit, parameters.after.as_deref(), parameters.before.as_deref())?;
    let status = parameters.status.as_deref().map(OrderStatus::parse).transpose();
    let status = status.map_err(|error| Problem::invalid(format!("status {error}")))?;
    let mut page = asked.page();
    if let Some(from) = parse_time("placedFrom", parameters.placed_from.as_deref())? {
        page = page.newer_than(Place::start_of(from));
    }
    if let Some(until) = parse_time("placedUntil", parameters.placed_until.as_deref())? {
        page = page.older_than(Place::start_of(until));
    }
    Ok((asked, status, page))
}

fn orders_page(uri: &Uri, asked: &Asked, rows: Vec<Order>) -> Response {
    let Part { rows, next, previous } = asked.cut(rows);
    let links = links(uri, next.as_deref(), previous.as_deref());
    let orders = rows.into_iter().map(OrderWithPayment::from).collect();
    linked(json(StatusCode::OK, &OrdersPage { orders, next, previous }), links)
}

fn parse_time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    text.map(Timestamp::parse).transpose().map_err(|error| Problem::invalid(format!("{name} {error}")))
}

/// Which page was asked for.
struct Asked {
    limit: u32,
    from: From,
}

enum From {
    Start,
    After(Place),
    Before(Place),
}

/// A page of rows, and the cursors of its neighbours.
struct Part<T> {
    rows: Vec<T>,
    next: Option<String>,
    previous: Option<String>,
}

impl Asked {
    fn parse(limit: Option<u32>, after: Option<&str>, before: Option<&str>) -> Result<Self, Problem> {
        let limit = parse_limit(limit, PAGE)?;
        let place = |name: &str, cursor: &str| {
            Place::from_cursor(cursor).map_err(|error| Problem::invalid(format!("{name} {error}")))
        };
        let from = match (after, before) {
            (None, None) => From::Start,
            (Some(after), None) => From::After(place("after", after)?),
            (None, Some(before)) => From::Before(place("before", before)?),
            (Some(_), Some(_)) => return Err(Problem::invalid("give after or before, not both")),
        };
        Ok(Self { limit, from })
    }

    /// One row more than was asked for, which tells whether there are more.
    fn page(&self) -> Page {
        let limit = self.limit + 1;
        match &self.from {
            From::Start => Page::first(Direction::NewestFirst, limit),
            From::After(place) => Page::first(Direction::NewestFirst, limit).older_than(place.clone()),
            From::Before(place) => Page::first(Direction::OldestFirst, limit).newer_than(place.clone()),
        }
    }

    fn cut<T: Placed>(&self, mut rows: Vec<T>) -> Part<T> {
        let more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        // Whoever came from a neighbouring page can go back to it.
        let (older, newer) = match self.from {
            From::Start => (more, false),
            From::After(_) => (more, true),
            From::Before(_) => (true, more),
        };
        if matches!(self.from, From::Before(_)) {
            rows.reverse();
        }
        let cursor = |row: &T| row.place().to_cursor();
        let next = rows.last().filter(|_| older).map(cursor);
        let previous = rows.first().filter(|_| newer).map(cursor);
        Part { rows, next, previous }
    }
}

/// The neighbouring pages: the same parameters with another cursor.
fn links(uri: &Uri, next: Option<&str>, previous: Option<&str>) -> String {
    let kept = uri.query().unwrap_or_default().split('&');
    let kept =
        kept.filter(|one| !one.is_empty() && !one.starts_with("after=") && !one.starts_with("before="));
    let kept: String = kept.flat_map(|one| [one, "&"]).collect();
    let link = |cursor: Option<&str>, parameter: &str, relation: &str| {
        cursor.map(|cursor| format!("<{}?{kept}{parameter}={cursor}>; rel=\"{relation}\"", uri.path()))
    };
    let links = [link(next, "after", "next"), link(previous, "before", "prev")];
    links.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn linked(mut response: Response, links: String) -> Response {
    if let Some(links) = HeaderValue::try_from(links).ok().filter(|links| !links.is_empty()) {
        response.headers_mut().insert(header::LINK, links);
    }
    response
}
