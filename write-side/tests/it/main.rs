//! The write side's one integration test binary (each further one would link librdkafka and OpenSSL again).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod change_feed;
mod event_log;
mod http;
mod mirror;
mod oracle;
mod projection;
mod projector;
mod world;
