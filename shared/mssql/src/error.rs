//! What can go wrong with SQL Server, sorted by what can be done about it.

use std::time::Duration;

use millrace_platform::ErrorClass;
use millrace_platform::schema::SchemaMismatch;

/// `THROW` of our own: a fence does not stand where the projector left it.
pub const FENCED: u32 = 51001;

/// What went wrong. Holds no statement, no parameter and no password.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MssqlError {
    /// The server says no.
    #[error("SQL Server error {number}: {message}")]
    Server {
        /// The error's number.
        number: u32,
        /// How bad it is: from 20 on the server closes the connection.
        class: u8,
        /// In the server's words.
        message: String,
    },
    /// Nobody listens there, or the name is unknown.
    #[error("SQL Server cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke, or TLS failed. Whether a transaction was committed is unknown.
    #[error("the connection to SQL Server broke: {0}")]
    Broken(String),
    /// Connecting took too long.
    #[error("SQL Server did not let us in within {0:?}")]
    ConnectTimeout(Duration),
    /// A call took too long. Whether it will still be done is unknown.
    #[error("SQL Server did not answer within {0:?}")]
    Timeout(Duration),
    /// No connection became free.
    #[error("no connection to SQL Server became free in time")]
    NoConnection,
    /// What came back is not what we asked for.
    #[error("SQL Server's answer cannot be read: {0}")]
    Driver(String),
    /// The schema is that of another version of this program.
    #[error(transparent)]
    Schema(#[from] SchemaMismatch),
    /// The server or the database lacks a feature that this program needs.
    #[error("{0}")]
    Unsupported(String),
}

impl MssqlError {
    /// What to do about it. The numbers are those of Microsoft's list of engine errors.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Server { number, class, .. } => classify(*number, *class),
            Self::Unreachable(_)
            | Self::Broken(_)
            | Self::ConnectTimeout(_)
            | Self::Timeout(_)
            | Self::NoConnection => ErrorClass::Transient,
            // Another process may migrate it while this one waits.
            Self::Schema(SchemaMismatch::Older { .. }) => ErrorClass::Transient,
            Self::Driver(_) | Self::Schema(_) | Self::Unsupported(_) => ErrorClass::Fatal,
        }
    }

    /// Whether the same batch is worth another try at once, on the same connection: the server has rolled it back for
    /// reasons that lie in what others did at that moment.
    pub fn is_a_collision(&self) -> bool {
        // Deadlock victim, lock time-out, out of locks, snapshot and in-memory conflicts.
        matches!(self, Self::Server { number: 1204 | 1205 | 1222 | 3960 | 41301 | 41302 | 41305 | 41325, .. })
    }

    /// Whether a key was inserted that exists: another was quicker, or the event is poison.
    pub fn is_a_duplicate_key(&self) -> bool {
        matches!(self, Self::Server { number: 2601 | 2627, .. })
    }

    /// Whether the batch may have been committed all the same.
    pub fn leaves_the_outcome_unknown(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Timeout(_) | Self::Driver(_))
            || matches!(self, Self::Server { class: 20.., .. })
    }

    /// Whether an answer may still arrive, or a transaction be open, on the connection.
    pub(super) fn leaves_the_connection_unknown(&self) -> bool {
        !matches!(self, Self::Server { class: ..20, .. })
    }

    /// Whether user or password are wrong.
    pub fn is_a_refused_login(&self) -> bool {
        matches!(self, Self::Server { number: 18456 | 18470 | 18486..=18488, .. })
    }

    /// Whether a database cannot be made while another one is: `model`, which both are copies of, is locked.
    pub(super) fn is_a_busy_template(&self) -> bool {
        matches!(self, Self::Server { number: 1807, .. })
    }

    /// Whether the database that was to be made exists.
    pub(super) fn is_an_existing_database(&self) -> bool {
        matches!(self, Self::Server { number: 1801, .. })
    }

    /// Whether the database that was asked for does not exist, or not for us.
    pub fn is_a_missing_database(&self) -> bool {
        matches!(self, Self::Server { number: 4060 | 911, .. })
    }
}

fn classify(number: u32, class: u8) -> ErrorClass {
    match number {
        // Locks and versions; then memory, disk and log that are full; then connections, failover and throttling; then
        // a login that an administrator can mend while we wait, or a database that is not there yet.
        1204 | 1205 | 1222 | 3960 | 41301 | 41302 | 41305 | 41325 => ErrorClass::Transient,
        701 | 802 | 1101 | 1105 | 3257 | 8645 | 8651 | 9002 => ErrorClass::Transient,
        64 | 121 | 233 | 976 | 983 | 10053 | 10054 | 10060 | 10928..=10930 | 10936 | 17197 | 18401 => {
            ErrorClass::Transient
        }
        40143 | 40197 | 40501 | 40540 | 40613 | 49918..=49920 => ErrorClass::Transient,
        911 | 916 | 4060 | 4064 | 18456 | 18470 | 18486..=18488 | 51002 => ErrorClass::Transient,
        // Values that do not fit: conversion, overflow, JSON, NULL, constraint, truncation, duplicate key.
        220 | 241 | 242 | 245 | 515 | 547 | 2601 | 2627 | 2628 | 8114 | 8115 | 8152 | 13608 | 13609 => {
            ErrorClass::Poison
        }
        // From 17 to 19 resources are short; from 20 on the connection is gone.
        _ if class >= 17 => ErrorClass::Transient,
        // Everything else is a statement of ours that is wrong: 102, 207, 208, …
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
                "TLS: {message}; name the certificate's authority with ca=FILE, or say trust-server-certificate=true"
            )),
            other => Self::Driver(other.to_string()),
        }
    }
}

impl From<bb8_tiberius::Error> for MssqlError {
    fn from(error: bb8_tiberius::Error) -> Self {
        match error {
            bb8_tiberius::Error::Tiberius(error) => error.into(),
            // Before the handshake there is only the name and the socket.
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
    fn errors_are_sorted() {
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
    fn a_connection_is_kept_only_after_an_answer() {
        assert!(!server(1205, 13).leaves_the_connection_unknown());
        assert!(server(824, 24).leaves_the_connection_unknown());
        assert!(MssqlError::Timeout(Duration::ZERO).leaves_the_connection_unknown());
        assert!(MssqlError::Broken(String::new()).leaves_the_outcome_unknown());
        assert!(!server(2627, 14).leaves_the_outcome_unknown());
    }
}
