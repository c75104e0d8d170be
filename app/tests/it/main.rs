//! The whole system, as its users start it: the real binary in a folder of its own, on ports that the system chooses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]
#![allow(clippy::print_stdout, reason = "seeds, and what was measured")]
#![allow(clippy::print_stderr, reason = "what was left out, and why")]
mod abuse;
mod contention;
mod crash;
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
