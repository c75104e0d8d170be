//! The projector: reads the event log, keeps the tables in step with it, and stores what cannot be projected as dead
//! letters, which it also reviews, redrives and mirrors in Redis.
//!
//! It knows neither the commands nor the read side: an event reaches it through the log, a query through the tables.

pub mod breaker;
pub mod config;
pub mod dead_letter;
pub mod http;
pub mod metrics;
pub mod projection;
pub mod projector;
pub mod retry;
