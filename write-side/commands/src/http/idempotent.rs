//! `Idempotency-Key` on commands: an accepted command is answered again, one in progress is not tried twice.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use millrace_domain::Timestamp;
use millrace_platform::problem::Problem;
use uuid::Uuid;

use super::state::{BULK_BODY_BYTES_MAX, Commands};
use crate::idempotency::{Admission, Answer, Attempt, IdempotencyError, IdempotencyKey, KEY_CHARS_MAX};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Headers that are stored with an answer.
const KEPT_HEADERS: [HeaderName; 3] = [
    header::CONTENT_TYPE,
    HeaderName::from_static("consistency-token"),
    HeaderName::from_static("x-correlation-id"),
];

/// The layer of all commands. With the header a command runs in a task of its own, so that a client that hangs up and
/// retries finds the answer.
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
    let admission = commands.idempotency.begin(key, fingerprint, Timestamp::now()).await;
    match admission.map_err(|error| unavailable(&error))? {
        Admission::Attempt(attempt) => {
            let mut request = Request::from_parts(parts, Body::from(body));
            request.extensions_mut().insert(attempt.clone());
            millrace_platform::http::detached(run_attempt(commands, attempt, request, next)).await?
        }
        Admission::Answered(answer) => Ok(replayed(answer)),
        Admission::InFlight => Err(Problem::new(StatusCode::CONFLICT, "in-flight")
            .detail("another request with this Idempotency-Key is in progress; retry after a second")
            .header(header::RETRY_AFTER, HeaderValue::from_static("1"))),
        Admission::AnotherCommand => {
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

fn unavailable(error: &IdempotencyError) -> Problem {
    tracing::warn!(target: "millrace::commands", "command not tried: {}", millrace_platform::telemetry::chain(error));
    Problem::unavailable("idempotency keys unavailable; the command was not tried, retry with the same key")
}

/// Of route, content type and body. It needs no cryptographic hash: a client that forges a collision gains nothing.
fn fingerprint(path: &str, headers: &HeaderMap, body: &[u8]) -> Uuid {
    let media_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let whole = [path.as_bytes(), b"\n", media_type, b"\n", body].concat();
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &whole)
}

async fn run_attempt(
    commands: Arc<Commands>,
    attempt: Attempt,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let response = next.run(request).await;
    let status = response.status();
    let keys = &commands.idempotency;
    if !status.is_success() {
        // A rejected command appended nothing. One that failed may have appended its event all the same.
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
    // The command is accepted even if its answer cannot be stored: then the next attempt makes the same event.
    note(keys.accepted(&attempt, &answer).await);
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn note(result: Result<(), IdempotencyError>) {
    if let Err(error) = result {
        tracing::warn!(target: "millrace::commands", "failed to store the result of a command: {}", millrace_platform::telemetry::chain(&error));
    }
}

/// The stored answer, marked as such.
fn replayed(answer: Answer) -> Response {
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
