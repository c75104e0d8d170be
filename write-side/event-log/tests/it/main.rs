//! The integration tests of the event log, in one binary: each further one would link librdkafka and OpenSSL again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod event_log;
