//! GraphQL over HTTP, as thin as the specification (GraphQL over HTTP, draft) allows.
//!
//! Our own instead of async-graphql-axum's, which ignores Accept, takes operations from any content type, batches and
//! multipart, and reads 60 MB. Here: one JSON object of bounded size, of content type `application/json` (which a
//! foreign page cannot send unasked), or the same in the query string of a GET, which only reads.
//!
//! A client that says nothing of what it accepts, or accepts everything, gets `application/json`: the draft would have
//! `application/graphql-response+json` since 2025, but those who say nothing are those who do not know it.

use async_graphql::parser::types::OperationType;
use async_graphql::{Response as Answer, ServerError, Variables};
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::http::read_body;
use shared::problem::Problem;

use super::accept::{Format, is_json};
use super::persisted::DocumentHash;
use super::{Asked, Executor, Outcome, Stage, kind, playground, sdl};
use crate::config::GraphqlConfig;

/// What answers can be written as, the first to those who do not care.
const FORMATS: &[Format] = &[Format::Json, Format::GraphQl];

#[derive(Clone)]
struct Endpoint {
    executor: Executor,
    bytes_max: usize,
    has_editor: bool,
}

pub(super) fn routes(executor: Executor, config: &GraphqlConfig) -> Router {
    let has_editor = config.graphql_editor.is_on();
    let bytes_max = config.graphql_body_bytes_max as usize;
    let mut router = Router::new().route("/graphql", get(by_get).post(by_post)).with_state(Endpoint {
        executor,
        bytes_max,
        has_editor,
    });
    if config.graphql_introspection.is_on() {
        router = router.route("/graphql/schema", get(async || sdl()));
    }
    if has_editor { router.merge(playground::routes()) } else { router }
}

/// The parameters of a request, as both methods have them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters<V, E> {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<V>,
    extensions: Option<E>,
}

type JsonParameters = Parameters<Variables, Map<String, Value>>;

async fn by_post(State(endpoint): State<Endpoint>, request: Request) -> Result<Response, Problem> {
    let format = Format::chosen(request.headers(), FORMATS).ok_or_else(not_acceptable)?;
    if !is_json(request.headers()) {
        return Err(unsupported_media_type());
    }
    let body = read_body(request, endpoint.bytes_max).await?;
    // A list would be read as the parameters one after the other.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Problem::malformed("the body is no JSON object; requests are sent one by one"));
    }
    let parameters = serde_json::from_slice(&body)
        .map_err(|error| Problem::malformed(format!("the body is no GraphQL request: {error}")))?;
    answer(&endpoint.executor, parameters, format, &[OperationType::Query, OperationType::Mutation]).await
}

async fn by_get(
    State(endpoint): State<Endpoint>,
    headers: HeaderMap,
    parameters: Result<Query<Parameters<String, String>>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(parameters) = parameters.map_err(|error| Problem::malformed(error.body_text()))?;
    let is_request = parameters.query.is_some() || parameters.extensions.is_some();
    if !is_request
        && endpoint.has_editor
        && Format::chosen(&headers, &[Format::Json, Format::Html]) == Some(Format::Html)
    {
        return Ok(playground::html());
    }
    let format = Format::chosen(&headers, FORMATS).ok_or_else(not_acceptable)?;
    if parameters.query.as_ref().is_some_and(|query| query.len() > endpoint.bytes_max) {
        return Err(Problem::too_large(endpoint.bytes_max));
    }
    let parameters = JsonParameters {
        query: parameters.query,
        operation_name: parameters.operation_name.filter(|name| !name.is_empty()),
        variables: object("variables", parameters.variables)?,
        extensions: object("extensions", parameters.extensions)?,
    };
    answer(&endpoint.executor, parameters, format, &[OperationType::Query]).await
}

/// A parameter of a GET that is a JSON object, written as text.
fn object<T: for<'a> Deserialize<'a>>(name: &str, text: Option<String>) -> Result<Option<T>, Problem> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| Problem::malformed(format!("{name} is no JSON object: {error}")))
}

async fn answer(
    executor: &Executor,
    parameters: JsonParameters,
    format: Format,
    allowed: &[OperationType],
) -> Result<Response, Problem> {
    let hash = match DocumentHash::of_request(&parameters.extensions.unwrap_or_default()) {
        Ok(hash) => hash,
        Err(refused) => return Ok(written(format, &Outcome::refused(refused))),
    };
    let query = parameters.query.filter(|query| !query.is_empty());
    if query.is_none() && hash.is_none() {
        return Err(Problem::malformed("query is missing: POST {\"query\": \"…\"} or GET /graphql?query=…"));
    }
    let variables = parameters.variables.unwrap_or_default();
    let asked = Asked { query, hash, operation_name: parameters.operation_name, variables };
    let document = match executor.find(&asked) {
        Ok(document) => document,
        Err(refused) => return Ok(written(format, &Outcome::refused(refused))),
    };
    if !allowed.contains(&kind(&document, &asked)) {
        return Err(method_not_allowed());
    }
    Ok(written(format, &executor.execute(document, asked).await))
}

fn written(format: Format, outcome: &Outcome) -> Response {
    /// An answer to a document that was not executed has no `data` at all.
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Body<'a> {
        Executed(&'a Answer),
        NotExecuted { errors: &'a [ServerError] },
    }

    let body = match outcome.stage {
        Stage::Executed => Body::Executed(&outcome.response),
        _ => Body::NotExecuted { errors: &outcome.response.errors },
    };
    let body = serde_json::to_vec(&body).expect("GraphQL values always serialise");
    let status = match (outcome.stage, format) {
        (Stage::Forbidden, _) => StatusCode::FORBIDDEN,
        (Stage::TimedOut, _) => StatusCode::SERVICE_UNAVAILABLE,
        (Stage::Broken, _) => StatusCode::INTERNAL_SERVER_ERROR,
        (Stage::Refused, Format::GraphQl) => StatusCode::BAD_REQUEST,
        (Stage::Refused | Stage::Executed, _) => StatusCode::OK,
    };
    let content_type = match format {
        Format::GraphQl => "application/graphql-response+json; charset=utf-8",
        _ => "application/json; charset=utf-8",
    };
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::VARY, HeaderValue::from_static("accept")),
    ];
    (status, headers, body).into_response()
}

fn not_acceptable() -> Problem {
    Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", "The answer cannot be written so")
        .detail("accept application/graphql-response+json or application/json")
}

fn unsupported_media_type() -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "The body has an unknown content type",
    )
    .detail("send GraphQL as content-type: application/json, in UTF-8")
}

fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The route has other methods")
        .detail("a GET only reads; the header Allow tells how to send this")
        .header(header::ALLOW, HeaderValue::from_static("POST"))
}
