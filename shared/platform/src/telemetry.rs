//! Logs on stderr: JSON for machines, readable lines on a terminal.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging. `level` is an [`EnvFilter`] directive such as `info` or `info,rdkafka=debug`.
///
/// # Errors
/// One line that says what is wrong with `level`.
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

/// An error and all its causes in one line: `a: b: c`.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        // Errors of some libraries end with their cause by themselves.
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// The texts of an error's causes, outermost first, the error itself left out.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Told {
        text: &'static str,
        source: Option<Box<Told>>,
    }

    fn told(text: &'static str, source: Option<Told>) -> Told {
        Told { text, source: source.map(Box::new) }
    }

    #[test]
    fn a_cause_is_told_once() {
        let refused = || told("refused (os error 111)", None);
        let apart = told("Redis", Some(refused()));
        assert_eq!(super::chain(&apart), "Redis: refused (os error 111)");
        let repeats = told("Redis", Some(told("connect: refused (os error 111)", Some(refused()))));
        assert_eq!(super::chain(&repeats), "Redis: connect: refused (os error 111)");
    }
}
