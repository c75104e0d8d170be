//! What is measured of operations: how many, how they ended and how long they took, by name.
//!
//! Names come from clients, and a label must not grow with what they send: of those whose operations have been executed
//! the first [`NAMES_MAX`] are labels, all others are `other`.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::metrics::GraphqlMetrics;
use super::{Outcome, Stage};

/// Names that are labels, at most.
const NAMES_MAX: usize = 100;
/// Longest name that is a label.
const NAME_BYTES_MAX: usize = 64;

pub(super) struct Measured {
    metrics: GraphqlMetrics,
    names: RwLock<HashSet<Box<str>>>,
}

impl Measured {
    pub(super) fn new(metrics: &GraphqlMetrics) -> Self {
        Self { metrics: metrics.clone(), names: RwLock::default() }
    }

    /// An operation that has been answered; without a name it is `anonymous`.
    pub(super) fn answered(&self, name: Option<&str>, outcome: &Outcome, took: Duration) {
        let is_executed = outcome.stage == Stage::Executed;
        match name {
            None => self.note("anonymous", outcome.word(), took),
            Some(name) if self.is_label(name) || (is_executed && self.becomes_label(name)) => {
                self.note(name, outcome.word(), took);
            }
            Some(_) => self.note("other", outcome.word(), took),
        }
    }

    /// A document in which there is no operation that could run.
    pub(super) fn refused(&self) {
        self.note("invalid", "refused", Duration::ZERO);
    }

    fn note(&self, name: &str, outcome: &str, took: Duration) {
        self.metrics.operations.with_label_values(&[name, outcome]).inc();
        self.metrics.duration.with_label_values(&[name]).observe(took.as_secs_f64());
    }

    fn is_label(&self, name: &str) -> bool {
        self.names.read().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    fn becomes_label(&self, name: &str) -> bool {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        let fits = names.len() < NAMES_MAX && name.len() <= NAME_BYTES_MAX;
        if fits {
            names.insert(name.into());
        }
        fits
    }
}

impl Outcome {
    /// How it ended, for a label.
    fn word(&self) -> &'static str {
        match self.stage {
            Stage::Executed if self.response.errors.is_empty() => "ok",
            Stage::Executed => "errors",
            Stage::Refused | Stage::Forbidden => "refused",
            Stage::TimedOut => "timeout",
            Stage::Broken => "broken",
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::Response;
    use millrace_platform::metrics::MetricsRegistry;

    use super::*;

    fn outcome(stage: Stage) -> Outcome {
        Outcome { stage, response: Response::default() }
    }

    #[test]
    fn labels_do_not_grow_with_what_clients_send() {
        let registry = MetricsRegistry::new();
        let measured = Measured::new(&GraphqlMetrics::register(&registry));
        let answered = |name: &str, stage| measured.answered(Some(name), &outcome(stage), Duration::ZERO);
        for n in 0..NAMES_MAX {
            answered(&format!("Refused{n}"), Stage::Refused);
        }
        answered("x".repeat(NAME_BYTES_MAX + 1).as_str(), Stage::Executed);
        for n in 0..NAMES_MAX * 2 {
            answered(&format!("Name{n}"), Stage::Executed);
        }
        answered("Name0", Stage::TimedOut);
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
