//! Every metric of both roles, in one registry that is a parameter, never a static.

use std::time::Duration;

use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

/// Seconds; from a tenth of a millisecond, because a local store answers that fast.
const LATENCY_SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How many of something.
const COUNTS: &[f64] = &[0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// The metrics of a process. Cheap to clone: clones share their values.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Events by type and by what became of them: applied, duplicate, dead_letter.
    pub events_processed: IntCounterVec,
    /// Dead letters made.
    pub dlq_messages: IntCounter,
    /// The same under the name that older dashboards know.
    pub dlq_entries: IntCounter,
    /// Dead letters that wait for review.
    pub dlq_depth: IntGauge,
    /// Dead letters that the list in Redis does not show yet, or shows still.
    pub dlq_mirror_pending: IntGauge,
    /// 1 while the mirror of the dead letters reaches Redis, else 0.
    pub dlq_mirror_up: IntGauge,
    /// Messages told to Redis' pub/sub.
    pub change_feed_published: IntCounter,
    /// Messages about changes that were not told, because Redis was away or slow.
    pub change_feed_dropped: IntCounter,
    /// Time spent in the store, by operation. Only there, not in what leads to it.
    pub db_latency: HistogramVec,
    /// The same under the name that older dashboards know.
    pub db_operation_duration: HistogramVec,
    /// Events projected in the last second, as older dashboards show it.
    pub events_per_second: Gauge,
    /// Time from append to the log's acknowledgement.
    pub produce_duration: Histogram,
    /// Time spent fetching a batch from the log, waiting left out.
    pub consume_duration: Histogram,
    /// Time from append to readable.
    pub freshness: Histogram,
    /// Records that wait in the log, by partition.
    pub consumer_lag: IntGaugeVec,
    /// 0 closed, 1 half-open, 2 open.
    pub circuit_breaker_state: IntGauge,
    /// Requests by route, method and status.
    pub http_requests: IntCounterVec,
    /// Time to answer, by route, method and status.
    pub http_duration: HistogramVec,
    /// GraphQL operations by name and by how they ended.
    pub graphql_operations: IntCounterVec,
    /// Time to answer a GraphQL operation, by name.
    pub graphql_duration: HistogramVec,
    /// Statements that a GraphQL operation cost.
    pub graphql_statements: Histogram,
    /// Things that one statement of GraphQL loaded, by loader.
    pub graphql_batch_size: HistogramVec,
    /// WebSockets and event streams that are open.
    pub graphql_sockets: IntGauge,
    /// Subscriptions that wait for changes.
    pub graphql_subscriptions: IntGauge,
}

impl Metrics {
    /// A registry with all metrics in it.
    ///
    /// # Panics
    /// When two metrics have the same name, which a test would show.
    #[expect(clippy::too_many_lines, reason = "a list")]
    pub fn new() -> Self {
        let registry = Registry::new();
        let register = Register(&registry);
        let metrics = Self {
            events_processed: register.counters(
                "events_processed_total",
                "Events by type and outcome",
                &["event_type", "status"],
            ),
            dlq_messages: register.counter("dlq_messages_total", "Dead letters made"),
            dlq_entries: register.counter("dlq_entries_total", "Dead letters made (older name)"),
            dlq_depth: register.add(IntGauge::new("dlq_depth", "Dead letters waiting for review")),
            dlq_mirror_pending: register.add(IntGauge::new(
                "dlq_mirror_pending",
                "Dead letters that Redis has yet to show or to drop",
            )),
            dlq_mirror_up: register.add(IntGauge::new("dlq_mirror_up", "1 while the mirror reaches Redis")),
            change_feed_published: register
                .counter("change_feed_published_total", "Messages about changes told to Redis"),
            change_feed_dropped: register
                .counter("change_feed_dropped_total", "Messages about changes that were not told"),
            db_latency: register.histograms("db_latency_seconds", "Time in the store", &["operation"]),
            db_operation_duration: register.histograms(
                "db_operation_duration_seconds",
                "Time in the store (older name)",
                &["operation"],
            ),
            events_per_second: register
                .add(Gauge::new("events_processed_per_second", "Events projected per second (older name)")),
            produce_duration: register
                .histogram("kafka_produce_duration_seconds", "Append to acknowledgement"),
            consume_duration: register.histogram("kafka_consume_duration_seconds", "Fetching a batch"),
            freshness: register.histogram("projection_freshness_seconds", "Append to readable"),
            consumer_lag: register.add(IntGaugeVec::new(
                Opts::new("consumer_lag", "Records waiting in the log"),
                &["partition"],
            )),
            circuit_breaker_state: register
                .add(IntGauge::new("circuit_breaker_state", "0 closed, 1 half-open, 2 open")),
            http_requests: register.counters(
                "http_requests_total",
                "Requests",
                &["route", "method", "status"],
            ),
            http_duration: register.histograms(
                "http_request_duration_seconds",
                "Time to answer",
                &["route", "method", "status"],
            ),
            graphql_operations: register.counters(
                "graphql_operations_total",
                "GraphQL operations by name and outcome",
                &["operation", "outcome"],
            ),
            graphql_duration: register.histograms(
                "graphql_operation_duration_seconds",
                "Time to answer a GraphQL operation",
                &["operation"],
            ),
            graphql_statements: register.add(Histogram::with_opts(
                HistogramOpts::new("graphql_statements_per_request", "Statements of a GraphQL operation")
                    .buckets(COUNTS.to_vec()),
            )),
            graphql_batch_size: register.add(HistogramVec::new(
                HistogramOpts::new("graphql_loader_batch_size", "Things loaded by one statement")
                    .buckets(COUNTS.to_vec()),
                &["loader"],
            )),
            graphql_sockets: register
                .add(IntGauge::new("graphql_sockets_open", "WebSockets and event streams that are open")),
            graphql_subscriptions: register
                .add(IntGauge::new("graphql_subscriptions_open", "Subscriptions that wait for changes")),
            registry: registry.clone(),
        };
        let build = register.add(IntGaugeVec::new(Opts::new("build_info", "Always 1"), &["version"]));
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let process = prometheus::process_collector::ProcessCollector::for_self();
        registry.register(Box::new(process)).expect("registered once");
        metrics
    }

    /// Notes how long an operation spent in the store.
    pub fn observe_db(&self, operation: &str, took: Duration) {
        for histogram in [&self.db_latency, &self.db_operation_duration] {
            histogram.with_label_values(&[operation]).observe(took.as_secs_f64());
        }
    }

    /// How many operations of that name the store has seen.
    pub fn db_operations(&self, operation: &str) -> u64 {
        self.db_latency.with_label_values(&[operation]).get_sample_count()
    }

    /// All values in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("writing to memory");
        String::from_utf8(text).expect("the format is text")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// An upper bound of the quantile `q` of everything observed since `before`, by the buckets of `histograms`.
///
/// `before` and the result's second part are cumulative bucket counts, to be handed in the next time.
pub fn quantile_since(histograms: &HistogramVec, q: f64, before: &[u64]) -> (Option<f64>, Vec<u64>) {
    let mut counts = vec![0_u64; LATENCY_SECONDS.len() + 1];
    for family in prometheus::core::Collector::collect(histograms) {
        for metric in family.get_metric() {
            let histogram = metric.get_histogram();
            for (at, bucket) in histogram.get_bucket().iter().take(LATENCY_SECONDS.len()).enumerate() {
                counts[at] += bucket.cumulative_count();
            }
            counts[LATENCY_SECONDS.len()] += histogram.get_sample_count();
        }
    }
    let since = |at: usize| counts[at].saturating_sub(before.get(at).copied().unwrap_or_default());
    let total = since(LATENCY_SECONDS.len());
    #[expect(clippy::cast_precision_loss, reason = "a rank for a log line")]
    let rank = total as f64 * q;
    #[expect(clippy::cast_precision_loss, reason = "a rank for a log line")]
    let bucket = LATENCY_SECONDS.iter().enumerate().find(|(at, _)| since(*at) as f64 >= rank);
    let quantile = (total > 0).then(|| bucket.map_or(f64::INFINITY, |(_, bound)| *bound));
    (quantile, counts)
}

/// Makes metrics and registers them; names are fixed in this file, so failure is a bug.
struct Register<'a>(&'a Registry);

impl Register<'_> {
    fn add<M: prometheus::core::Collector + Clone + 'static>(&self, metric: prometheus::Result<M>) -> M {
        let metric = metric.expect("names and labels in this file are valid");
        self.0.register(Box::new(metric.clone())).expect("names in this file are unique");
        metric
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str) -> Histogram {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(LATENCY_SECONDS.to_vec())))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(LATENCY_SECONDS.to_vec());
        self.add(HistogramVec::new(options, labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_what_was_counted() {
        let metrics = Metrics::new();
        metrics.events_processed.with_label_values(&["OrderPlaced", "applied"]).inc_by(3);
        metrics.observe_db("apply", Duration::from_millis(2));
        let text = metrics.render();
        assert!(text.contains(r#"events_processed_total{event_type="OrderPlaced",status="applied"} 3"#));
        assert!(text.contains(r#"db_latency_seconds_count{operation="apply"} 1"#));
        assert!(text.contains("build_info{version="));
    }

    #[test]
    fn quantiles_count_from_the_last_call() {
        let metrics = Metrics::new();
        metrics.observe_db("a", Duration::from_millis(2));
        let (first, counts) = quantile_since(&metrics.db_latency, 0.95, &[]);
        assert_eq!(first, Some(0.0025));
        metrics.observe_db("b", Duration::from_millis(40));
        let (second, counts) = quantile_since(&metrics.db_latency, 0.95, &counts);
        assert_eq!(second, Some(0.05));
        assert_eq!(quantile_since(&metrics.db_latency, 0.95, &counts).0, None);
    }
}
