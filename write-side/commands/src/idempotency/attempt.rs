//! A command under a key: the key, the right to try the command, its stored answer.

use std::time::Duration;

use millrace_domain::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long a key is kept.
pub(super) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an attempt excludes others. After that the command may be tried again beside it, with the same ids.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// Longest key, in characters.
pub const KEY_CHARS_MAX: usize = 255;

/// A key: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key in the value of a header, if it is valid.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let fits = (1..=KEY_CHARS_MAX).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        fits.then(|| Self(text.iter().copied().map(char::from).collect()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// An answer that is stored, to be sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Headers, without those that every answer has.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// The right to try a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub(super) key: IdempotencyKey,
    /// Identifies this attempt.
    pub(super) token: String,
    /// When the first attempt started: the time of the command, in every attempt.
    pub started_at: Timestamp,
    /// Every id that the command generates is derived from it.
    pub seed: Uuid,
}

/// What may be done with a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It may be tried.
    Attempt(Attempt),
    /// It was accepted before, with this answer.
    Answered(Answer),
    /// Another attempt is in progress.
    InFlight,
    /// The key was used for another command.
    AnotherCommand,
}

/// A request to try a command, as a store gets it.
#[derive(Debug, Clone)]
pub(super) struct AttemptRequest {
    pub(super) key: IdempotencyKey,
    pub(super) fingerprint: Uuid,
    pub(super) token: String,
    pub(super) now: Timestamp,
}

impl AttemptRequest {
    /// The attempt, when the first one started at that time.
    pub(super) fn attempt(self, started_at: Timestamp) -> Attempt {
        let name = format!("{}\n{}\n{}", self.key.0, self.fingerprint, started_at.micros());
        let seed = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        Attempt { key: self.key, token: self.token, started_at, seed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii() {
        assert!(IdempotencyKey::parse(b"0198c7f2-6a5d").is_some());
        assert!(IdempotencyKey::parse(&[b'x'; 255]).is_some());
        for text in [&b""[..], b"a b", b"a\tb", "\u{e9}".as_bytes(), &[b'x'; 256]] {
            assert_eq!(IdempotencyKey::parse(text), None, "{text:?}");
        }
    }
}
