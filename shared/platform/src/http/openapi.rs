//! OpenAPI 3.1: the document of a service, the page that shows it, and the descriptions that all services share.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::routing::get;
use serde_json::Value;
pub use utoipa::openapi::OpenApi;
pub use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{Schema, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApiBuilder, Ref, RefOr, Required,
    Response, ResponseBuilder, Server,
};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use super::page::page;
use crate::problem::Problem;

const JSON: &str = "application/json";
const PROBLEM_JSON: &str = "application/problem+json";
const BEARER: &str = "bearer";
const BEARER_DESCRIPTION: &str =
    "A token that is configured for this service. Without a configured token no authentication is required.";

/// The description of a route whose request and response have no Rust types to derive it from.
#[derive(Clone)]
pub struct RouteDescription {
    pub method: HttpMethod,
    /// As in the router, with parameters in braces.
    pub path: &'static str,
    /// The heading that lists the route.
    pub tag: &'static str,
    pub summary: &'static str,
    /// Names of the query parameters. All are optional.
    pub query: &'static [&'static str],
    /// Media type and JSON schema of the request body.
    pub request: Option<(&'static str, Value)>,
    /// Status and media type of a successful response.
    pub response: (u16, &'static str),
}

impl RouteDescription {
    /// A `GET` route that responds with 200.
    pub fn get(path: &'static str, tag: &'static str, media: &'static str, summary: &'static str) -> Self {
        Self {
            method: HttpMethod::Get,
            path,
            tag,
            summary,
            query: &[],
            request: None,
            response: (200, media),
        }
    }

    /// A route without a request body that responds with 200 and JSON.
    pub fn without_body(
        method: HttpMethod,
        path: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        Self { method, ..Self::get(path, tag, JSON, summary) }
    }

    #[must_use]
    pub fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    /// A `POST` route with a JSON body of that schema.
    pub fn post(
        path: &'static str,
        tag: &'static str,
        request: Value,
        status: u16,
        summary: &'static str,
    ) -> Self {
        Self {
            method: HttpMethod::Post,
            path,
            tag,
            summary,
            query: &[],
            request: Some((JSON, request)),
            response: (status, JSON),
        }
    }
}

/// A document with the routes and schemas of every service. `home` is the media type of `/`.
pub fn document(title: &str, home: &'static str) -> OpenApi {
    let license = env!("CARGO_PKG_LICENSE");
    let license = LicenseBuilder::new().name(license).identifier(Some(license)).build();
    let info =
        InfoBuilder::new().title(title).version(env!("CARGO_PKG_VERSION")).license(Some(license)).build();
    // The empty requirement makes the token optional: a service without a configured token requires none.
    let security = [SecurityRequirement::default(), SecurityRequirement::new(BEARER, [""; 0])];
    let mut document =
        OpenApiBuilder::new().info(info).servers(Some([Server::new("/")])).security(Some(security)).build();
    let components = document.components.get_or_insert_default();
    let bearer = Http::builder().scheme(HttpAuthScheme::Bearer).description(Some(BEARER_DESCRIPTION)).build();
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    let common = [
        RouteDescription::get("/", "service", home, "Overview of the service"),
        RouteDescription::get("/health", "service", JSON, "Whether the process runs"),
        RouteDescription::get(
            "/ready",
            "service",
            JSON,
            "Whether the service can do its work; 503 with the reasons if not",
        ),
        RouteDescription::get("/metrics", "service", "text/plain", "Metrics in the Prometheus text format"),
        RouteDescription::get("/openapi.json", "service", JSON, "This document"),
        RouteDescription::get("/docs", "service", "text/html", "This document as an HTML page"),
    ];
    describe(&mut document, common);
    document
}

pub fn describe(document: &mut OpenApi, routes: impl IntoIterator<Item = RouteDescription>) {
    for route in routes {
        let (status, media) = route.response;
        let success =
            ResponseBuilder::new().description("Success").content(media, ContentBuilder::new().build());
        let mut operation = OperationBuilder::new()
            .tag(route.tag)
            .operation_id(Some(operation_id(&route)))
            .summary(Some(route.summary))
            .response(status.to_string(), success)
            .response("4XX", problem_response("The request is invalid"))
            .response("5XX", problem_response("The service is unavailable, or failed unexpectedly"));
        for parameter in parameters(&route) {
            operation = operation.parameter(parameter);
        }
        if let Some((media, schema)) = route.request {
            let schema: Schema = serde_json::from_value(schema).expect("schemas in the code are valid");
            let content = ContentBuilder::new().schema(Some(schema)).build();
            let body = RequestBodyBuilder::new().content(media, content).required(Some(Required::True));
            operation = operation.request_body(Some(body.build()));
        }
        document.paths.add_path_operation(route.path, vec![route.method], operation.build());
    }
}

/// A name for generated clients, for example `get_api_v1_dlq_messages_id`.
fn operation_id(route: &RouteDescription) -> String {
    let method = match route.method {
        HttpMethod::Post => "post",
        HttpMethod::Delete => "delete",
        _ => "get",
    };
    let words = route.path.split(|sign: char| !sign.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |id, word| id + "_" + word)
}

/// The parameters in the path (in braces) and in the query, all of them strings.
fn parameters(route: &RouteDescription) -> impl Iterator<Item = Parameter> {
    let text = || Schema::from(ObjectBuilder::new().schema_type(Type::String).build());
    let parameter = move |name, place, required| {
        let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
        parameter.schema(Some(text())).build()
    };
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    in_path
        .map(move |name| parameter(name, ParameterIn::Path, Required::True))
        .chain(route.query.iter().map(move |name| parameter(name, ParameterIn::Query, Required::False)))
}

/// `/openapi.json` and `/docs`.
///
/// # Panics
/// When the document cannot be serialised, which a test would detect.
pub fn routes(document: &OpenApi) -> Router {
    let json = Bytes::from(document.to_json().expect("a document always serialises"));
    Router::new()
        .route("/openapi.json", get(async move || ([(header::CONTENT_TYPE, JSON)], json.clone())))
        .route("/docs", get(async || page(include_str!("docs.html"))))
}

/// The problem responses that every documented route can give.
#[derive(Debug)]
pub struct CommonProblems;

impl IntoResponses for CommonProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            ("400", "The request is not well-formed"),
            ("401", "The token is missing or wrong"),
            ("404", "Not found, or not projected yet"),
            ("422", "A value is unknown or invalid"),
            ("503", "A dependency is unavailable, or the write of the consistency token is not projected yet; see Retry-After"),
        ]
        .map(|(status, description)| (status.to_owned(), RefOr::T(problem_response(description))))
        .into()
    }
}

fn problem_response(description: &str) -> Response {
    let schema = Ref::from_schema_name(Problem::name());
    ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_JSON, ContentBuilder::new().schema(Some(schema)).build())
        .build()
}

/// The paths of a document with their methods.
pub fn paths(document: &OpenApi) -> impl Iterator<Item = (&str, Vec<&'static str>)> {
    document.paths.paths.iter().map(|(path, item)| (path.as_str(), methods(item)))
}

fn methods(item: &PathItem) -> Vec<&'static str> {
    let all = [("GET", &item.get), ("POST", &item.post), ("DELETE", &item.delete)];
    all.into_iter().filter(|(_, operation)| operation.is_some()).map(|(method, _)| method).collect()
}
