//! The metrics of GraphQL.

use millrace_platform::metrics::MetricsRegistry;
use prometheus::{Histogram, HistogramVec, IntCounterVec, IntGauge};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct GraphqlMetrics {
    /// Operations by name and outcome.
    pub(super) operations: IntCounterVec,
    /// Seconds until an operation is answered, by name.
    pub(super) duration: HistogramVec,
    /// Statements of an operation.
    pub(super) statements: Histogram,
    /// Rows loaded by one statement, by loader.
    pub(super) batch_size: HistogramVec,
    /// Open WebSockets and event streams.
    pub(super) sockets: IntGauge,
    /// Open subscriptions.
    pub(super) subscriptions: IntGauge,
}

impl GraphqlMetrics {
    pub(crate) fn register(registry: &MetricsRegistry) -> Self {
        Self {
            operations: registry.counters(
                "millrace_graphql_operations_total",
                "GraphQL operations by name and outcome",
                &["operation", "outcome"],
            ),
            duration: registry.seconds_by(
                "millrace_graphql_operation_duration_seconds",
                "Time to answer a GraphQL operation",
                &["operation"],
            ),
            statements: registry
                .counts("millrace_graphql_statements_per_request", "Statements of a GraphQL operation"),
            batch_size: registry.counts_by(
                "millrace_graphql_loader_batch_size",
                "Rows loaded by one statement",
                &["loader"],
            ),
            sockets: registry
                .gauge("millrace_graphql_sockets_open", "Open GraphQL WebSockets and event streams"),
            subscriptions: registry
                .gauge("millrace_graphql_subscriptions_open", "Open GraphQL subscriptions"),
        }
    }
}

/// Counts something in a gauge until it is dropped.
pub(crate) struct GaugeGuard(IntGauge);

impl GaugeGuard {
    pub(super) fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}
