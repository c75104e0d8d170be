//! Lists in pages, by Relay's specification of cursor connections: the arguments of every list and the page that they
//! select.

use async_graphql::connection::{Connection, CursorType, Edge};
use async_graphql::{Context, Enum, OutputType, Result};

use super::complexity::PAGE_DEFAULT;
use super::context::{page_limit, page_max};
use super::errors::invalid_value;
use crate::page::{Direction, InvalidCursor, Page, SortKey, Sorted};

/// The order of a list by time.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeOrder {
    /// The newest entry first.
    NewestFirst,
    /// The oldest entry first.
    OldestFirst,
}

/// The sort key of an entry, encoded for clients.
pub(super) struct Cursor(SortKey);

impl CursorType for Cursor {
    type Error = InvalidCursor;

    fn decode_cursor(text: &str) -> std::result::Result<Self, InvalidCursor> {
        SortKey::from_cursor(text).map(Self)
    }

    fn encode_cursor(&self) -> String {
        self.0.to_cursor()
    }
}

/// The arguments of every connection.
pub(super) struct PageArguments {
    pub(super) first: Option<i32>,
    pub(super) after: Option<String>,
    pub(super) last: Option<i32>,
    pub(super) before: Option<String>,
    pub(super) order_by: Option<TimeOrder>,
}

/// The page that the arguments select, and what is needed to turn its rows into a connection.
pub(super) struct ConnectionPage {
    /// With one row more than requested, which shows whether there is another page.
    pub(super) page: Page,
    /// Whether the page is read from the end of the list.
    is_backward: bool,
    /// Whether a page precedes this one in the direction of reading.
    is_continued: bool,
}

impl PageArguments {
    /// Parses the arguments.
    ///
    /// # Errors
    /// INVALID_VALUE
    pub(super) fn parse(self, context: &Context<'_>) -> Result<ConnectionPage> {
        let (limit, is_backward) = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(invalid_value("first and last exclude each other; send one")),
            (None, Some(last)) => (page_limit(context, "last", last)?, true),
            (Some(first), None) => (page_limit(context, "first", first)?, false),
            (None, None) => (PAGE_DEFAULT.min(page_max(context)), false),
        };
        let is_continued = if is_backward { self.before.is_some() } else { self.after.is_some() };
        let direction = match self.order_by {
            None | Some(TimeOrder::NewestFirst) => Direction::NewestFirst,
            Some(TimeOrder::OldestFirst) => Direction::OldestFirst,
        };
        let read_direction = if is_backward { direction.reversed() } else { direction };
        let mut page = Page::first(read_direction, limit + 1);
        for (name, cursor, is_after) in [("after", self.after, true), ("before", self.before, false)] {
            let Some(cursor) = cursor else { continue };
            let Cursor(key) =
                Cursor::decode_cursor(&cursor).map_err(|error| invalid_value(format!("{name} {error}")))?;
            let towards_newer = is_after == (direction == Direction::OldestFirst);
            page = if towards_newer { page.newer_than(key) } else { page.older_than(key) };
        }
        Ok(ConnectionPage { page, is_backward, is_continued })
    }
}

impl ConnectionPage {
    /// The connection over the rows of the page, as they were read.
    pub(super) fn connection<T: OutputType + Sorted>(self, mut rows: Vec<T>) -> Connection<Cursor, T> {
        let requested = self.page.limit as usize - 1;
        let has_more = rows.len() > requested;
        rows.truncate(requested);
        if self.is_backward {
            rows.reverse();
        }
        let (has_previous, has_next) =
            if self.is_backward { (has_more, self.is_continued) } else { (self.is_continued, has_more) };
        let mut connection = Connection::new(has_previous, has_next);
        connection.edges = rows.into_iter().map(|row| Edge::new(Cursor(row.sort_key()), row)).collect();
        connection
    }
}
