//! The read side as its clients see it: requests through the whole router, over tables in a temporary file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod consistency;
mod graphql;
mod guards;
mod introduction;
mod live;
mod mssql_peer;
mod open;
mod openapi;
mod pages;
mod persisted;
mod read_model;
mod rest;
mod seed;
mod shapes;
mod socket;
