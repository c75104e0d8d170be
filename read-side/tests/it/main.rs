//! Tests of the read side through its router, over tables in a temporary file.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot continue")]

mod access;
mod close;
mod connection_init;
mod consistency;
mod graphql;
mod guards;
mod modules;
mod mssql_peer;
mod open;
mod openapi;
mod pages;
mod persisted;
mod read_model;
mod rest;
mod seed;
mod shapes;
mod snapshots;
mod socket;
mod subscriptions;
