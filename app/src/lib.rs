//! The parts of the only binary: settings, the roles, and the other commands.

pub mod cli;
pub mod environment;
pub mod letters;
pub mod migrate;
pub mod output;
pub mod produce;
pub mod ready;
pub mod report;
pub mod sample;
pub mod serve;
pub mod similar;
pub mod simulator;

/// The name that `serve` uses.
pub mod answer {
    pub use crate::output::print_line as say;
}

/// Decoding allocates half a dozen small strings for each event. With the allocator of the system that takes longer than
/// the parsing (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A setting or an argument that cannot be used: one line, exit code 2.
#[derive(Debug)]
pub struct UsageError(pub String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Turns any error into a [`UsageError`] of one line.
pub fn usage(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow::Error::new(UsageError(error.to_string()))
}
