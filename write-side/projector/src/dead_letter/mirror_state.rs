//! What the store knows about the mirror: which letters the list shows, and which filling of the list that is about.

use super::letter::{DeadLetter, LetterId};

/// Whether the list shows a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    No = 0,
    /// A push was started, and its result is unknown.
    Perhaps = 1,
    Yes = 2,
}

/// Which filling of the list the store describes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MirrorPoint {
    /// The id of the filling; empty before the first one.
    pub generation: String,
    /// Changes of the list that the store has recorded.
    pub version: i64,
}

/// What the mirror must do next.
#[derive(Debug, Default)]
pub struct MirrorWork {
    /// Closed letters that the list shows, at most 100.
    pub remove: Vec<LetterId>,
    /// Open letters that the list does not show, oldest first, at most 100 and about 1 MiB.
    pub push: Vec<DeadLetter>,
    /// How many of both there are in all.
    pub waiting: u64,
}
