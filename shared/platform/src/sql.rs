//! SQL statements live in files under `sql/`, one statement (batch) each; this makes a missing file a compile error.

/// The text of a file under `sql/` at the root of the workspace: `sql!("sqlite/projection/users.sql")`.
///
/// For crates two folders below the root; `read-side` has a macro of its own.
#[macro_export]
macro_rules! sql {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/", $path))
    };
}
