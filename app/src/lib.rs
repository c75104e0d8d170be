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
pub mod usage;

pub use usage::{UsageError, usage};

/// Decoding allocates half a dozen small strings for each event. With the allocator of the system that takes longer than
/// the parsing (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
