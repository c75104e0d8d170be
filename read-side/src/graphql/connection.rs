//! Lists in pages, by Relay's specification of cursor connections: the arguments that all have, and what comes of them.

use async_graphql::connection::{Connection, CursorType, Edge};
use async_graphql::{Context, Enum, InputObject, OutputType, Result};
use millrace_domain::text::OrderStatus;

use super::errors::invalid;
use super::query::list_complexity;
use super::scalars::DateTime;
use crate::config::GRAPHQL_PAGE_MAX;
use crate::page::{Direction, InvalidCursor, Page, Place, Placed};

/// Entries of a page when the client does not say.
const PAGE_DEFAULT: u32 = 20;

/// Most entries of a page, for all lists.
pub(super) struct PageMax(pub(super) u32);

/// How a list is ordered by time.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeOrder {
    /// The latest comes first.
    NewestFirst,
    /// The earliest comes first.
    OldestFirst,
}

/// Which orders a list has.
#[derive(InputObject, Default)]
pub(super) struct OrderFilter {
    /// Only those of this status, such as PLACED.
    status: Option<String>,
    /// Only those placed then or later.
    placed_from: Option<DateTime>,
    /// Only those placed before then.
    placed_before: Option<DateTime>,
}

/// Which users a list has.
#[derive(InputObject, Default)]
pub(super) struct UserFilter {
    /// Only those of whom an event told then or later.
    created_from: Option<DateTime>,
    /// Only those of whom an event told before then.
    created_before: Option<DateTime>,
}

impl OrderFilter {
    /// The status in its one spelling.
    pub(super) fn status(&self) -> Result<Option<OrderStatus>> {
        let status = self.status.as_deref().map(OrderStatus::parse).transpose();
        status.map_err(|error| invalid(format!("filter.status {error}")))
    }

    pub(super) fn bound(&self, page: Page) -> Page {
        between(page, self.placed_from.as_ref(), self.placed_before.as_ref())
    }
}

impl UserFilter {
    pub(super) fn bound(&self, page: Page) -> Page {
        between(page, self.created_from.as_ref(), self.created_before.as_ref())
    }
}

fn between(mut page: Page, from: Option<&DateTime>, before: Option<&DateTime>) -> Page {
    if let Some(from) = from {
        page = page.newer_than(Place::start_of(from.0));
    }
    if let Some(before) = before {
        page = page.older_than(Place::start_of(before.0));
    }
    page
}

/// A place in a list, as clients carry it about.
pub(super) struct Cursor(Place);

impl CursorType for Cursor {
    type Error = InvalidCursor;

    fn decode_cursor(text: &str) -> std::result::Result<Self, InvalidCursor> {
        Place::from_cursor(text).map(Self)
    }

    fn encode_cursor(&self) -> String {
        self.0.to_cursor()
    }
}

/// The arguments that every list has.
pub(super) struct Window {
    pub(super) first: Option<i32>,
    pub(super) after: Option<String>,
    pub(super) last: Option<i32>,
    pub(super) before: Option<String>,
    pub(super) order_by: Option<TimeOrder>,
}

/// A page that has been asked for, and what is to be known when its rows have come.
pub(super) struct Walk {
    /// One row more than asked for, which tells whether there are more.
    pub(super) page: Page,
    /// From the end of the list towards its start.
    backward: bool,
    /// Whether the walk did not begin at the very end it comes from.
    continued: bool,
}

impl Window {
    /// What to read.
    ///
    /// # Errors
    /// An argument that cannot be accepted, in words for the client.
    pub(super) fn walk(self, context: &Context<'_>) -> Result<Walk> {
        let (limit, backward) = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(invalid("first and last exclude each other")),
            (None, Some(last)) => (page_limit(context, "last", last)?, true),
            (Some(first), None) => (page_limit(context, "first", first)?, false),
            (None, None) => (PAGE_DEFAULT.min(page_max(context)), false),
        };
        let continued = if backward { self.before.is_some() } else { self.after.is_some() };
        let direction = match self.order_by {
            None | Some(TimeOrder::NewestFirst) => Direction::NewestFirst,
            Some(TimeOrder::OldestFirst) => Direction::OldestFirst,
        };
        let read = if backward { direction.reversed() } else { direction };
        let mut page = Page::first(read, limit + 1);
        for (name, cursor, is_after) in [("after", self.after, true), ("before", self.before, false)] {
            let Some(cursor) = cursor else { continue };
            let Cursor(place) =
                Cursor::decode_cursor(&cursor).map_err(|error| invalid(format!("{name} {error}")))?;
            let towards_newer = is_after == (direction == Direction::OldestFirst);
            page = if towards_newer { page.newer_than(place) } else { page.older_than(place) };
        }
        Ok(Walk { page, backward, continued })
    }
}

impl Walk {
    /// The rows of the page as the list has them.
    pub(super) fn connection<T: OutputType + Placed>(self, mut rows: Vec<T>) -> Connection<Cursor, T> {
        let wanted = self.page.limit as usize - 1;
        let more = rows.len() > wanted;
        rows.truncate(wanted);
        if self.backward {
            rows.reverse();
        }
        let (previous, next) = if self.backward { (more, self.continued) } else { (self.continued, more) };
        let mut connection = Connection::new(previous, next);
        connection.edges = rows.into_iter().map(|row| Edge::new(Cursor(row.place()), row)).collect();
        connection
    }
}

/// How many entries a client may have of those it asks for.
///
/// # Errors
/// When they are none or too many, in words for the client.
pub(super) fn page_limit(context: &Context<'_>, name: &str, asked: i32) -> Result<u32> {
    let max = page_max(context);
    let limit = u32::try_from(asked).ok().filter(|asked| (1..=max).contains(asked));
    limit.ok_or_else(|| invalid(format!("{name} is {asked}; it must be from 1 to {max}")))
}

pub(super) fn page_max(context: &Context<'_>) -> u32 {
    context.data_unchecked::<PageMax>().0
}

/// What a page costs; one that is going to be refused costs nothing.
pub(super) fn page_complexity(first: Option<i32>, last: Option<i32>, of_each: usize) -> usize {
    let entries = first.or(last).map_or(Some(PAGE_DEFAULT), |asked| u32::try_from(asked).ok());
    let entries = entries.filter(|entries| *entries <= GRAPHQL_PAGE_MAX).unwrap_or_default();
    list_complexity(entries as usize, of_each)
}
