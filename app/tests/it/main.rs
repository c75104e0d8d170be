//! The whole system, as its users start it: the real binary in a folder of its own, on ports that the system chooses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]
mod crash;
mod letters;
mod process;
mod settings;
mod shutdown;
mod store;
mod story;
mod tree;
