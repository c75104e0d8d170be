//! The input and output of a script: requests, logins and replies.

use std::fmt;
use std::time::Duration;

use super::value::{Cell, Kind};

/// A request of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The number of the request in the peer, from 1.
    pub number: usize,
    /// The number of the connection, from 1.
    pub connection: usize,
    /// The text of the batch, or the statement of `sp_executesql`.
    pub sql: String,
    /// The values of `@P1`, `@P2`, …; empty for a plain batch.
    pub params: Vec<Cell>,
    /// Whether a transaction of the script ([`Reply::Begin`]) was open on this connection.
    pub in_transaction: bool,
}

impl Request {
    /// The text of `@P{number}`, from 1 as in T-SQL.
    ///
    /// # Panics
    /// When the parameter does not exist or is not text.
    pub fn text(&self, number: usize) -> &str {
        match &self.params[number - 1] {
            Cell::NVarChar(text) => text,
            other => panic!("@P{number} is {other:?}"),
        }
    }
}

/// A login of the client. `Debug` hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The number of the connection, from 1.
    pub connection: usize,
    pub user: String,
    /// In clear text.
    pub password: String,
    /// Empty for the default database of the login.
    pub database: String,
    /// The application name of the client.
    pub application: String,
    /// Whether the login was encrypted.
    pub encrypted: bool,
}

impl fmt::Debug for Login {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Login")
            .field("connection", &self.connection)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("application", &self.application)
            .field("encrypted", &self.encrypted)
            .finish_non_exhaustive()
    }
}

/// A part of a response. A response is a list of parts, which are sent in this order. It is complete after the last
/// part, except after [`Reply::Stall`] or [`Reply::Close`]. An empty list is a batch without a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A result set; see [`Reply::rows`]. It is complete when another part follows. An error, a stall and a close
    /// interrupt it between two rows.
    Rows {
        /// Name and type of each column.
        columns: Vec<(String, Kind)>,
        /// The rows, each with a cell for each column.
        rows: Vec<Vec<Cell>>,
    },
    /// The end of a statement without rows, with the number of affected rows.
    Done(u64),
    /// An error message. As in SQL Server, class 20 or above closes the connection after the response.
    Error {
        /// Such as 1205.
        number: u32,
        /// The severity: 11 to 16 for the statement, 17 to 19 for resources, 20 to 25 for the connection.
        class: u8,
        /// Distinguishes the places in the server that raise the error.
        state: u8,
        message: String,
    },
    /// Opens a transaction on this connection, until [`Reply::Commit`] or [`Reply::Rollback`].
    Begin,
    /// Commits the open transaction.
    Commit,
    /// Rolls back the open transaction.
    Rollback,
    /// Sends the parts so far, then waits.
    Delay(Duration),
    /// Sends the parts so far, then nothing until the client cancels or disconnects. Must be the last part. tiberius
    /// never cancels: the next call on an abandoned connection waits for this response for ever.
    Stall,
    /// Sends the parts so far and an incomplete packet, then closes the connection. Must be the last part.
    Close,
}

impl Reply {
    /// # Panics
    /// When a row does not match the columns.
    pub fn rows<'a>(
        columns: impl IntoIterator<Item = (&'a str, Kind)>,
        rows: impl IntoIterator<Item = Vec<Cell>>,
    ) -> Self {
        let columns: Vec<_> = columns.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
        let rows: Vec<_> = rows.into_iter().collect();
        for row in &rows {
            assert_eq!(row.len(), columns.len(), "cells of a row: {row:?}");
            for (cell, (name, kind)) in row.iter().zip(&columns) {
                assert!(cell.fits(*kind), "column {name} of type {kind:?} cannot hold {cell:?}");
            }
        }
        Self::Rows { columns, rows }
    }

    /// An error of class 16 (13 for 1205, as in SQL Server) and state 1.
    pub fn error(number: u32, message: &str) -> Self {
        let class = if number == 1205 { 13 } else { 16 };
        Self::Error { number, class, state: 1, message: message.to_owned() }
    }
}
