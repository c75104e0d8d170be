//! The end of each partition, shared by the writer and the consumers.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The next offset of each partition, with a signal for consumers that wait for records.
#[derive(Debug)]
pub(super) struct Ends {
    next: Mutex<Vec<i64>>,
    pub(super) grown: Condvar,
    /// Time and error of the last append, if it failed.
    failure: Mutex<Option<(Instant, Arc<rusqlite::Error>)>>,
}

impl Ends {
    pub(super) fn new(next: Vec<i64>) -> Self {
        Self { next: Mutex::new(next), grown: Condvar::new(), failure: Mutex::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<i64>> {
        // The value is only ever replaced as a whole, so it is consistent even if a thread panicked with the lock.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn failure(&self) -> MutexGuard<'_, Option<(Instant, Arc<rusqlite::Error>)>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
