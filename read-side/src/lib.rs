//! The read side: queries only, over the tables that the write side projects.
//!
//! REST and GraphQL show the same views ([`view`]), read through the same port ([`read_model`]). Nothing here ever
//! writes: connections are opened read-only, and this crate knows nothing of the write side.

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
