//! The version of a database's schema, checked against the version that this program uses. Pure.

/// The database has another schema version than this program uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SchemaMismatch {
    /// A migration mends it: by `millrace migrate`, or by a projector with `MIGRATE=on`.
    #[error("schema version {found} is older than version {known} of this program; run `millrace migrate`")]
    Older {
        /// Version of the database; 0 is an empty one.
        found: usize,
        /// Version of this program.
        known: usize,
    },
    /// Nothing but a newer program mends it.
    #[error("schema version {found} is newer than version {known} of this program; use a newer millrace")]
    Newer {
        /// Version of the database.
        found: usize,
        /// Version of this program.
        known: usize,
    },
}

/// Checks that a database has the schema version of this program.
///
/// # Errors
/// [`SchemaMismatch`].
pub fn check(found: usize, known: usize) -> Result<(), SchemaMismatch> {
    match found.cmp(&known) {
        std::cmp::Ordering::Less => Err(SchemaMismatch::Older { found, known }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(SchemaMismatch::Newer { found, known }),
    }
}
