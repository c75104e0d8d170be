//! Number, outcome and duration of operations, by name.
//!
//! Clients choose the names, and the number of labels must not grow with what they send: the first [`NAMES_MAX`] names of
//! executed operations are labels, all others are `other`.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::response::{GraphqlResponse, ResponseStatus};
use crate::graphql::metrics::GraphqlMetrics;

/// Maximum number of names that are labels.
const NAMES_MAX: usize = 100;
/// Longest name that is a label.
const NAME_BYTES_MAX: usize = 64;

pub(super) struct OperationMetrics {
    metrics: GraphqlMetrics,
    names: RwLock<HashSet<Box<str>>>,
}

impl OperationMetrics {
    pub(super) fn new(metrics: &GraphqlMetrics) -> Self {
        Self { metrics: metrics.clone(), names: RwLock::default() }
    }

    /// An operation without a name is `anonymous`.
    pub(super) fn observe(&self, name: Option<&str>, response: &GraphqlResponse, duration: Duration) {
        let is_executed = response.status == ResponseStatus::Executed;
        match name {
            None => self.record("anonymous", response.outcome(), duration),
            Some(name) if self.is_label(name) || (is_executed && self.add_label(name)) => {
                self.record(name, response.outcome(), duration);
            }
            Some(_) => self.record("other", response.outcome(), duration),
        }
    }

    /// A request without an executable operation.
    pub(super) fn observe_invalid(&self) {
        self.record("invalid", "refused", Duration::ZERO);
    }

    fn record(&self, name: &str, outcome: &str, duration: Duration) {
        self.metrics.operations.with_label_values(&[name, outcome]).inc();
        self.metrics.duration.with_label_values(&[name]).observe(duration.as_secs_f64());
    }

    fn is_label(&self, name: &str) -> bool {
        self.names.read().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    /// Returns false if there are enough labels or the name is too long.
    fn add_label(&self, name: &str) -> bool {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        let fits = names.len() < NAMES_MAX && name.len() <= NAME_BYTES_MAX;
        if fits {
            names.insert(name.into());
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::Response;
    use millrace_platform::metrics::MetricsRegistry;

    use super::*;

    fn response(status: ResponseStatus) -> GraphqlResponse {
        GraphqlResponse { status, response: Response::default() }
    }

    #[test]
    fn labels_do_not_grow_with_what_clients_send() {
        let registry = MetricsRegistry::new();
        let metrics = OperationMetrics::new(&GraphqlMetrics::register(&registry));
        let observe = |name: &str, status| metrics.observe(Some(name), &response(status), Duration::ZERO);
        for n in 0..NAMES_MAX {
            observe(&format!("Rejected{n}"), ResponseStatus::Rejected);
        }
        observe("x".repeat(NAME_BYTES_MAX + 1).as_str(), ResponseStatus::Executed);
        for n in 0..NAMES_MAX * 2 {
            observe(&format!("Name{n}"), ResponseStatus::Executed);
        }
        observe("Name0", ResponseStatus::TimedOut);
        let text = registry.render();
        let count = |part: &str| text.lines().filter(|line| line.starts_with(part)).count();
        assert_eq!(count("millrace_graphql_operations_total{"), NAMES_MAX + 3, "{text}");
        for (name, outcome, times) in
            [("other", "refused", 100), ("other", "ok", 101), ("Name0", "timeout", 1)]
        {
            let line = format!(
                r#"millrace_graphql_operations_total{{operation="{name}",outcome="{outcome}"}} {times}"#
            );
            assert!(text.contains(&line), "{line}");
        }
    }
}
