//! GraphQL over the same views as REST: schema, limits, execution. `graphql/handler.rs` speaks HTTP.
//!
//! A request passes, in this order: size of the body, the guard of its text, the parser, the guard of the document
//! (skipped for documents known already), validation, depth and complexity, execution. Each stage bounds what the next has to do.

mod accept;
mod connection;
mod documents;
mod errors;
mod events;
mod field_order;
mod guard;
mod handler;
mod introduction;
mod inventory;
mod live;
mod loader;
mod measured;
mod metrics;
mod node;
mod order;
mod parameters;
mod payment;
mod persisted;
mod playground;
mod query;
mod scalars;
mod streams;
mod subscription;
mod user;
mod variables;
mod websocket;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, OperationType, Selection,
};
use async_graphql::{EmptyMutation, Request, Response, SDLExportOptions, ValidationMode, Value, Variables};
use axum::Router;
use millrace_platform::metrics::MetricsRegistry;
use tokio::task::JoinHandle;

pub use self::persisted::TrustedDocuments;

use self::documents::{Document, Documents};
use self::errors::{Code, Refused};
use self::measured::Measured;
use self::metrics::GraphqlMetrics;
use self::persisted::DocumentHash;
use self::streams::Streams;
use crate::config::GraphqlConfig;
use crate::consistency::Consistency;
use crate::read_model::ReadModel;
use crate::watchers::Watchers;

/// Deepest nesting of a query that only asks for the schema: types within types within types are deep, but cost little.
const INTROSPECTION_DEPTH_MAX: usize = 20;
type Schema = async_graphql::Schema<query::Query, EmptyMutation, subscription::SubscriptionRoot>;

/// The schema in GraphQL's schema language, as it is committed in `graphql/schema.graphql`.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().include_specified_by().use_space_ident();
    let config = GraphqlConfig::default();
    let depth = config.graphql_depth_max as usize;
    build(&config, depth, ValidationMode::Strict).sdl_with_options(options)
}

/// `watchers` tell of changes; without them there are no subscriptions. `consistency` is for what a WebSocket waits for.
pub(crate) fn routes(
    read_model: ReadModel,
    config: &GraphqlConfig,
    watchers: Option<Watchers>,
    consistency: Consistency,
    registry: &MetricsRegistry,
) -> Router {
    let executor = Executor::new(read_model, config, watchers, &GraphqlMetrics::register(registry));
    handler::routes(executor, consistency, config)
}

/// What a browser loads besides `/graphql` to ask there. It shows nothing of what is read.
pub(crate) fn pages(config: &GraphqlConfig) -> Router {
    if config.graphql_editor.is_on() { playground::routes() } else { Router::new() }
}

fn build(config: &GraphqlConfig, depth: usize, mode: ValidationMode) -> Schema {
    let builder = Schema::build(query::Query, EmptyMutation, subscription::SubscriptionRoot)
        .data(connection::PageMax(config.graphql_page_max))
        .limit_depth(depth)
        .limit_complexity(config.graphql_complexity_max as usize)
        .validation_mode(mode);
    let suggesting = config.graphql_suggestions.is_on();
    if suggesting { builder.finish() } else { builder.disable_suggestions().finish() }
}

/// What a request asks to be executed.
#[derive(Debug, Default)]
struct Asked {
    query: Option<String>,
    hash: Option<DocumentHash>,
    operation_name: Option<String>,
    variables: Variables,
}

/// An answer, and how far the request came.
struct Outcome {
    stage: Stage,
    response: Response,
}

/// How far a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The document was not executed, for a reason that lies in it.
    Refused,
    /// The document was not executed, because it is none of the trusted.
    Forbidden,
    /// It was executed; single fields may have failed.
    Executed,
    /// It took too long.
    TimedOut,
    /// A bug of ours.
    Broken,
}

/// Runs operations. Cheap to clone.
#[derive(Clone)]
struct Executor(Arc<Inner>);

struct Inner {
    /// Validates everything.
    strict: Schema,
    /// The same for documents that are known to be valid: only depth and complexity are measured.
    fast: Schema,
    /// The same for operations that ask for nothing but the schema.
    introspection: Schema,
    documents: Documents,
    read_model: ReadModel,
    watchers: Option<Watchers>,
    /// Subscriptions that are open.
    streams: Streams,
    deadline: Duration,
    measured: Measured,
    metrics: GraphqlMetrics,
}

impl Executor {
    fn new(
        read_model: ReadModel,
        config: &GraphqlConfig,
        watchers: Option<Watchers>,
        metrics: &GraphqlMetrics,
    ) -> Self {
        let depth = config.graphql_depth_max as usize;
        let introspection_depth = depth.max(INTROSPECTION_DEPTH_MAX);
        Self(Arc::new(Inner {
            strict: build(config, depth, ValidationMode::Strict),
            fast: build(config, depth, ValidationMode::Fast),
            introspection: build(config, introspection_depth, ValidationMode::Strict),
            documents: Documents::new(guard::Limits::of(config), config.graphql_trusted_documents.clone()),
            read_model,
            watchers,
            streams: Streams::default(),
            deadline: config.graphql_timeout,
            measured: Measured::new(metrics),
            metrics: metrics.clone(),
        }))
    }

    /// The document that a request sends or names.
    fn find(&self, asked: &Asked) -> Result<Arc<Document>, Refused> {
        let found = self.0.documents.find(asked.query.as_deref(), asked.hash);
        found.inspect_err(|_| self.0.measured.refused())
    }

    /// Executes in a task of its own: a client that hangs up does not cancel what has begun in the database, and a
    /// panic is an answer. What takes too long is answered as such and goes on to its own end, for each part of it is
    /// bounded.
    async fn execute(&self, document: Arc<Document>, asked: Asked) -> Outcome {
        let started = Instant::now();
        let (executor, executed) = (self.clone(), document.clone());
        let operation = operation(&document.parsed, asked.operation_name.as_deref());
        let task = tokio::spawn(async move { executor.run(&executed, asked).await });
        let outcome = ended(task, self.0.deadline).await.unwrap_or_else(|outcome| outcome);
        match operation {
            Some((name, _)) => self.0.measured.answered(name, &outcome, started.elapsed()),
            None => self.0.measured.refused(),
        }
        outcome
    }

    async fn run(&self, document: &Document, asked: Asked) -> Outcome {
        let request = asked.request(document);
        let schema = self.schema(document, &request);
        let operation_name = asked.operation_name;
        let loaders = self.loaders();
        let mut response = loader::drive(schema.execute(request.data(loaders.clone())), &loaders).await;
        loaders.note();
        errors::finish(&mut response);
        document.put_in_order(operation_name.as_deref(), &mut response.data);
        let outcome = Outcome::of(response);
        if outcome.stage == Stage::Executed {
            document.note_that_it_is_valid();
        }
        outcome
    }

    fn loaders(&self) -> Arc<loader::Loaders> {
        Arc::new(loader::Loaders::new(self.0.read_model.clone(), &self.0.metrics))
    }

    fn schema(&self, document: &Document, request: &Request) -> &Schema {
        match operation(&document.parsed, request.operation_name.as_deref()) {
            Some((_, operation)) if asks_only_for_the_schema(operation) => &self.0.introspection,
            Some((_, operation))
                if document.is_known_to_be_valid() && variables::fit(operation, &request.variables) =>
            {
                &self.0.fast
            }
            _ => &self.0.strict,
        }
    }
}

/// What came of a task, or what is answered for it.
async fn ended<T>(task: JoinHandle<T>, deadline: Duration) -> Result<T, Outcome> {
    match tokio::time::timeout(deadline, task).await {
        Ok(Ok(ended)) => Ok(ended),
        Ok(Err(panic)) => Err(Outcome::failed(Stage::Broken, Refused::internal(&panic.to_string()))),
        Err(_) => {
            let words = format!("The request took longer than {deadline:?}.");
            Err(Outcome::failed(Stage::TimedOut, Refused::new(Code::TimedOut, words)))
        }
    }
}

impl Asked {
    fn request(&self, document: &Document) -> Request {
        // The text is not needed any more.
        let mut request = Request::new("").variables(self.variables.clone());
        request.operation_name.clone_from(&self.operation_name);
        request.set_parsed_query(document.parsed.clone());
        request
    }
}

impl Outcome {
    fn refused(refused: Refused) -> Self {
        let stage = if refused.code == Code::NotTrusted { Stage::Forbidden } else { Stage::Refused };
        Self::failed(stage, refused)
    }

    fn of(response: Response) -> Self {
        let stage = if was_executed(&response) { Stage::Executed } else { Stage::Refused };
        Self { stage, response }
    }

    fn failed(stage: Stage, refused: Refused) -> Self {
        Self { stage, response: refused.into_response() }
    }
}

/// Errors of execution have a path; a document that failed before has none, and no data.
fn was_executed(answer: &Response) -> bool {
    answer.data != Value::Null || answer.errors.iter().any(|error| !error.path.is_empty())
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

/// What the request asks for: to read, to change, or to be told of changes.
fn kind(document: &Document, asked: &Asked) -> OperationType {
    let operation = operation(&document.parsed, asked.operation_name.as_deref());
    operation.map_or(OperationType::Query, |(_, operation)| operation.ty)
}

fn asks_only_for_the_schema(operation: &OperationDefinition) -> bool {
    let mut fields = operation.selection_set.node.items.iter();
    fields.all(|selection| match &selection.node {
        Selection::Field(field) => field.node.name.node.starts_with("__"),
        Selection::FragmentSpread(_) | Selection::InlineFragment(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_hangs_or_panics_is_answered() {
        let hanging = tokio::spawn(std::future::pending());
        let hanging: JoinHandle<()> = hanging;
        let outcome = ended(hanging, Duration::from_millis(1)).await.err().unwrap();
        assert_eq!(outcome.stage, Stage::TimedOut);
        let panicking = tokio::spawn(async { panic!("a bug") });
        let panicking: JoinHandle<()> = panicking;
        let outcome = ended(panicking, Duration::from_secs(60)).await.err().unwrap();
        assert_eq!(outcome.stage, Stage::Broken);
        assert_eq!(outcome.response.errors[0].message, "Internal error.");
    }
}
