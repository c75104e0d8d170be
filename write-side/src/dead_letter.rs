//! The dead letter: a record that cannot be projected, kept whole, with all that is known about why.
//!
//! Letters are written by the projection, in the transaction that moves the checkpoint past their record. This
//! module makes them, and lets a person list, redrive and discard them.

mod sqlite;

use std::error::Error;
use std::path::Path;

use serde::Serialize;
use serde::ser::SerializeStruct;
use shared::envelope::identity_hint;
use shared::record::Headers;
use shared::settings::ReadModelUrl;
use shared::telemetry::causes;
use shared::{DecodeError, Envelope, NewRecord, Position, Record, Timestamp};

use crate::event_log::{EventLog, LogError};
use crate::projection::ApplyError;

/// The record header that counts how often a letter was sent through the log again.
pub const REDRIVE_COUNT: &str = "redrive-count";
/// The reason of a letter whose event is whole but is refused by the read model.
pub const REFUSED: &str = "refused-by-read-model";

/// A record that cannot be projected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The topic of the record.
    pub topic: String,
    /// The place of the record; also the letter's name.
    pub position: Position,
    /// A stable word, see [`DecodeError::reason`].
    pub reason: String,
    /// What is wrong, in words.
    pub error: String,
    /// The causes of the error, outermost first.
    pub causes: Vec<String>,
    /// The event's id, as far as it can be told.
    pub event_id: Option<String>,
    /// The event's type, as far as it can be told.
    pub event_type: Option<String>,
    /// The record's key, as it came.
    pub key: Option<Vec<u8>>,
    /// The record's payload, as it came.
    pub payload: Option<Vec<u8>>,
    /// The record's headers, as they came.
    pub headers: Headers,
    /// How often it was tried: 1, and once more for each redrive.
    pub attempts: u32,
    /// When the log took the record.
    pub appended_at: Timestamp,
    /// When it was given up.
    pub dead_at: Timestamp,
}

impl DeadLetter {
    /// The letter of a record that is no event.
    pub fn undecodable(record: &Record<'_>, error: &DecodeError, now: Timestamp) -> Self {
        let (event_id, event_type) = identity_hint(record);
        Self::new(record, error.reason(), error, event_id, event_type, now)
    }

    /// The letter of an event that the read model refuses.
    pub fn refused(record: &Record<'_>, envelope: &Envelope, error: &ApplyError, now: Timestamp) -> Self {
        let event_id = Some(envelope.event_id.to_string());
        let event_type = Some(envelope.event.event_type().as_str().to_owned());
        Self::new(record, REFUSED, error, event_id, event_type, now)
    }

    fn new(
        record: &Record<'_>,
        reason: &str,
        error: &(dyn Error + 'static),
        event_id: Option<String>,
        event_type: Option<String>,
        now: Timestamp,
    ) -> Self {
        let redrives: u32 =
            record.headers.get_str(REDRIVE_COUNT).and_then(|count| count.parse().ok()).unwrap_or(0);
        Self {
            topic: record.topic.to_owned(),
            position: record.position,
            reason: reason.to_owned(),
            error: error.to_string(),
            causes: causes(error),
            event_id,
            event_type,
            key: record.key.map(<[u8]>::to_vec),
            payload: record.payload.map(<[u8]>::to_vec),
            headers: record.headers.to_owned(),
            attempts: redrives.saturating_add(1),
            appended_at: record.appended_at,
            dead_at: now,
        }
    }

    /// The record that sends the letter through the log again: the same bytes, key and headers, one redrive more.
    pub fn to_record(&self) -> NewRecord {
        let mut headers = Headers::EMPTY;
        for (name, value) in self.headers.view().iter().filter(|(name, _)| *name != REDRIVE_COUNT) {
            headers.push(name, value);
        }
        headers.push(REDRIVE_COUNT, self.attempts.to_string().as_bytes());
        NewRecord { key: self.key.clone(), payload: self.payload.clone().unwrap_or_default(), headers }
    }
}

/// Bytes in JSON: text when they are UTF-8, else base64, and the name of the field says which.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn encoded(&self) -> (&'static str, String) {
        use base64::Engine;
        match std::str::from_utf8(self.0) {
            Ok(text) => ("utf-8", text.to_owned()),
            Err(_) => ("base64", base64::engine::general_purpose::STANDARD.encode(self.0)),
        }
    }
}

impl Serialize for DeadLetter {
    /// The JSON that `dead-letters show`, the HTTP routes and the Redis list have in common.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (encoding, payload) = Bytes(self.payload.as_deref().unwrap_or_default()).encoded();
        let headers: std::collections::BTreeMap<_, _> =
            self.headers.view().iter().map(|(name, value)| (name, Bytes(value).encoded().1)).collect();
        let mut letter = serializer.serialize_struct("DeadLetter", 16)?;
        letter.serialize_field("id", &self.position.to_string())?;
        letter.serialize_field("topic", &self.topic)?;
        letter.serialize_field("partition", &self.position.partition)?;
        letter.serialize_field("offset", &self.position.offset)?;
        letter.serialize_field("reason", &self.reason)?;
        letter.serialize_field("error", &self.error)?;
        letter.serialize_field("causes", &self.causes)?;
        letter.serialize_field("eventId", &self.event_id)?;
        letter.serialize_field("eventType", &self.event_type)?;
        letter.serialize_field("key", &self.key.as_deref().map(|key| Bytes(key).encoded().1))?;
        letter.serialize_field("payload", &payload)?;
        letter.serialize_field("payloadEncoding", encoding)?;
        letter.serialize_field("headers", &headers)?;
        letter.serialize_field("attempts", &self.attempts)?;
        letter.serialize_field("appendedAt", &self.appended_at)?;
        letter.serialize_field("deadAt", &self.dead_at)?;
        letter.end()
    }
}

/// How a letter ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It stands in the log again.
    Redriven,
    /// A person gave it up.
    Discarded,
}

/// Open letters of one reason and type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LetterGroup {
    /// See [`DeadLetter::reason`].
    pub reason: String,
    /// See [`DeadLetter::event_type`]; empty when it cannot be told.
    pub event_type: String,
    /// How many.
    pub count: u64,
    /// When the first died.
    pub oldest: Timestamp,
    /// When the last died.
    pub newest: Timestamp,
}

/// Why letters could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// The store says no.
    #[error("the dead letters cannot be read")]
    Store(#[source] Box<dyn Error + Send + Sync>),
    /// The log did not take the record; the letter stays open.
    #[error("the letter cannot be sent through the log again")]
    Log(#[from] LogError),
}

/// The open letters in the store.
#[derive(Debug)]
pub enum DeadLetters {
    /// In a SQLite file.
    Sqlite(sqlite::SqliteLetters),
}

impl DeadLetters {
    /// Opens the store that holds them, which must exist.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub fn open(url: &ReadModelUrl) -> Result<Self, LetterError> {
        match url {
            ReadModelUrl::Sqlite(path) => Self::open_sqlite(path),
            ReadModelUrl::Mssql(_) => Err(LetterError::Store("not on SQL Server yet".into())),
        }
    }

    fn open_sqlite(path: &Path) -> Result<Self, LetterError> {
        sqlite::SqliteLetters::open(path).map(Self::Sqlite)
    }

    /// Open letters, newest first.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub fn list(&self, limit: u32, offset: u32) -> Result<Vec<DeadLetter>, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.list(limit, offset),
        }
    }

    /// One open letter.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub fn get(&self, topic: &str, position: Position) -> Result<Option<DeadLetter>, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.get(topic, position),
        }
    }

    /// Open letters by reason and type, the most frequent first.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub fn stats(&self) -> Result<Vec<LetterGroup>, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.stats(),
        }
    }

    /// How many letters are open.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub fn depth(&self) -> Result<i64, LetterError> {
        let count: u64 = self.stats()?.iter().map(|group| group.count).sum();
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Closes a letter. Returns whether it was open.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub fn close(&self, topic: &str, position: Position, how: Closed) -> Result<bool, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.close(topic, position, how, Timestamp::now()),
        }
    }
}

/// Sends a letter through the log again and closes it. When the process dies between the two, the letter stays
/// open and may be sent once more, which changes nothing (promise 2).
///
/// # Errors
/// [`LetterError`]; the letter is open still.
pub async fn redrive(
    letters: &DeadLetters,
    log: &EventLog,
    letter: &DeadLetter,
) -> Result<Position, LetterError> {
    let positions = log.append(vec![letter.to_record()]).await?;
    letters.close(&letter.topic, letter.position, Closed::Redriven)?;
    Ok(positions[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(payload: &[u8], headers: &Headers) -> DeadLetter {
        let record = Record {
            topic: "events",
            position: Position { partition: 3, offset: 17 },
            appended_at: Timestamp::from_micros(0).unwrap(),
            key: Some(b"k"),
            payload: Some(payload),
            headers: headers.view(),
        };
        let error = shared::decode(&record).unwrap_err();
        DeadLetter::undecodable(&record, &error, Timestamp::from_micros(1).unwrap())
    }

    #[test]
    fn b02_keeps_the_bytes_as_they_came() {
        let json = serde_json::to_value(letter(b"{\"eventId\": }", &Headers::EMPTY)).unwrap();
        assert_eq!(json["payload"], "{\"eventId\": }");
        assert_eq!((&json["payloadEncoding"], &json["reason"]), (&"utf-8".into(), &"invalid-json".into()));
        assert_eq!(json["id"], "3:17");
        let json = serde_json::to_value(letter(b"\xff\x00", &Headers::EMPTY)).unwrap();
        assert_eq!((&json["payload"], &json["payloadEncoding"]), (&"/wA=".into(), &"base64".into()));
    }

    #[test]
    fn redriving_keeps_the_headers_and_counts() {
        let first = letter(b"x", &Headers::EMPTY.with("traceparent", b"00-1"));
        let again = first.to_record();
        assert_eq!(again.headers.view().get_str(REDRIVE_COUNT), Some("1"));
        assert_eq!(again.headers.view().get_str("traceparent"), Some("00-1"));
        let second = letter(b"x", &again.headers);
        assert_eq!(second.attempts, 2);
        assert_eq!(
            second.to_record().headers.view().iter().count(),
            2,
            "the count is replaced, not repeated"
        );
    }

    #[test]
    fn tells_what_can_be_told() {
        let letter =
            letter(br#"{"eventId":"test-456","eventType":"UnknownEvent","timestamp":"x"}"#, &Headers::EMPTY);
        assert_eq!(letter.event_id.as_deref(), Some("test-456"));
        assert_eq!(letter.event_type.as_deref(), Some("UnknownEvent"));
    }
}
