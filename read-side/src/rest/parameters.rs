//! Parsing of path and query parameters: an invalid one is answered with 422.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use millrace_domain::id::InvalidId;
use millrace_platform::problem::Problem;

/// Maximum number of entries of an answer.
const PAGE_MAX: u32 = 100;

/// Rejects query parameters, for a route without any.
pub(super) struct NoParameters;

impl<S: Sync> FromRequestParts<S> for NoParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.uri.query() {
            None | Some("") => Ok(Self),
            Some(_) => Err(Problem::invalid("this route has no query parameters")),
        }
    }
}

pub(super) fn parse_limit(limit: Option<u32>, default: u32) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(default);
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::invalid(format!("limit is {limit}; it must be from 1 to {PAGE_MAX}")))
}

pub(super) fn parse_id<T>(
    name: &str,
    path: Result<Path<String>, PathRejection>,
    parse: fn(&str) -> Result<T, InvalidId>,
) -> Result<T, Problem> {
    let Path(text) = path.map_err(|_| Problem::invalid(format!("{name} is not UTF-8")))?;
    parse(&text).map_err(|error| Problem::invalid(format!("{name} {error}")))
}

pub(super) fn not_found(name: &str, id: &str) -> Problem {
    Problem::not_found(format!("{name} {id:?} not found"))
}
