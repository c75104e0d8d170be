//! The only binary's parts: settings from the surroundings, the roles, and the commands beside them.

pub mod answer;
pub mod cli;
pub mod environment;
pub mod letters;
pub mod migrate;
pub mod produce;
pub mod ready;
pub mod report;
pub mod sample;
pub mod serve;
pub mod simulator;

/// Decoding makes and frees half a dozen small strings an event; the system's allocator spends more time on them than
/// the parser (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A setting or argument that cannot be used: one line, exit code 2.
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
