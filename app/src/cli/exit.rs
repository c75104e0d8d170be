//! Why there is nothing to run: help was requested, or an argument or a setting is wrong.

use std::num::ParseIntError;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

#[derive(Debug)]
pub enum Exit {
    /// A help text or the version.
    Help(clap::Error),
    /// One line.
    Invalid(String),
}

impl Exit {
    /// From an error about the command line. The line names the flag.
    pub(super) fn from_arguments(error: clap::Error) -> Self {
        Self::new(error, str::to_owned)
    }

    /// `name` turns a flag into the name under which its value was set.
    pub(super) fn new(error: clap::Error, name: impl Fn(&str) -> String) -> Self {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return Self::Help(error);
        }
        Self::Invalid(line(&error, name))
    }

    /// Prints the help text to stdout, or the error as one line to stderr.
    #[expect(clippy::print_stderr, reason = "the final message of a command, for a person")]
    pub fn end(self) -> ExitCode {
        match self {
            Self::Help(text) => {
                // A reader such as `head` may have closed the pipe: no error.
                let _closed = text.print();
                ExitCode::SUCCESS
            }
            Self::Invalid(line) => {
                let hint = if line.ends_with('?') { "" } else { "; see millrace --help" };
                eprintln!("millrace: {line}{hint}");
                ExitCode::from(2)
            }
        }
    }
}

/// States what is wrong, without the value: it may be a password.
fn line(error: &clap::Error, name: impl Fn(&str) -> String) -> String {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.split_whitespace().next().unwrap_or_default(),
        _ => "",
    };
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "a command is missing".to_owned();
    }
    match (error.kind(), std::error::Error::source(error), error.get(ContextKind::ValidValue)) {
        (ErrorKind::ValueValidation, Some(cause), _) if cause.is::<ParseIntError>() => {
            format!("{}: expected a whole number", name(argument))
        }
        (ErrorKind::ValueValidation, Some(cause), _) => format!("{}: {cause}", name(argument)),
        (ErrorKind::InvalidValue, _, Some(ContextValue::Strings(values))) if !values.is_empty() => {
            format!("{}: expected {}", name(argument), values.join(" or "))
        }
        _ => first_paragraph(error),
    }
}

/// The message of clap without its prefix, usage and hints.
fn first_paragraph(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<_> = lines.take_while(|line| !line.starts_with("Usage:")).collect();
    let text = lines.join(" ").replace(" tip: ", "; ");
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    text.trim_end_matches("For more information, try '--help'.").trim_end().to_owned()
}
