//! GraphQL over the same views as REST: schema, limits, execution. `graphql/handler.rs` speaks HTTP.
//!
//! A request passes, in this order: size of the body, the guard of its text, the parser, the guard of the document
//! (skipped for documents known already), validation, depth and complexity, execution. Each stage bounds what the next has to do.

mod documents;
mod guard;
mod handler;
mod inventory;
mod loader;
mod order;
mod payment;
mod playground;
mod query;
mod scalars;
mod user;

use std::sync::Arc;
use std::time::Instant;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition, Selection};
use async_graphql::{
    EmptyMutation, EmptySubscription, Error, ErrorExtensions, Request, Response, SDLExportOptions,
};
use axum::Router;
use shared::metrics::Metrics;

use crate::read_model::{ReadError, ReadModel};

/// Deepest nesting of fields.
const DEPTH_MAX: usize = 12;
/// The same for a query that only asks for the schema: types within types within types are deep, but cost little.
const INTROSPECTION_DEPTH_MAX: usize = 20;
/// Most fields of an answer, as far as its arguments tell.
const COMPLEXITY_MAX: usize = 2_000;
/// Operations whose names are labels in the metrics; a label must not grow with what clients send.
const NAMES_MEASURED: &[&str] =
    &["InventoryItem", "IntrospectionQuery", "OrderWithUser", "UserWithOrders", "UsersBatch"];

type Schema = async_graphql::Schema<query::Query, EmptyMutation, EmptySubscription>;

/// The schema in GraphQL's schema language, as it is committed in `graphql/schema.graphql`.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().include_specified_by().use_space_ident();
    build(DEPTH_MAX).sdl_with_options(options)
}

pub(crate) fn routes(read_model: ReadModel, metrics: &Metrics) -> Router {
    handler::routes(Executor {
        schema: build(DEPTH_MAX),
        introspection: build(INTROSPECTION_DEPTH_MAX),
        documents: Arc::default(),
        read_model,
        metrics: metrics.clone(),
    })
}

fn build(depth_max: usize) -> Schema {
    Schema::build(query::Query, EmptyMutation, EmptySubscription)
        .limit_depth(depth_max)
        .limit_complexity(COMPLEXITY_MAX)
        .finish()
}

/// Runs operations. Cheap to clone.
#[derive(Clone)]
struct Executor {
    schema: Schema,
    /// The same schema for operations that ask for nothing but it.
    introspection: Schema,
    documents: Arc<documents::Documents>,
    read_model: ReadModel,
    metrics: Metrics,
}

impl Executor {
    async fn execute(&self, request: Request) -> Response {
        let started = Instant::now();
        let (name, response) = self.run(request).await;
        self.metrics.graphql_duration.with_label_values(&[name]).observe(started.elapsed().as_secs_f64());
        response
    }

    /// The answer, and the operation's name for the metrics.
    async fn run(&self, mut request: Request) -> (&'static str, Response) {
        let document = match self.documents.parse(&request.query) {
            Ok(document) => document,
            Err(error) => return ("invalid", Response::from_errors(vec![error])),
        };
        request.set_parsed_query(ExecutableDocument::clone(&document));
        let operation = operation(&document, request.operation_name.as_deref());
        let name = operation.map_or("other", |(name, _)| label(name));
        let schema = match operation {
            Some((_, operation)) if asks_only_for_the_schema(operation) => &self.introspection,
            _ => &self.schema,
        };
        let loaders = Arc::new(loader::Loaders::new(self.read_model.clone()));
        let execution = schema.execute(request.data(loaders.clone()));
        (name, loader::drive(execution, &loaders).await)
    }
}

/// The operation that is going to run and its name; none when the library is going to refuse the request.
fn operation<'a>(
    document: &'a ExecutableDocument,
    asked: Option<&str>,
) -> Option<(Option<&'a str>, &'a OperationDefinition)> {
    match (&document.operations, asked) {
        (DocumentOperations::Single(operation), _) => Some((None, &operation.node)),
        (DocumentOperations::Multiple(operations), asked) => operations
            .iter()
            .find(|(name, _)| asked.is_none_or(|asked| name.as_str() == asked))
            .map(|(name, operation)| (Some(name.as_str()), &operation.node)),
    }
}

fn label(name: Option<&str>) -> &'static str {
    let Some(name) = name else { return "anonymous" };
    let known = NAMES_MEASURED.iter().find(|known| **known == name);
    known.copied().unwrap_or("other")
}

fn asks_only_for_the_schema(operation: &OperationDefinition) -> bool {
    let mut fields = operation.selection_set.node.items.iter();
    fields.all(|selection| match &selection.node {
        Selection::Field(field) => field.node.name.node.starts_with("__"),
        Selection::FragmentSpread(_) | Selection::InlineFragment(_) => false,
    })
}

/// An argument that cannot be accepted.
fn invalid(message: String) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", "INVALID_VALUE"))
}

/// Logs why a query failed and gives the error that hides it.
fn masked(error: &ReadError) -> Error {
    error.log();
    let (message, code) = match error {
        ReadError::Away(_) => ("The read model is away.", "UNAVAILABLE"),
        ReadError::Broken(_) => ("Internal error.", "INTERNAL"),
    };
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}
