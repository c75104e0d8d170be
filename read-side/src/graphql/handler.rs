//! GraphQL over HTTP, as thin as the specification (GraphQL over HTTP, draft) allows.
//!
//! Our own instead of async-graphql-axum's, which ignores Accept, takes operations from any content type, batches and
//! multipart, and reads 60 MB. Here: one JSON object of at most 64 KiB, of content type `application/json` (which a
//! foreign page cannot send unasked), or the same in the query string of a GET. There are no mutations.

use async_graphql::{Request as Operation, Response as Answer, Value, Variables};
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use shared::http::{detached, read_body};
use shared::problem::Problem;

use super::{Executor, playground, sdl};

/// Largest body, and largest query in a GET.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
const GRAPHQL_JSON: &str = "application/graphql-response+json";
const JSON: &str = "application/json";

pub(super) fn routes(executor: Executor) -> Router {
    Router::new()
        .route("/graphql", get(by_get).post(by_post))
        .route("/graphql/schema", get(async || sdl()))
        .with_state(executor)
        .merge(playground::routes())
}

async fn by_post(State(executor): State<Executor>, request: Request) -> Result<Response, Problem> {
    let format = Format::of(request.headers());
    if !is_json(request.headers()) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "The body has an unknown content type",
        )
        .detail("send GraphQL as content-type: application/json"));
    }
    let body = read_body(request, REQUEST_BYTES_MAX).await?;
    let operation = serde_json::from_slice::<Operation>(&body)
        .map_err(|error| Problem::malformed(format!("the body is no GraphQL request: {error}")))?;
    answer(executor, operation, format).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
}

async fn by_get(
    State(executor): State<Executor>,
    headers: HeaderMap,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(parameters) = parameters.map_err(|error| Problem::malformed(error.body_text()))?;
    let Some(query) = parameters.query else {
        return if accepts(&headers, "text/html") { Ok(playground::html()) } else { Err(no_query()) };
    };
    if query.len() > REQUEST_BYTES_MAX {
        return Err(Problem::too_large(REQUEST_BYTES_MAX));
    }
    let mut operation = Operation::new(query);
    operation.operation_name = parameters.operation_name.filter(|name| !name.is_empty());
    if let Some(variables) = parameters.variables.filter(|text| !text.is_empty()) {
        operation.variables = serde_json::from_str::<Variables>(&variables)
            .map_err(|error| Problem::malformed(format!("variables is no JSON object: {error}")))?;
    }
    answer(executor, operation, Format::of(&headers)).await
}

async fn answer(executor: Executor, operation: Operation, format: Format) -> Result<Response, Problem> {
    if operation.query.is_empty() {
        return Err(no_query());
    }
    // A task of its own: a client that hangs up does not cancel what has begun in the database.
    let answer = detached(async move { executor.execute(operation).await }).await?;
    Ok(format.response(&answer))
}

fn no_query() -> Problem {
    Problem::malformed("query is missing: POST {\"query\": \"…\"} or GET /graphql?query=…")
}

/// How an answer is written, by what the client accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// The HTTP status tells whether the document was executed.
    GraphQl,
    /// 200 whatever the answer says: for clients that know nothing else.
    Json,
}

impl Format {
    fn of(headers: &HeaderMap) -> Self {
        if accepts(headers, GRAPHQL_JSON) { Self::GraphQl } else { Self::Json }
    }

    fn response(self, answer: &Answer) -> Response {
        /// An answer to a document that was not executed has no `data` at all.
        #[derive(Serialize)]
        struct NotExecuted<'a> {
            errors: &'a [async_graphql::ServerError],
        }

        let executed = was_executed(answer);
        let body = if executed {
            serde_json::to_vec(answer)
        } else {
            serde_json::to_vec(&NotExecuted { errors: &answer.errors })
        };
        let (content_type, status) = match (self, executed) {
            (Self::GraphQl, true) => (GRAPHQL_JSON, StatusCode::OK),
            (Self::GraphQl, false) => (GRAPHQL_JSON, StatusCode::BAD_REQUEST),
            (Self::Json, _) => (JSON, StatusCode::OK),
        };
        let headers: [(HeaderName, HeaderValue); 2] = [
            (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (header::VARY, HeaderValue::from_static("accept")),
        ];
        let body = body.expect("GraphQL values always serialise");
        (status, headers, body).into_response()
    }
}

/// Errors of execution have a path; a document that failed before has none, and no data.
fn was_executed(answer: &Answer) -> bool {
    answer.data != Value::Null || answer.errors.iter().any(|error| !error.path.is_empty())
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|text| is_media_type(text, JSON))
}

fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut ranges = accepted.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    ranges.any(|range| is_media_type(range, media_type))
}

/// Compares a media type, its parameters left out.
fn is_media_type(text: &str, media_type: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses_the_format() {
        for (accept, format) in [
            ("application/graphql-response+json", Format::GraphQl),
            ("application/json;q=0.9, Application/GraphQL-Response+JSON; charset=utf-8", Format::GraphQl),
            ("application/json", Format::Json),
            ("*/*", Format::Json),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Format::of(&headers), format, "{accept}");
        }
        assert_eq!(Format::of(&HeaderMap::new()), Format::Json);
    }
}
