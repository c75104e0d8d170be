//! Commands in, events out, events projected. Knows nothing of the read side.

pub mod breaker;
pub mod dead_letter;
pub mod event_log;
pub mod projection;
pub mod projector;
pub mod retry;
