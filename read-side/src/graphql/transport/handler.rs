//! GraphQL over HTTP, by the draft of its specification.
//!
//! Not async-graphql-axum's handler, which ignores Accept, executes operations of any content type, batches and multipart
//! bodies, and reads 60 MB (docs/adr/0005). Here a request is one JSON object of limited size with the content type
//! `application/json`, which a page of another origin cannot send without a preflight request, or a GET that only reads.
//!
//! Without an Accept header, and for `*/*`, the content type of a response is `application/json`. Since 2025 the draft
//! prefers `application/graphql-response+json`, but clients that accept it say so.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql_axum::GraphQLProtocol;
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use millrace_platform::http::{ShutdownToken, read_body};
use millrace_platform::problem::Problem;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::http_response::{self, method_not_allowed, not_acceptable, unsupported_media_type};
use super::media_types::{Format, is_json};
use super::parameters::{JsonParameters, NO_QUERY, Parameters, ParametersError};
use super::upgrade::WebSockets;
use super::{playground, server_sent_events};
use crate::consistency::Consistency;
use crate::graphql::config::GraphqlConfig;
use crate::graphql::execution::Executor;
use crate::graphql::schema::sdl;
use crate::http::access::{Unauthenticated, unauthorized};

/// The formats of a response; the first is the default.
const FORMATS: &[Format] = &[Format::Json, Format::GraphQl, Format::Events];

#[derive(Clone)]
struct Endpoint {
    executor: Executor,
    bytes_max: usize,
    has_editor: bool,
    /// A permit for each WebSocket and event stream.
    sockets: Arc<Semaphore>,
    websockets: WebSockets,
}

impl Endpoint {
    fn acquire_socket(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = self.sockets.clone().try_acquire_owned();
        permit.map_err(|_| Problem::unavailable("too many WebSockets and event streams open; retry later"))
    }
}

pub(crate) fn routes(executor: Executor, consistency: Consistency, config: &GraphqlConfig) -> Router {
    let endpoint = Endpoint {
        executor,
        bytes_max: config.graphql_body_bytes_max as usize,
        has_editor: config.graphql_editor.is_on(),
        sockets: Arc::new(Semaphore::new(config.graphql_sockets_max as usize)),
        websockets: WebSockets::new(consistency, config),
    };
    let mut router = Router::new().route("/graphql", get(by_get).post(by_post)).with_state(endpoint);
    if config.graphql_introspection.is_on() {
        router = router.route("/graphql/schema", get(async || sdl()));
    }
    router
}

/// Cancelled when the process shuts down.
fn cancellation(token: Option<&ShutdownToken>) -> CancellationToken {
    token.map(|token| token.0.clone()).unwrap_or_default()
}

async fn by_post(State(endpoint): State<Endpoint>, request: Request) -> Result<Response, Problem> {
    let format = Format::negotiate(request.headers(), FORMATS).ok_or_else(not_acceptable)?;
    if !is_json(request.headers()) {
        return Err(unsupported_media_type());
    }
    let shutdown = cancellation(request.extensions().get());
    let body = read_body(request, endpoint.bytes_max).await?;
    // serde would accept a list as the parameters in their order.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Problem::malformed("the body is not a JSON object; send one GraphQL request"));
    }
    let parameters = serde_json::from_slice(&body)
        .map_err(|error| Problem::malformed(format!("the body is not a GraphQL request: {error}")))?;
    respond(endpoint, parameters, format, Method::POST, shutdown).await
}

async fn by_get(
    State(endpoint): State<Endpoint>,
    headers: HeaderMap,
    shutdown: Option<Extension<ShutdownToken>>,
    unauthenticated: Option<Extension<Unauthenticated>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    protocol: Result<GraphQLProtocol, StatusCode>,
    parameters: Result<Query<Parameters<String, String>>, QueryRejection>,
) -> Result<Response, Problem> {
    let shutdown = cancellation(shutdown.as_deref());
    if let Ok(upgrade) = upgrade {
        endpoint.websockets.check_origin(&headers)?;
        let permit = endpoint.acquire_socket()?;
        let unauthenticated = unauthenticated.map(|Extension(unauthenticated)| unauthenticated);
        let Endpoint { executor, websockets, .. } = endpoint;
        return Ok(websockets.upgrade(upgrade, protocol.ok(), executor, unauthenticated, shutdown, permit));
    }
    let Query(parameters) = parameters.map_err(|error| Problem::malformed(error.body_text()))?;
    let is_request = parameters.query.is_some() || parameters.extensions.is_some();
    if !is_request
        && endpoint.has_editor
        && Format::negotiate(&headers, &[Format::Json, Format::Html]) == Some(Format::Html)
    {
        return Ok(playground::html());
    }
    if unauthenticated.is_some() {
        return Err(unauthorized());
    }
    let format = Format::negotiate(&headers, FORMATS).ok_or_else(not_acceptable)?;
    if parameters.query.as_ref().is_some_and(|query| query.len() > endpoint.bytes_max) {
        return Err(Problem::too_large(endpoint.bytes_max));
    }
    let parameters = JsonParameters {
        query: parameters.query,
        operation_name: parameters.operation_name.filter(|name| !name.is_empty()),
        variables: object("variables", parameters.variables)?,
        extensions: object("extensions", parameters.extensions)?,
    };
    respond(endpoint, parameters, format, Method::GET, shutdown).await
}

/// Parses a query parameter that contains a JSON object.
fn object<T: for<'a> Deserialize<'a>>(name: &str, text: Option<String>) -> Result<Option<T>, Problem> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| Problem::malformed(format!("{name} is not a JSON object: {error}")))
}

fn is_allowed(method: &Method, format: Format, operation: OperationType) -> bool {
    match operation {
        OperationType::Query => true,
        // The schema has no mutations; validation reports that.
        OperationType::Mutation => method == Method::POST,
        // Browsers can open an event stream with GET only.
        OperationType::Subscription => method == Method::POST || format == Format::Events,
    }
}

async fn respond(
    endpoint: Endpoint,
    parameters: JsonParameters,
    format: Format,
    method: Method,
    shutdown: CancellationToken,
) -> Result<Response, Problem> {
    let request = match parameters.into_request() {
        Ok(request) => request,
        Err(ParametersError::NoQuery) => return Err(Problem::malformed(NO_QUERY)),
        Err(ParametersError::Rejected(error)) => return Ok(http_response::write(format, &error.into())),
    };
    let document = match endpoint.executor.document(&request) {
        Ok(document) => document,
        Err(error) => return Ok(http_response::write(format, &error.into())),
    };
    if !is_allowed(&method, format, document.operation_type(request.operation_name.as_deref())) {
        return Err(method_not_allowed());
    }
    if format == Format::Events {
        let permit = endpoint.acquire_socket()?;
        let keep_alive = endpoint.websockets.keep_alive();
        let executor = endpoint.executor;
        return Ok(server_sent_events::stream(executor, document, request, keep_alive, permit, shutdown));
    }
    Ok(http_response::write(format, &endpoint.executor.execute(document, request).await))
}
