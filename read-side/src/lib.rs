//! The read side: queries over the tables that the projector writes.
//!
//! REST and GraphQL show the same views ([`view`]) and read through the same port ([`read_model`]). Connections are
//! read-only, and this crate does not depend on the write side.

pub mod access;
pub mod config;
pub mod consistency;
pub mod graphql;
pub mod http;
pub mod page;
pub mod read_model;
mod rest;
mod sql;
pub mod view;
pub mod watchers;

pub use config::ReadConfig;
pub use read_model::ReadModel;
