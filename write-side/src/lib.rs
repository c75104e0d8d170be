//! Commands in, events out, events projected. Knows nothing of the read side.

pub mod breaker;
pub mod command;
pub mod config;
pub mod dead_letter;
pub mod event_log;
pub mod http;
pub mod idempotency;
pub mod projection;
pub mod projector;
pub mod retry;
