//! Pages of lists that are ordered by time, for REST and GraphQL.
//!
//! A page begins at the sort key of a row, not at a number: rows that are projected between two pages neither shift nor
//! repeat others.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millrace_domain::Timestamp;
use millrace_domain::id::OrderId;

use crate::view::{Order, User};

/// The key by which a list is sorted: the time, then the id byte by byte. Its order is oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SortKey {
    pub time: Timestamp,
    /// The id of a row. Empty: before all rows of the same time.
    pub id: Box<str>,
}

/// A row with a sort key.
pub trait Sorted {
    fn sort_key(&self) -> SortKey;
}

impl Sorted for User {
    fn sort_key(&self) -> SortKey {
        SortKey::new(self.created_at, self.user_id.as_str())
    }
}

impl Sorted for Order {
    fn sort_key(&self) -> SortKey {
        SortKey::new(self.placed_at, self.order_id.as_str())
    }
}

impl<T: Sorted> Sorted for Arc<T> {
    fn sort_key(&self) -> SortKey {
        T::sort_key(self)
    }
}

/// The order in which rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// By time, then id, both descending.
    NewestFirst,
    /// By time, then id, both ascending.
    OldestFirst,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Page {
    /// The end from which rows are read, and their order.
    pub direction: Direction,
    /// Only rows after this key.
    pub newer_than: Option<SortKey>,
    /// Only rows before this key.
    pub older_than: Option<SortKey>,
    /// Maximum number of rows.
    pub limit: u32,
}

/// The text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a valid cursor; send one from a previous page")]
pub struct InvalidCursor;

impl SortKey {
    pub fn new(time: Timestamp, id: &str) -> Self {
        Self { time, id: id.into() }
    }

    /// The key before all rows of a time: rows of that time and later are newer, earlier rows are older.
    pub fn start_of(time: Timestamp) -> Self {
        Self::new(time, "")
    }

    /// Encodes the key for clients. Opaque: the format may change.
    pub fn to_cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}", self.time.micros(), self.id))
    }

    /// Decodes the output of [`SortKey::to_cursor`].
    ///
    /// # Errors
    /// [`InvalidCursor`]
    pub fn from_cursor(cursor: &str) -> Result<Self, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| InvalidCursor)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| InvalidCursor)?;
        let (micros, id) = text.split_once(':').ok_or(InvalidCursor)?;
        let time = micros.parse().ok().and_then(Timestamp::from_micros).ok_or(InvalidCursor)?;
        // All ids follow the same rule.
        OrderId::parse(id).map_err(|_| InvalidCursor)?;
        Ok(Self::new(time, id))
    }
}

impl Direction {
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::NewestFirst => Self::OldestFirst,
            Self::OldestFirst => Self::NewestFirst,
        }
    }
}

impl Page {
    /// The first `limit` rows in that direction.
    pub fn first(direction: Direction, limit: u32) -> Self {
        Self { direction, newer_than: None, older_than: None, limit }
    }

    /// Excludes rows up to the key; the narrower bound applies.
    #[must_use]
    pub fn newer_than(mut self, key: SortKey) -> Self {
        self.newer_than = self.newer_than.max(Some(key));
        self
    }

    /// Excludes rows from the key on; the narrower bound applies.
    #[must_use]
    pub fn older_than(mut self, key: SortKey) -> Self {
        self.older_than = Some(self.older_than.map_or(key.clone(), |other| other.min(key)));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_returns_what_was_encoded() {
        let time = Timestamp::from_micros(1_767_225_600_123_456).unwrap();
        for id in ["invoice-1", "a:b:c", "user@example.com"] {
            let key = SortKey::new(time, id);
            assert_eq!(SortKey::from_cursor(&key.to_cursor()), Ok(key));
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let cursors = ["1", "1:", "x:a", "1:a b", "99999999999999999999:a", "9223372036854775807:a", "-5"];
        for cursor in cursors.map(encoded).iter().map(String::as_str).chain(["", "!", "MTph=", "ä"]) {
            assert_eq!(SortKey::from_cursor(cursor), Err(InvalidCursor), "{cursor}");
        }
    }

    #[test]
    fn the_narrower_bound_applies() {
        let key = |micros| SortKey::new(Timestamp::from_micros(micros).unwrap(), "a");
        let page = Page::first(Direction::NewestFirst, 5);
        let page = page.newer_than(key(3)).newer_than(key(1)).older_than(key(8)).older_than(key(9));
        assert_eq!((page.newer_than, page.older_than), (Some(key(3)), Some(key(8))));
    }
}
