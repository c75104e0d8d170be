//! How the caller of a store handles an error. Pure.

/// [`crate::sqlite::classify`] and `MssqlError::class` assign the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The store is unavailable, busy or full: wait, then retry.
    Transient,
    /// The store cannot hold the values: a retry gives the same error.
    Poison,
    /// A bug, or a damaged store: stop.
    Fatal,
}
