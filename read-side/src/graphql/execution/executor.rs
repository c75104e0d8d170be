//! Executes operations within their time limit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_graphql::parser::types::{OperationDefinition, Selection};
use async_graphql::{Request, ValidationMode};
use tokio::task::JoinHandle;

use super::document::Document;
use super::document_cache::DocumentCache;
use super::errors::{self, RequestError};
use super::guard::DocumentLimits;
use super::operation_metrics::OperationMetrics;
use super::request::GraphqlRequest;
use super::response::{GraphqlResponse, ResponseStatus};
use super::shared_streams::SharedStreams;
use super::{batches, variables};
use crate::graphql::config::GraphqlConfig;
use crate::graphql::metrics::{GaugeGuard, GraphqlMetrics};
use crate::graphql::schema::{self, ErrorCode, Loaders, PageMax, Schema};
use crate::read_model::ReadModel;
use crate::watchers::Watchers;

/// Maximum depth of an introspection query. Types nest deeply there, but each level costs little.
const INTROSPECTION_DEPTH_MAX: usize = 20;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Executor(Arc<Inner>);

struct Inner {
    /// With full validation.
    strict: Schema,
    /// For documents that are known to be valid: only depth and complexity are checked.
    fast: Schema,
    /// For operations that select nothing but the schema.
    introspection: Schema,
    documents: DocumentCache,
    read_model: ReadModel,
    watchers: Option<Watchers>,
    streams: SharedStreams,
    time_limit: Duration,
    operation_metrics: OperationMetrics,
    metrics: GraphqlMetrics,
}

impl Executor {
    /// Without `watchers` subscriptions are rejected.
    pub(crate) fn new(
        read_model: ReadModel,
        config: &GraphqlConfig,
        watchers: Option<Watchers>,
        metrics: &GraphqlMetrics,
    ) -> Self {
        let depth = config.graphql_depth_max as usize;
        let introspection_depth = depth.max(INTROSPECTION_DEPTH_MAX);
        let trusted = config.graphql_trusted_documents.clone();
        Self(Arc::new(Inner {
            strict: build(config, depth, ValidationMode::Strict),
            fast: build(config, depth, ValidationMode::Fast),
            introspection: build(config, introspection_depth, ValidationMode::Strict),
            documents: DocumentCache::new(DocumentLimits::from_config(config), trusted),
            read_model,
            watchers,
            streams: SharedStreams::default(),
            time_limit: config.graphql_timeout,
            operation_metrics: OperationMetrics::new(metrics),
            metrics: metrics.clone(),
        }))
    }

    /// The document that a request contains or names.
    pub(crate) fn document(&self, request: &GraphqlRequest) -> Result<Arc<Document>, RequestError> {
        let document = self.0.documents.get(request.query.as_deref(), request.hash);
        document.inspect_err(|_| self.0.operation_metrics.observe_invalid())
    }

    /// Executes a query or a mutation.
    pub(crate) async fn execute(&self, document: Arc<Document>, request: GraphqlRequest) -> GraphqlResponse {
        let started = Instant::now();
        let (executor, executed) = (self.clone(), document.clone());
        let operation = document.operation(request.operation_name.as_deref());
        // A task of its own: a client that hangs up must not cancel a query midway, and a panic becomes a response.
        let task = tokio::spawn(async move { executor.run(&executed, request).await });
        let response = within(self.0.time_limit, task).await.unwrap_or_else(|response| response);
        match operation {
            Some((name, _)) => self.0.operation_metrics.observe(name, &response, started.elapsed()),
            None => self.0.operation_metrics.observe_invalid(),
        }
        response
    }

    async fn run(&self, document: &Document, request: GraphqlRequest) -> GraphqlResponse {
        let library_request = request.with_document(document);
        let schema = self.schema(document, &library_request);
        let operation_name = request.operation_name;
        let loaders = self.loaders();
        let execution = schema.execute(library_request.data(loaders.clone()));
        let mut response = batches::run(execution, &loaders).await;
        loaders.observe_statements();
        errors::complete(&mut response);
        document.sort_fields(operation_name.as_deref(), &mut response.data);
        let response = GraphqlResponse::new(response);
        if response.status == ResponseStatus::Executed {
            document.mark_valid();
        }
        response
    }

    pub(super) fn loaders(&self) -> Arc<Loaders> {
        Arc::new(Loaders::new(self.0.read_model.clone(), &self.0.metrics))
    }

    /// The schema with the cheapest sufficient validation.
    pub(super) fn schema(&self, document: &Document, request: &Request) -> &Schema {
        match document.operation(request.operation_name.as_deref()) {
            Some((_, operation)) if is_introspection(operation) => &self.0.introspection,
            Some((_, operation))
                if document.is_known_to_be_valid() && variables::fit(operation, &request.variables) =>
            {
                &self.0.fast
            }
            _ => &self.0.strict,
        }
    }

    pub(super) fn watchers(&self) -> Option<&Watchers> {
        self.0.watchers.as_ref()
    }

    pub(super) fn streams(&self) -> &SharedStreams {
        &self.0.streams
    }

    pub(super) fn time_limit(&self) -> Duration {
        self.0.time_limit
    }

    pub(super) fn count_subscription(&self) -> GaugeGuard {
        GaugeGuard::new(&self.0.metrics.subscriptions)
    }

    /// Counts a WebSocket or event stream until the guard is dropped.
    pub(crate) fn count_socket(&self) -> GaugeGuard {
        GaugeGuard::new(&self.0.metrics.sockets)
    }
}

fn build(config: &GraphqlConfig, depth: usize, mode: ValidationMode) -> Schema {
    let builder = schema::builder()
        .data(PageMax(config.graphql_page_max))
        .limit_depth(depth)
        .limit_complexity(config.graphql_complexity_max as usize)
        .validation_mode(mode);
    let has_suggestions = config.graphql_suggestions.is_on();
    if has_suggestions { builder.finish() } else { builder.disable_suggestions().finish() }
}

/// The output of a task, or the response if it panics or takes longer than `limit`. It then runs on to its own end:
/// each of its parts is limited.
pub(super) async fn within<T>(limit: Duration, task: JoinHandle<T>) -> Result<T, GraphqlResponse> {
    match tokio::time::timeout(limit, task).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(panic)) => {
            let error = RequestError::internal(&panic.to_string());
            Err(GraphqlResponse::failed(ResponseStatus::Failed, error))
        }
        Err(_) => {
            let message = format!("request not complete within {limit:?}; select fewer fields or retry");
            let error = RequestError::new(ErrorCode::TimedOut, message);
            Err(GraphqlResponse::failed(ResponseStatus::TimedOut, error))
        }
    }
}

fn is_introspection(operation: &OperationDefinition) -> bool {
    let mut fields = operation.selection_set.node.items.iter();
    fields.all(|selection| match &selection.node {
        Selection::Field(field) => field.node.name.node.starts_with("__"),
        Selection::FragmentSpread(_) | Selection::InlineFragment(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::schema::INTERNAL;

    #[tokio::test]
    async fn a_task_that_hangs_or_panics_has_a_response() {
        let hanging = tokio::spawn(std::future::pending());
        let hanging: JoinHandle<()> = hanging;
        let response = within(Duration::from_millis(1), hanging).await.err().unwrap();
        assert_eq!(response.status, ResponseStatus::TimedOut);
        let panicking = tokio::spawn(async { panic!("a bug") });
        let panicking: JoinHandle<()> = panicking;
        let response = within(Duration::from_secs(60), panicking).await.err().unwrap();
        assert_eq!(response.status, ResponseStatus::Failed);
        assert_eq!(response.response.errors[0].message, INTERNAL);
    }
}
