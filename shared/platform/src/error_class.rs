//! What a store's error means for whoever asked. Pure.

/// The three kinds of errors that are treated differently (TRAPS 11 sorts them for SQL Server).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The store is away, busy or full: wait, then ask again.
    Transient,
    /// The values themselves are refused: asking again gives the same answer.
    Poison,
    /// A bug of ours or a damaged store: stop.
    Fatal,
}
