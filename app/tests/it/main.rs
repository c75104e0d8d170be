//! The whole system as its users start it: the binary in a temporary folder, on ports that the system chooses.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic, in its helpers as well")]
#![allow(clippy::print_stdout, reason = "seeds and measurements")]
#![allow(clippy::print_stderr, reason = "skipped tests")]
mod abuse;
mod contention;
mod crash;
mod help;
mod kafka;
mod letters;
mod process;
mod roles;
mod scarcity;
mod settings;
mod shutdown;
mod soak;
mod sql_server;
mod store;
mod story;
mod tree;
