//! What both services' HTTP ports bear: clients that are slow, silent, too many or gone; and tables that are older.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod client;
mod edge;
mod limits;
mod migration;
mod shutdown;
mod slow_clients;
mod tls;
