//! Commands over HTTP: parsed into events, appended to the event log, answered once they are durable.
//!
//! Commands depend on the log alone. They know neither the projector nor the read model, so nothing that happens there
//! keeps a command from being accepted.

pub mod command;
pub mod config;
pub mod http;
pub mod idempotency;
pub mod metrics;
