//! SQL statements are files under `sql/`, one statement (batch) each. A missing file is a compile error.

/// The text of a file under `sql/`: `sql!("sqlite/read_model/users.sql")`.
macro_rules! sql {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/", $path))
    };
}

pub(crate) use sql;
