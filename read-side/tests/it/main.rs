//! The read side as its clients see it: requests through the whole router, over tables in a temporary file.

mod graphql;
mod guards;
mod open;
mod rest;
mod scratch;
mod seed;
mod shapes;
