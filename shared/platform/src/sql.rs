//! Includes SQL statements from files, so that a missing file is a compile error.

/// The text of a file under `sql/` at the root of the workspace, for example `sql!("sqlite/projection/user.sql")`.
///
/// For crates two folders below the root. `read-side` has its own macro.
#[macro_export]
macro_rules! sql {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/", $path))
    };
}
