//! The integration tests of the SQL Server client.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod pool;
