//! Commands in, events out, events projected. Knows nothing of the read side.

pub mod event_log;
