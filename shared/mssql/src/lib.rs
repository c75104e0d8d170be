//! SQL Server: address, connections, pool, errors and migration, for the projector and the read side.

mod ado;
mod blocking;
mod connection;
mod error;
mod migrate;
mod param;
mod pool;
mod read_model_url;
mod row;
mod url;

pub use blocking::wait_for;
pub use error::{FENCED, MssqlError};
pub use migrate::{Migration, SCHEMA_VERSION, check_schema, migrate};
pub use param::Param;
pub use pool::Pool;
pub use read_model_url::ReadModelUrl;
pub use row::{Cell, Row};
pub use url::{Encryption, MssqlUrl};
