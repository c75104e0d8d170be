//! Pages of long lists: a place in a list that is ordered by time, and what stands after it.
//!
//! A place is named by what stands there, never by a number: rows that arrive between two pages neither shift nor
//! repeat anything. Shared by REST and GraphQL.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millrace_domain::Timestamp;
use millrace_domain::id::OrderId;

use crate::view::{Order, User};

/// A place in a list ordered by time, rows of the same time by id (byte by byte). Compares as the list is ordered,
/// oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// When what stands there happened.
    pub time: Timestamp,
    /// Of the row that stands there. Empty: just before every row of that time.
    pub id: Box<str>,
}

/// What has a place in a list.
pub trait Placed {
    /// Its place.
    fn place(&self) -> Place;
}

/// When an event told of the user.
impl Placed for User {
    fn place(&self) -> Place {
        Place::of(self.created_at, self.user_id.as_str())
    }
}

/// When the order was placed.
impl Placed for Order {
    fn place(&self) -> Place {
        Place::of(self.placed_at, self.order_id.as_str())
    }
}

impl<T: Placed> Placed for Arc<T> {
    fn place(&self) -> Place {
        T::place(self)
    }
}

/// In which order rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// By time, then id, both descending.
    NewestFirst,
    /// By time, then id, both ascending.
    OldestFirst,
}

/// A stretch of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Page {
    /// From which end rows are taken, and the order they come in.
    pub direction: Direction,
    /// Only rows newer than this place, which is left out itself.
    pub newer_than: Option<Place>,
    /// Only rows older than this place, which is left out itself.
    pub older_than: Option<Place>,
    /// How many rows at most.
    pub limit: u32,
}

/// A text that was not given out as a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no cursor that was given out here")]
pub struct InvalidCursor;

impl Place {
    /// The place of a row.
    pub fn of(time: Timestamp, id: &str) -> Self {
        Self { time, id: id.into() }
    }

    /// The place before every row of that time: newer than it are rows from then on, older than it rows before.
    pub fn start_of(time: Timestamp) -> Self {
        Self::of(time, "")
    }

    /// The place as clients carry it about. Opaque: what is in it may change.
    pub fn to_cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}", self.time.micros(), self.id))
    }

    /// Reads what [`Place::to_cursor`] wrote.
    ///
    /// # Errors
    /// [`InvalidCursor`] for anything else.
    pub fn from_cursor(cursor: &str) -> Result<Self, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| InvalidCursor)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| InvalidCursor)?;
        let (micros, id) = text.split_once(':').ok_or(InvalidCursor)?;
        let time = micros.parse().ok().and_then(Timestamp::from_micros).ok_or(InvalidCursor)?;
        // All ids are of the same form, whatever they are of.
        OrderId::parse(id).map_err(|_| InvalidCursor)?;
        Ok(Self::of(time, id))
    }
}

impl Direction {
    /// The other one.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::NewestFirst => Self::OldestFirst,
            Self::OldestFirst => Self::NewestFirst,
        }
    }
}

impl Page {
    /// The `limit` rows that come first in that direction.
    pub fn first(direction: Direction, limit: u32) -> Self {
        Self { direction, newer_than: None, older_than: None, limit }
    }

    /// Leaves out what is not newer than that place; the narrower bound counts.
    #[must_use]
    pub fn newer_than(mut self, place: Place) -> Self {
        self.newer_than = self.newer_than.max(Some(place));
        self
    }

    /// Leaves out what is not older than that place; the narrower bound counts.
    #[must_use]
    pub fn older_than(mut self, place: Place) -> Self {
        self.older_than = Some(self.older_than.map_or(place.clone(), |other| other.min(place)));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_they_went() {
        let time = Timestamp::from_micros(1_767_225_600_123_456).unwrap();
        for id in ["invoice-1", "a:b:c", "user@example.com"] {
            let place = Place::of(time, id);
            assert_eq!(Place::from_cursor(&place.to_cursor()), Ok(place));
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let cursors = ["1", "1:", "x:a", "1:a b", "99999999999999999999:a", "9223372036854775807:a", "-5"];
        for cursor in cursors.map(encoded).iter().map(String::as_str).chain(["", "!", "MTph=", "ä"]) {
            assert_eq!(Place::from_cursor(cursor), Err(InvalidCursor), "{cursor}");
        }
    }

    #[test]
    fn the_narrower_bound_counts() {
        let place = |micros| Place::of(Timestamp::from_micros(micros).unwrap(), "a");
        let page = Page::first(Direction::NewestFirst, 5);
        let page = page.newer_than(place(3)).newer_than(place(1)).older_than(place(8)).older_than(place(9));
        assert_eq!((page.newer_than, page.older_than), (Some(place(3)), Some(place(8))));
    }
}
