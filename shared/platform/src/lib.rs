//! Infrastructure that every role uses: HTTP server, SQLite, Redis, metrics, logs, settings, shutdown.
//!
//! It depends on [`millrace_domain`] and on no role.

pub mod change_feed;
pub mod error_class;
pub mod http;
pub mod metrics;
pub mod problem;
pub mod redis;
pub mod schema;
pub mod secret;
pub mod settings;
pub mod shutdown;
pub mod sql;
pub mod sqlite;
pub mod telemetry;

pub use error_class::ErrorClass;
