//! `Idempotency-Key` on commands: what was granted is answered again, what is under way is not begun twice.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use millrace_domain::Timestamp;
use millrace_platform::problem::Problem;
use uuid::Uuid;

use super::BULK_BODY_BYTES_MAX;
use super::Commands;
use crate::idempotency::{Answer, Attempt, Begun, IdempotencyError, IdempotencyKey, KEY_CHARS_MAX};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Headers that belong to an answer, beside those that every answer has.
const KEPT_HEADERS: [HeaderName; 3] = [
    header::CONTENT_TYPE,
    HeaderName::from_static("consistency-token"),
    HeaderName::from_static("x-correlation-id"),
];

/// Commands without the header pass. With it they are tried in a task of their own: a client that hangs up and asks again
/// finds the answer.
pub(super) async fn guard(
    State(commands): State<Arc<Commands>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(key) = key(request.headers())? else { return Ok(next.run(request).await) };
    let (parts, body) = request.into_parts();
    let mut whole = Request::new(body);
    *whole.headers_mut() = parts.headers.clone();
    let body = millrace_platform::http::read_body(whole, BULK_BODY_BYTES_MAX).await?;
    let fingerprint = fingerprint(parts.uri.path(), &parts.headers, &body);
    let begun = commands.idempotency.begin(key, fingerprint, Timestamp::now()).await;
    match begun.map_err(|error| away(&error))? {
        Begun::Attempt(attempt) => {
            let mut request = Request::from_parts(parts, Body::from(body));
            request.extensions_mut().insert(attempt.clone());
            millrace_platform::http::detached(attempt_once(commands, attempt, request, next)).await?
        }
        Begun::Answered(answer) => Ok(again(answer)),
        Begun::InFlight => Err(Problem::new(StatusCode::CONFLICT, "in-flight")
            .detail("another request with this Idempotency-Key is in progress; retry after a second")
            .header(header::RETRY_AFTER, HeaderValue::from_static("1"))),
        Begun::AnotherCommand => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused")
                .detail("this Idempotency-Key was used with another body or on another route"))
        }
    }
}

fn key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let mut given = headers.get_all(KEY).iter();
    let (Some(first), None) = (given.next(), given.next()) else {
        return if headers.contains_key(KEY) { Err(malformed()) } else { Ok(None) };
    };
    IdempotencyKey::parse(first.as_bytes()).map(Some).ok_or_else(malformed)
}

fn malformed() -> Problem {
    Problem::malformed(format!(
        "Idempotency-Key must be one text of 1 to {KEY_CHARS_MAX} visible ASCII characters"
    ))
}

fn away(error: &IdempotencyError) -> Problem {
    tracing::warn!("a command was not tried: {}", millrace_platform::telemetry::chain(error));
    Problem::unavailable("idempotency keys cannot be looked up, so nothing was done; try again")
}

/// Route, type and body. Two commands of one key are told apart by it; nobody gains by making two that are alike.
fn fingerprint(path: &str, headers: &HeaderMap, body: &[u8]) -> Uuid {
    let media_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let whole = [path.as_bytes(), b"\n", media_type, b"\n", body].concat();
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &whole)
}

async fn attempt_once(
    commands: Arc<Commands>,
    attempt: Attempt,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let response = next.run(request).await;
    let status = response.status();
    let keys = &commands.idempotency;
    if !status.is_success() {
        // Of a command that was refused nothing came. One that failed may have been appended all the same.
        note(keys.failed(&attempt, status.is_client_error()).await);
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.map_err(|_| Problem::internal())?;
    let header = |name: &HeaderName| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    };
    let answer = Answer {
        status: status.as_u16(),
        headers: KEPT_HEADERS.iter().filter_map(header).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    // The command is granted, whether its answer can be kept or not. If not, the next attempt makes the same event.
    note(keys.granted(&attempt, &answer).await);
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn note(result: Result<(), IdempotencyError>) {
    if let Err(error) = result {
        tracing::warn!("the end of a command was not noted: {}", millrace_platform::telemetry::chain(&error));
    }
}

/// The answer of then.
fn again(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::ACCEPTED);
    let headers = response.headers_mut();
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
