//! Compares the schema version of a database with the version of this program. Pure.

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SchemaMismatch {
    /// `millrace migrate` or a projector with `MIGRATE=on` migrates the database.
    #[error("schema version {found} is older than version {known} of this program; run `millrace migrate`")]
    Older {
        /// Version of the database; 0 if it is empty.
        found: usize,
        /// Version of this program.
        known: usize,
    },
    /// Requires a newer program.
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
