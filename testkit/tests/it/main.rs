//! What the parts that other tests rely on promise.

#![allow(clippy::unwrap_used, reason = "tests")]

mod tds;
