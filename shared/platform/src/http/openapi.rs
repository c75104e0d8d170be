//! What a service's routes are, by OpenAPI 3.1: the document, a page that shows it, and what all routes have in common.

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

use super::page;
use crate::problem::Problem;

const JSON: &str = "application/json";
const PROBLEM_JSON: &str = "application/problem+json";
const BEARER: &str = "bearer";
const BEARER_WORDS: &str = "One of the tokens that this service was started with, if it was";

/// A route that is described by hand, because no type of ours stands for what it takes and gives.
#[derive(Clone)]
pub struct Described {
    /// Of the request.
    pub method: HttpMethod,
    /// As the router has it.
    pub path: &'static str,
    /// Under which heading it stands.
    pub tag: &'static str,
    /// What it is for, in a line.
    pub summary: &'static str,
    /// Parameters of the query, none of them required.
    pub query: &'static [&'static str],
    /// Media type and JSON schema of the body that it takes.
    pub takes: Option<(&'static str, Value)>,
    /// Status and media type of what it gives.
    pub gives: (u16, &'static str),
}

impl Described {
    /// A `GET` that gives 200.
    pub fn get(path: &'static str, tag: &'static str, media: &'static str, summary: &'static str) -> Self {
        Self { method: HttpMethod::Get, path, tag, summary, query: &[], takes: None, gives: (200, media) }
    }

    /// Another method that takes no body and gives 200 and JSON.
    pub fn bare(method: HttpMethod, path: &'static str, tag: &'static str, summary: &'static str) -> Self {
        Self { method, ..Self::get(path, tag, JSON, summary) }
    }

    /// With these parameters of the query.
    #[must_use]
    pub fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    /// A `POST` of JSON of that schema.
    pub fn post(
        path: &'static str,
        tag: &'static str,
        takes: Value,
        gives: u16,
        summary: &'static str,
    ) -> Self {
        Self {
            method: HttpMethod::Post,
            path,
            tag,
            summary,
            query: &[],
            takes: Some((JSON, takes)),
            gives: (gives, JSON),
        }
    }
}

/// An empty document with what every service has: its problem, `/health`, `/ready`, `/metrics`, and the document itself.
/// `home` is the media type of what stands at `/`.
pub fn document(title: &str, home: &'static str) -> OpenApi {
    let license = env!("CARGO_PKG_LICENSE");
    let license = LicenseBuilder::new().name(license).identifier(Some(license)).build();
    let info =
        InfoBuilder::new().title(title).version(env!("CARGO_PKG_VERSION")).license(Some(license)).build();
    // A token is needed only where one is set.
    let security = [SecurityRequirement::default(), SecurityRequirement::new(BEARER, [""; 0])];
    let mut document =
        OpenApiBuilder::new().info(info).servers(Some([Server::new("/")])).security(Some(security)).build();
    let components = document.components.get_or_insert_default();
    let bearer = Http::builder().scheme(HttpAuthScheme::Bearer).description(Some(BEARER_WORDS)).build();
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    let common = [
        Described::get("/", "service", home, "What is here, for a person"),
        Described::get("/health", "service", JSON, "The process is up"),
        Described::get("/ready", "service", JSON, "What it depends on can be reached; 503 says what cannot"),
        Described::get("/metrics", "service", "text/plain", "Metrics for Prometheus"),
        Described::get("/openapi.json", "service", JSON, "This document"),
        Described::get("/docs", "service", "text/html", "This document as a page"),
    ];
    describe(&mut document, common);
    document
}

/// Adds routes to a document.
pub fn describe(document: &mut OpenApi, routes: impl IntoIterator<Item = Described>) {
    for route in routes {
        let (status, media) = route.gives;
        let given =
            ResponseBuilder::new().description("It went well").content(media, ContentBuilder::new().build());
        let mut operation = OperationBuilder::new()
            .tag(route.tag)
            .operation_id(Some(operation_id(&route)))
            .summary(Some(route.summary))
            .response(status.to_string(), given)
            .response("4XX", problem_response("The request cannot be accepted"))
            .response("5XX", problem_response("The service cannot answer now, or something broke"));
        for parameter in parameters(&route) {
            operation = operation.parameter(parameter);
        }
        if let Some((media, schema)) = route.takes {
            let schema: Schema = serde_json::from_value(schema).expect("schemas in the code are schemas");
            let content = ContentBuilder::new().schema(Some(schema)).build();
            let body = RequestBodyBuilder::new().content(media, content).required(Some(Required::True));
            operation = operation.request_body(Some(body.build()));
        }
        document.paths.add_path_operation(route.path, vec![route.method], operation.build());
    }
}

/// A name that generated code can call it by: `get_api_v1_dlq_messages_id`.
fn operation_id(route: &Described) -> String {
    let method = match route.method {
        HttpMethod::Post => "post",
        HttpMethod::Delete => "delete",
        _ => "get",
    };
    let words = route.path.split(|sign: char| !sign.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |id, word| id + "_" + word)
}

/// Those that stand in the path in braces, and those of the query; all of them text.
fn parameters(route: &Described) -> impl Iterator<Item = Parameter> {
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
/// When the document cannot be written as JSON, which a test would show.
pub fn routes(document: &OpenApi) -> Router {
    let json = Bytes::from(document.to_json().expect("a document is strings and maps"));
    Router::new()
        .route("/openapi.json", get(async move || ([(header::CONTENT_TYPE, JSON)], json.clone())))
        .route("/docs", get(async || page(include_str!("docs.html"))))
}

/// How a read can fail, whatever it reads.
#[derive(Debug)]
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            ("400", "A header says nothing sensible"),
            ("401", "A token is needed"),
            ("404", "There is no such thing, or it has not arrived yet"),
            ("422", "A parameter is unknown or out of its range"),
            ("503", "The read model is away, or what was written is not projected yet: see Retry-After"),
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

/// Every path of a document with its methods, as a router has them.
pub fn paths(document: &OpenApi) -> impl Iterator<Item = (&str, Vec<&'static str>)> {
    document.paths.paths.iter().map(|(path, item)| (path.as_str(), methods(item)))
}

fn methods(item: &PathItem) -> Vec<&'static str> {
    let all = [("GET", &item.get), ("POST", &item.post), ("DELETE", &item.delete)];
    all.into_iter().filter(|(_, operation)| operation.is_some()).map(|(method, _)| method).collect()
}
