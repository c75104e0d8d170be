//! Tests of the HTTP server with slow, idle, too many and disconnecting clients, and of the SQLite migration.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod client;
mod edge;
mod limits;
mod migration;
mod shutdown;
mod slow_clients;
mod tls;
