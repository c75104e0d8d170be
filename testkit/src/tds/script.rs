//! What a script sees and what it can say.

use std::fmt;
use std::time::Duration;

use super::value::{Cell, Kind};

/// A request as the client sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Counts all requests of the peer, from 1.
    pub number: usize,
    /// On which connection it came; the first is 1.
    pub connection: usize,
    /// The text: of the batch, or of what `sp_executesql` shall run.
    pub sql: String,
    /// The values of `@P1`, `@P2`, …; none for a plain batch.
    pub params: Vec<Cell>,
    /// Whether a transaction that the script opened ([`Reply::Begin`]) was still open on this connection.
    pub in_transaction: bool,
}

impl Request {
    /// The text of `@P{number}`; numbers start with 1, as in T-SQL.
    ///
    /// # Panics
    /// When there is no such parameter or it is no text.
    pub fn text(&self, number: usize) -> &str {
        match &self.params[number - 1] {
            Cell::NVarChar(text) => text,
            other => panic!("@P{number} is {other:?}"),
        }
    }
}

/// A login as the client sent it. `Debug` leaves the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// On which connection it came; the first is 1.
    pub connection: usize,
    /// The SQL login.
    pub user: String,
    /// Its password in clear.
    pub password: String,
    /// The database to be opened; empty for the login's own.
    pub database: String,
    /// What the client calls itself.
    pub application: String,
    /// Whether the login came encrypted.
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

/// A part of an answer. An answer is a list of them, sent in this order; after the last one it is complete, unless that
/// was [`Reply::Stall`] or [`Reply::Close`]. No part at all is a batch that did its work in silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A result set; better made by [`Reply::rows`]. It is complete when another part follows that is neither an
    /// error, a stall nor a close: those break off between two rows.
    Rows {
        /// Name and type of each column.
        columns: Vec<(String, Kind)>,
        /// The rows, each with a cell for each column.
        rows: Vec<Vec<Cell>>,
    },
    /// A statement without rows is done; so many rows were affected.
    Done(u64),
    /// An error message. As with SQL Server, one of class 20 or above ends the connection after the answer.
    Error {
        /// Such as 1205.
        number: u32,
        /// The severity: 11 to 16 mean the statement, 17 to 19 resources, 20 to 25 the connection.
        class: u8,
        /// Tells apart the places in the server that report it.
        state: u8,
        /// The text.
        message: String,
    },
    /// A transaction was opened on this connection; it stays open until [`Reply::Commit`] or [`Reply::Rollback`].
    Begin,
    /// The open transaction was committed.
    Commit,
    /// The open transaction was rolled back.
    Rollback,
    /// What was said so far is sent, then nothing for so long.
    Delay(Duration),
    /// What was said so far is sent, then nothing any more, until the client cancels or goes away. Last in a list.
    /// tiberius never cancels: on a connection that it abandoned, its next call waits for this answer, for ever.
    Stall,
    /// What was said so far is sent, then a packet breaks off and the connection is cut. Last in a list.
    Close,
}

impl Reply {
    /// A result set.
    ///
    /// # Panics
    /// When a row has too few or too many cells, or a cell of another type than its column.
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

    /// An error of class 16 (13 for 1205, as SQL Server has it), state 1.
    pub fn error(number: u32, message: &str) -> Self {
        let class = if number == 1205 { 13 } else { 16 };
        Self::Error { number, class, state: 1, message: message.to_owned() }
    }
}
