//! GraphQL over HTTP, as thin as the specification (GraphQL over HTTP, draft) allows.
//!
//! Our own instead of async-graphql-axum's, which ignores Accept, takes operations from any content type, batches and
//! multipart, and reads 60 MB. Here: one JSON object of bounded size, of content type `application/json` (which a
//! foreign page cannot send unasked), or the same in the query string of a GET, which only reads.
//!
//! A client that says nothing of what it accepts, or accepts everything, gets `application/json`: the draft would have
//! `application/graphql-response+json` since 2025, but those who say nothing are those who do not know it.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use async_graphql::{Response as Answer, ServerError};
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use millrace_platform::http::{ShutdownToken, read_body};
use millrace_platform::problem::Problem;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::accept::{Format, is_json};
use super::parameters::{JsonParameters, NO_QUERY, NotAsked, Parameters};
use super::websocket::{self, SocketTimes, Terms};
use super::{Executor, Outcome, Stage, events, kind, playground, sdl};
use crate::access::{self, Unproven};
use crate::config::GraphqlConfig;
use crate::consistency::Consistency;

/// Longest time for one message on a WebSocket to be sent.
const SEND_MAX: Duration = Duration::from_secs(10);
/// What answers can be written as, the first to those who do not care.
const FORMATS: &[Format] = &[Format::Json, Format::GraphQl, Format::Events];

#[derive(Clone)]
struct Endpoint {
    executor: Executor,
    consistency: Consistency,
    bytes_max: usize,
    has_editor: bool,
    /// One for each WebSocket and event stream that may be open.
    sockets: Arc<Semaphore>,
    times: SocketTimes,
    operations_max: usize,
    /// Origins besides our own.
    origins: Arc<[String]>,
}

impl Endpoint {
    fn permit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = self.sockets.clone().try_acquire_owned();
        permit.map_err(|_| Problem::unavailable("as many sockets are open as may be"))
    }

    /// Whether a page of that origin may open a WebSocket, which browsers do not ask.
    fn trusts(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return true; // no browser
        };
        let origin = origin.to_str().unwrap_or_default();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let own = origin.split_once("://").map(|(_, authority)| authority);
        (own.is_some() && own == host) || self.origins.iter().any(|trusted| trusted == origin)
    }

    fn upgrade(
        self,
        socket: WebSocketUpgrade,
        headers: &HeaderMap,
        unproven: Option<Unproven>,
        stop: CancellationToken,
    ) -> Result<Response, Problem> {
        if !self.trusts(headers) {
            let problem = Problem::new(StatusCode::FORBIDDEN, "origin");
            return Err(problem.detail("GRAPHQL_ORIGINS names those that may"));
        }
        let permit = self.permit()?;
        let Self { consistency, times, operations_max, bytes_max, .. } = self;
        let terms = Terms { times, operations_max, consistency, unproven, stop };
        Ok(socket
            .protocols([websocket::PROTOCOL])
            .max_message_size(bytes_max)
            .max_frame_size(bytes_max)
            .on_upgrade(move |socket| websocket::serve(socket, self.executor, terms, permit)))
    }
}

pub(super) fn routes(executor: Executor, consistency: Consistency, config: &GraphqlConfig) -> Router {
    let has_editor = config.graphql_editor.is_on();
    let bytes_max = config.graphql_body_bytes_max as usize;
    let endpoint = Endpoint {
        executor,
        consistency,
        bytes_max,
        has_editor,
        sockets: Arc::new(Semaphore::new(config.graphql_sockets_max as usize)),
        times: SocketTimes {
            init: config.graphql_socket_init,
            keep_alive: config.graphql_socket_keep_alive,
            send: SEND_MAX,
        },
        operations_max: config.graphql_subscriptions_max as usize,
        origins: config.graphql_origins.clone().into(),
    };
    let mut router = Router::new().route("/graphql", get(by_get).post(by_post)).with_state(endpoint);
    if config.graphql_introspection.is_on() {
        router = router.route("/graphql/schema", get(async || sdl()));
    }
    router
}

/// What serving requests is told of the end of the process.
fn told(stopping: Option<&ShutdownToken>) -> CancellationToken {
    stopping.map(|stopping| stopping.0.clone()).unwrap_or_default()
}

async fn by_post(State(endpoint): State<Endpoint>, request: Request) -> Result<Response, Problem> {
    let format = Format::chosen(request.headers(), FORMATS).ok_or_else(not_acceptable)?;
    if !is_json(request.headers()) {
        return Err(unsupported_media_type());
    }
    let stop = told(request.extensions().get());
    let body = read_body(request, endpoint.bytes_max).await?;
    // A list would be read as the parameters one after the other.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Problem::malformed("the body is no JSON object; requests are sent one by one"));
    }
    let parameters = serde_json::from_slice(&body)
        .map_err(|error| Problem::malformed(format!("the body is no GraphQL request: {error}")))?;
    answer(endpoint, parameters, format, Method::POST, stop).await
}

async fn by_get(
    State(endpoint): State<Endpoint>,
    headers: HeaderMap,
    stopping: Option<Extension<ShutdownToken>>,
    unproven: Option<Extension<Unproven>>,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    parameters: Result<Query<Parameters<String, String>>, QueryRejection>,
) -> Result<Response, Problem> {
    let stop = told(stopping.as_deref());
    if let Ok(socket) = socket {
        return endpoint.upgrade(socket, &headers, unproven.map(|Extension(unproven)| unproven), stop);
    }
    let Query(parameters) = parameters.map_err(|error| Problem::malformed(error.body_text()))?;
    let is_request = parameters.query.is_some() || parameters.extensions.is_some();
    if !is_request
        && endpoint.has_editor
        && Format::chosen(&headers, &[Format::Json, Format::Html]) == Some(Format::Html)
    {
        return Ok(playground::html());
    }
    if unproven.is_some() {
        return Err(access::refused());
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
    answer(endpoint, parameters, format, Method::GET, stop).await
}

/// A parameter of a GET that is a JSON object, written as text.
fn object<T: for<'a> Deserialize<'a>>(name: &str, text: Option<String>) -> Result<Option<T>, Problem> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| Problem::malformed(format!("{name} is no JSON object: {error}")))
}

/// What a method may be used for.
fn is_allowed(method: &Method, format: Format, kind: OperationType) -> bool {
    match kind {
        OperationType::Query => true,
        // Where there are none, the library says so.
        OperationType::Mutation => method == Method::POST,
        // An event stream is asked for by browsers with a GET.
        OperationType::Subscription => method == Method::POST || format == Format::Events,
    }
}

async fn answer(
    endpoint: Endpoint,
    parameters: JsonParameters,
    format: Format,
    method: Method,
    stop: CancellationToken,
) -> Result<Response, Problem> {
    let asked = match parameters.asked() {
        Ok(asked) => asked,
        Err(NotAsked::NoQuery) => return Err(Problem::malformed(NO_QUERY)),
        Err(NotAsked::Refused(refused)) => return Ok(written(format, &Outcome::refused(refused))),
    };
    let document = match endpoint.executor.find(&asked) {
        Ok(document) => document,
        Err(refused) => return Ok(written(format, &Outcome::refused(refused))),
    };
    if !is_allowed(&method, format, kind(&document, &asked)) {
        return Err(method_not_allowed());
    }
    if format == Format::Events {
        let permit = endpoint.permit()?;
        let keep_alive = endpoint.times.keep_alive;
        return Ok(events::stream(endpoint.executor, document, asked, keep_alive, permit, stop));
    }
    Ok(written(format, &endpoint.executor.execute(document, asked).await))
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
        (Stage::Refused, Format::GraphQl | Format::Events) => StatusCode::BAD_REQUEST,
        (Stage::Refused | Stage::Executed, _) => StatusCode::OK,
    };
    let content_type = match format {
        Format::GraphQl | Format::Events => "application/graphql-response+json; charset=utf-8",
        Format::Json | Format::Html => "application/json; charset=utf-8",
    };
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::VARY, HeaderValue::from_static("accept")),
    ];
    (status, headers, body).into_response()
}

fn not_acceptable() -> Problem {
    Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable")
        .detail("accept application/graphql-response+json or application/json")
}

fn unsupported_media_type() -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type")
        .detail("send GraphQL as content-type: application/json, in UTF-8")
}

fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed")
        .detail("a GET only reads; the header Allow tells how to send this")
        .header(header::ALLOW, HeaderValue::from_static("POST"))
}
