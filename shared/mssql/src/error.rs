//! The errors of SQL Server and of the connection to it, with their classes.

use std::time::Duration;

use millrace_platform::ErrorClass;
use millrace_platform::schema::SchemaMismatch;

/// The error number that `sql/mssql/projection/apply.sql` throws when the fence rejects a batch.
pub const FENCED: u32 = 51001;

/// Contains no statement, no parameter and no password.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MssqlError {
    /// The server responded with an error.
    #[error("SQL Server error {number}: {message}")]
    Server {
        number: u32,
        /// The severity. From 20 on the server closes the connection.
        class: u8,
        message: String,
    },
    /// The connection is refused, or the host is unknown.
    #[error("SQL Server unreachable: {0}")]
    Unreachable(String),
    /// The connection failed, or TLS failed. The transaction may have been committed.
    #[error("connection to SQL Server failed: {0}")]
    Broken(String),
    #[error("connecting to SQL Server timed out after {0:?}")]
    ConnectTimeout(Duration),
    /// A call took too long. The transaction may be committed later.
    #[error("SQL Server did not respond within {0:?}")]
    Timeout(Duration),
    /// All connections of the pool are in use.
    #[error("timed out waiting for a free connection to SQL Server")]
    NoConnection,
    /// The response does not have the expected form.
    #[error("unexpected response from SQL Server: {0}")]
    Driver(String),
    #[error(transparent)]
    Schema(#[from] SchemaMismatch),
    /// The server or the database lacks a feature that this program needs.
    #[error("{0}")]
    Unsupported(String),
}

impl MssqlError {
    /// How the caller handles the error.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Server { number, class, .. } => classify(*number, *class),
            Self::Unreachable(_)
            | Self::Broken(_)
            | Self::ConnectTimeout(_)
            | Self::Timeout(_)
            | Self::NoConnection => ErrorClass::Transient,
            // Another process may migrate an older schema, so waiting helps.
            Self::Schema(SchemaMismatch::Older { .. }) => ErrorClass::Transient,
            Self::Driver(_) | Self::Schema(_) | Self::Unsupported(_) => ErrorClass::Fatal,
        }
    }

    /// Whether the server rolled back the batch because of a concurrent transaction. An immediate retry can succeed.
    pub fn is_conflict(&self) -> bool {
        // Deadlock victim, lock time-out, out of locks, snapshot and in-memory conflicts.
        matches!(self, Self::Server { number: 1204 | 1205 | 1222 | 3960 | 41301 | 41302 | 41305 | 41325, .. })
    }

    /// Whether an inserted key exists already: a concurrent transaction inserted it, or the event is poison.
    pub fn is_duplicate_key(&self) -> bool {
        matches!(self, Self::Server { number: 2601 | 2627, .. })
    }

    /// Whether the batch may have been committed despite the error.
    pub fn may_have_committed(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Timeout(_) | Self::Driver(_))
            || matches!(self, Self::Server { class: 20.., .. })
    }

    /// Whether a response may still arrive on the connection, or a transaction may be open.
    pub(super) fn leaves_connection_dirty(&self) -> bool {
        !matches!(self, Self::Server { class: ..20, .. })
    }

    pub fn is_login_failure(&self) -> bool {
        matches!(self, Self::Server { number: 18456 | 18470 | 18486..=18488, .. })
    }

    /// Whether another database is being created: that locks `model`, the template of all databases.
    pub(super) fn is_template_locked(&self) -> bool {
        matches!(self, Self::Server { number: 1807, .. })
    }

    /// Whether the database that should be created exists already.
    pub(super) fn is_existing_database(&self) -> bool {
        matches!(self, Self::Server { number: 1801, .. })
    }

    /// Whether the database does not exist, or the login has no access to it.
    pub fn is_missing_database(&self) -> bool {
        matches!(self, Self::Server { number: 4060 | 911, .. })
    }
}

/// The numbers are those of Microsoft's list of database engine errors.
fn classify(number: u32, class: u8) -> ErrorClass {
    match number {
        // Locks and row versions.
        1204 | 1205 | 1222 | 3960 | 41301 | 41302 | 41305 | 41325 => ErrorClass::Transient,
        // Full memory, disk or log.
        701 | 802 | 1101 | 1105 | 3257 | 8645 | 8651 | 9002 => ErrorClass::Transient,
        // Connections, failover and throttling.
        64 | 121 | 233 | 976 | 983 | 10053 | 10054 | 10060 | 10928..=10930 | 10936 | 17197 | 18401 => {
            ErrorClass::Transient
        }
        40143 | 40197 | 40501 | 40540 | 40613 | 49918..=49920 => ErrorClass::Transient,
        // A login or a database that an administrator can repair or create meanwhile.
        911 | 916 | 4060 | 4064 | 18456 | 18470 | 18486..=18488 | 51002 => ErrorClass::Transient,
        // Invalid values: conversion, overflow, JSON, NULL, constraint, truncation, duplicate key.
        220 | 241 | 242 | 245 | 515 | 547 | 2601 | 2627 | 2628 | 8114 | 8115 | 8152 | 13608 | 13609 => {
            ErrorClass::Poison
        }
        // 17 to 19: insufficient resources. From 20 on: the connection is closed.
        _ if class >= 17 => ErrorClass::Transient,
        // Anything else is an error in a statement: 102, 207, 208, …
        _ => ErrorClass::Fatal,
    }
}

impl From<tiberius::error::Error> for MssqlError {
    fn from(error: tiberius::error::Error) -> Self {
        use tiberius::error::{Error, IoErrorKind};
        match error {
            Error::Server(token) => Self::Server {
                number: token.code(),
                class: token.class(),
                message: token.message().to_owned(),
            },
            Error::Io { kind: IoErrorKind::ConnectionRefused | IoErrorKind::NotFound, message } => {
                Self::Unreachable(message)
            }
            Error::Io { message, .. } => Self::Broken(message),
            Error::Tls(message) => Self::Broken(format!(
                "TLS: {message}; set ca=FILE to the authority of the certificate, or trust-server-certificate=true"
            )),
            other => Self::Driver(other.to_string()),
        }
    }
}

impl From<bb8_tiberius::Error> for MssqlError {
    fn from(error: bb8_tiberius::Error) -> Self {
        match error {
            bb8_tiberius::Error::Tiberius(error) => error.into(),
            // These errors come from the name resolution and the TCP connection.
            bb8_tiberius::Error::Io(error) => Self::Unreachable(error.to_string()),
        }
    }
}

impl From<bb8::RunError<Self>> for MssqlError {
    fn from(error: bb8::RunError<Self>) -> Self {
        match error {
            bb8::RunError::User(error) => error,
            bb8::RunError::TimedOut => Self::NoConnection,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(number: u32, class: u8) -> MssqlError {
        MssqlError::Server { number, class, message: String::new() }
    }

    #[test]
    fn errors_have_a_class() {
        for (number, class, expected) in [
            (1205, 13, ErrorClass::Transient),
            (1222, 16, ErrorClass::Transient),
            (40613, 14, ErrorClass::Transient),
            (18456, 14, ErrorClass::Transient),
            (824, 24, ErrorClass::Transient),
            (245, 16, ErrorClass::Poison),
            (8115, 16, ErrorClass::Poison),
            (2627, 14, ErrorClass::Poison),
            (13609, 16, ErrorClass::Poison),
            (207, 16, ErrorClass::Fatal),
            (208, 16, ErrorClass::Fatal),
            (102, 15, ErrorClass::Fatal),
        ] {
            assert_eq!(server(number, class).class(), expected, "{number}");
        }
    }

    #[test]
    fn a_connection_is_clean_only_after_a_response() {
        assert!(!server(1205, 13).leaves_connection_dirty());
        assert!(server(824, 24).leaves_connection_dirty());
        assert!(MssqlError::Timeout(Duration::ZERO).leaves_connection_dirty());
        assert!(MssqlError::Broken(String::new()).may_have_committed());
        assert!(!server(2627, 14).may_have_committed());
    }
}
