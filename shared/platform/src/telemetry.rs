//! Logging on stderr: text on a terminal, otherwise JSON. Also the texts of errors with their causes.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging. `level` is an [`EnvFilter`] directive such as `info` or `info,rdkafka=debug`.
///
/// # Errors
/// A message of one line about an invalid `level`.
pub fn init(level: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(level).map_err(|error| format!("LOG_LEVEL {level:?}: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if std::io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).try_init()
    };
    started.map_err(|error| error.to_string())
}

/// The error and its causes in one line: `a: b: c`.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        // The messages of some libraries end with their cause already.
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// The causes of an error without the error itself, outermost first.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct TestError {
        text: &'static str,
        source: Option<Box<TestError>>,
    }

    fn error(text: &'static str, source: Option<TestError>) -> TestError {
        TestError { text, source: source.map(Box::new) }
    }

    #[test]
    fn a_repeated_cause_is_shown_once() {
        let refused = || error("refused (os error 111)", None);
        let separate = error("Redis", Some(refused()));
        assert_eq!(super::chain(&separate), "Redis: refused (os error 111)");
        let repeats = error("Redis", Some(error("connect: refused (os error 111)", Some(refused()))));
        assert_eq!(super::chain(&repeats), "Redis: connect: refused (os error 111)");
    }
}
