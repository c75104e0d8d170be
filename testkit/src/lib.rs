//! Test servers, fault injection and reference results for the tests and benchmarks of every crate. A dev-dependency
//! only.

#![allow(clippy::unwrap_used, reason = "test code: a server that does not start fails the test")]

pub mod graphql;
pub mod http;
pub mod kafka;
pub mod log_file;
pub mod module_graph;
pub mod oracle;
pub mod proxy;
pub mod redis;
mod skipped;
#[cfg(feature = "mssql")]
pub mod sql_server;
#[cfg(feature = "mssql")]
pub mod tds;

pub use skipped::skipped;
