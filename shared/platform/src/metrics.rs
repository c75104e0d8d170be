//! Prometheus metrics: the registry of a process, and the metrics that several roles share.
//!
//! Each crate registers its own metrics on the registry that it is given, so a process exports the series of its roles
//! and no others. Canonical names begin with `millrace_`. [`MetricsRegistry::older_name`] exports a metric a second
//! time under the name that an older system used, for existing dashboards.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

/// Buckets in seconds. The first is a tenth of a millisecond, because a local store is that fast.
const LATENCY_SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Buckets for counts.
const COUNTS: &[f64] = &[0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// Clones share the registry.
#[derive(Debug, Clone)]
pub struct MetricsRegistry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    /// Canonical names, in the order of registration.
    names: Mutex<Vec<String>>,
    /// Pairs of canonical and older name.
    older_names: Mutex<Vec<(&'static str, &'static str)>>,
}

impl MetricsRegistry {
    /// A registry with the metrics of every process: its version, CPU time, memory and file descriptors.
    ///
    /// # Panics
    /// Never: the registry is empty, so no name is taken.
    pub fn new() -> Self {
        let metrics = Self(Arc::new(Inner {
            registry: Registry::new(),
            names: Mutex::default(),
            older_names: Mutex::default(),
        }));
        let build = metrics.gauges("millrace_build_info", "Always 1; the label is the version", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let process = prometheus::process_collector::ProcessCollector::for_self();
        metrics.0.registry.register(Box::new(process)).expect("registered once");
        metrics
    }

    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help))
    }

    /// A counter for each combination of label values.
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    /// An integer gauge.
    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help))
    }

    /// An integer gauge for each combination of label values.
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    /// A floating-point gauge.
    pub fn float_gauge(&self, name: &str, help: &str) -> Gauge {
        self.add(Gauge::new(name, help))
    }

    /// A histogram of seconds.
    pub fn seconds(&self, name: &str, help: &str) -> Histogram {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(LATENCY_SECONDS.to_vec())))
    }

    /// A histogram of seconds for each combination of label values.
    pub fn seconds_by(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(LATENCY_SECONDS.to_vec());
        self.add(HistogramVec::new(options, labels))
    }

    /// A histogram of counts.
    pub fn counts(&self, name: &str, help: &str) -> Histogram {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(COUNTS.to_vec())))
    }

    /// A histogram of counts for each combination of label values.
    pub fn counts_by(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(COUNTS.to_vec()), labels))
    }

    /// Exports the metric `canonical` under `older` as well.
    pub fn older_name(&self, canonical: &'static str, older: &'static str) {
        self.0.older_names.lock().unwrap_or_else(PoisonError::into_inner).push((canonical, older));
    }

    /// The names of all metrics, also of those without a value yet, sorted. Each text has the older names after a `=`.
    pub fn names(&self) -> Vec<String> {
        let older_names = self.0.older_names.lock().unwrap_or_else(PoisonError::into_inner);
        let with_older = |name: &String| {
            let older =
                older_names.iter().filter(|(canonical, _)| canonical == name).map(|(_, older)| *older);
            std::iter::once(name.as_str()).chain(older).collect::<Vec<_>>().join(" = ")
        };
        let names = self.0.names.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<_> = names.iter().map(with_older).collect();
        names.sort();
        names
    }

    /// All metrics in the Prometheus text format, sorted by name.
    ///
    /// # Panics
    /// Never: the text is written to memory.
    pub fn render(&self) -> String {
        let mut families = self.0.registry.gather();
        families.extend(self.older_families(&families));
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text).expect("a write to memory cannot fail");
        String::from_utf8(text).expect("the text format is UTF-8")
    }

    fn older_families(&self, families: &[MetricFamily]) -> Vec<MetricFamily> {
        let older_names = self.0.older_names.lock().unwrap_or_else(PoisonError::into_inner);
        let copies = older_names.iter().filter_map(|(canonical, older)| {
            let mut family = families.iter().find(|family| family.name() == *canonical)?.clone();
            family.set_name((*older).to_owned());
            family.set_help(format!("Older name of {canonical}"));
            Some(family)
        });
        copies.collect()
    }

    /// # Panics
    /// When a metric with that name exists. Two crates must not share a series by accident.
    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, collector: prometheus::Result<C>) -> C {
        let collector = collector.expect("names and labels are valid");
        let names = collector.desc().into_iter().map(|desc| desc.fq_name.clone());
        self.0.names.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
        self.0.registry.register(Box::new(collector.clone())).expect("a metric is registered once");
        collector
    }
}

impl Default for MetricsRegistry {
    fn default() -> Self {
        Self::new()
    }
}

/// Metrics of the HTTP servers of a process.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    /// By route, method and status.
    pub(crate) requests: IntCounterVec,
    /// In seconds, by route, method and status.
    pub(crate) duration: HistogramVec,
}

impl HttpMetrics {
    pub fn register(registry: &MetricsRegistry) -> Self {
        let labels = ["route", "method", "status"];
        registry.older_name("millrace_http_requests_total", "http_requests_total");
        registry.older_name("millrace_http_request_duration_seconds", "http_request_duration_seconds");
        Self {
            requests: registry.counters("millrace_http_requests_total", "HTTP requests", &labels),
            duration: registry.seconds_by(
                "millrace_http_request_duration_seconds",
                "Time to answer an HTTP request",
                &labels,
            ),
        }
    }
}

/// Duration of operations in the store of the read model. The projector and the read side share the metric.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    duration: HistogramVec,
}

impl StoreMetrics {
    pub fn register(registry: &MetricsRegistry) -> Self {
        const NAME: &str = "millrace_store_duration_seconds";
        registry.older_name(NAME, "db_latency_seconds");
        registry.older_name(NAME, "db_operation_duration_seconds");
        Self { duration: registry.seconds_by(NAME, "Time in the read model's store", &["operation"]) }
    }

    /// Records the duration of an operation.
    pub fn observe(&self, operation: &str, took: Duration) {
        self.duration.with_label_values(&[operation]).observe(took.as_secs_f64());
    }

    /// The number of operations with that name since the start.
    pub fn operations(&self, operation: &str) -> u64 {
        self.duration.with_label_values(&[operation]).get_sample_count()
    }

    /// The quantile `q` of the durations since the last call, in seconds, rounded up to a bucket of the histogram.
    ///
    /// `before` is the second part of the last call's result: the cumulative counts of the buckets.
    pub fn quantile_since(&self, q: f64, before: &[u64]) -> (Option<f64>, Vec<u64>) {
        let mut counts = vec![0_u64; LATENCY_SECONDS.len() + 1];
        for family in prometheus::core::Collector::collect(&self.duration) {
            for metric in family.get_metric() {
                let histogram = metric.get_histogram();
                for (count, bucket) in
                    counts.iter_mut().zip(histogram.get_bucket().iter().take(LATENCY_SECONDS.len()))
                {
                    *count += bucket.cumulative_count();
                }
                counts[LATENCY_SECONDS.len()] += histogram.get_sample_count();
            }
        }
        let since = |index: usize| counts[index] - before.get(index).copied().unwrap_or_default();
        let total = since(LATENCY_SECONDS.len());
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let rank = total as f64 * q;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let bound = (0..LATENCY_SECONDS.len()).find(|index| since(*index) as f64 >= rank);
        let bound = bound.map_or(f64::INFINITY, |index| LATENCY_SECONDS[index]);
        ((total > 0).then_some(bound), counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_exported_under_its_older_names_too() {
        let registry = MetricsRegistry::new();
        let store = StoreMetrics::register(&registry);
        store.observe("apply", Duration::from_millis(2));
        let text = registry.render();
        for name in ["millrace_store_duration_seconds", "db_latency_seconds", "db_operation_duration_seconds"]
        {
            assert!(text.contains(&format!("{name}_count{{operation=\"apply\"}} 1")), "{name}: {text}");
        }
        assert!(text.contains("millrace_build_info{version="));
        assert!(!text.contains("http_requests_total"), "unregistered metrics are not exported");
    }

    #[test]
    fn quantiles_count_from_the_last_call() {
        let store = StoreMetrics::register(&MetricsRegistry::new());
        store.observe("a", Duration::from_millis(2));
        let (first, counts) = store.quantile_since(0.95, &[]);
        assert_eq!(first, Some(0.0025));
        store.observe("b", Duration::from_millis(40));
        let (second, counts) = store.quantile_since(0.95, &counts);
        assert_eq!(second, Some(0.05));
        assert_eq!(store.quantile_since(0.95, &counts).0, None);
    }
}
