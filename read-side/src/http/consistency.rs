//! The headers Consistency-Token and Consistency, and the layer that waits before a read.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use millrace_domain::consistency::HEADER;
use millrace_platform::problem::Problem;

use crate::consistency::{Consistency, ConsistencyError, Freshness, Requirement};

const TOKEN: HeaderName = HeaderName::from_static(HEADER);
/// In a request `eventual`, which accepts a stale answer, or `strong`, the default. In an answer `stale`.
const CONSISTENCY: HeaderName = HeaderName::from_static("consistency");

/// What the headers of a request require; `None` without a token.
///
/// # Errors
/// [`ConsistencyError::Malformed`]
pub(crate) fn requirement(headers: &HeaderMap) -> Result<Option<Requirement>, ConsistencyError> {
    let malformed = |detail: &str| ConsistencyError::Malformed(detail.to_owned());
    let values = headers.get_all(TOKEN).iter().map(HeaderValue::to_str).collect::<Result<Vec<_>, _>>();
    let values = values.map_err(|_| malformed("Consistency-Token is not ASCII"))?;
    if values.is_empty() {
        return Ok(None);
    }
    let token = values.join(",").parse().map_err(|error| malformed(&format!("{error}")))?;
    let accepts_stale = match headers.get(CONSISTENCY).map(HeaderValue::as_bytes) {
        None | Some(b"strong") => false,
        Some(b"eventual") => true,
        Some(_) => return Err(malformed("Consistency must be strong or eventual")),
    };
    Ok(Some(Requirement { token, accepts_stale }))
}

/// The layer of all routes that show projected rows.
pub(super) async fn read_your_writes(
    State(consistency): State<Consistency>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    // Requests without a token cost no more than this.
    if !request.headers().contains_key(TOKEN) {
        return Ok(next.run(request).await);
    }
    let freshness = match requirement(request.headers())? {
        Some(requirement) => consistency.wait_for(&requirement).await?,
        None => Freshness::Current,
    };
    let mut response = next.run(request).await;
    if freshness == Freshness::Stale {
        response.headers_mut().insert(CONSISTENCY, HeaderValue::from_static("stale"));
    }
    Ok(response)
}
