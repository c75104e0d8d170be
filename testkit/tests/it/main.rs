//! Tests of the test kit itself.

#![allow(clippy::unwrap_used, reason = "tests")]

mod tds;
