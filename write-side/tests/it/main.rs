//! The write side's one integration test binary (each further one would link librdkafka and OpenSSL again).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod change_feed;
mod dead_letter;
mod defects;
mod event_log;
mod http;
mod inbox;
mod kafka;
mod mirror;
mod mssql_peer;
mod mssql_pool;
mod oracle;
mod projection;
mod projector;
mod world;
