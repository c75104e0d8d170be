//! A wire that can be cut, stalled and delayed.
