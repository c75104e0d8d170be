//! The letter: a record that cannot be projected, kept whole, with all that is known about why. Pure: no IO.

use std::error::Error;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize};
use shared::envelope::identity_hint;
use shared::record::Headers;
use shared::telemetry::causes;
use shared::{DecodeError, Envelope, NewRecord, Position, Record, Timestamp};

use crate::projection::ApplyError;

/// The record header that counts how often a letter was sent through the log again.
pub const REDRIVE_COUNT: &str = "redrive-count";
/// The record header that tells the attempts before, newest last: a JSON list of [`Attempt`].
pub const REDRIVE_HISTORY: &str = "redrive-history";
/// Attempts that a letter remembers; of more, the newest.
pub const HISTORY_MAX: usize = 10;
/// A longer history is not ours and is not read.
const HISTORY_BYTES_MAX: usize = 8 * 1024;
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

/// Where a letter stands: the record's topic and position, which name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The topic of the record.
    pub topic: String,
    /// Its position there.
    pub position: Position,
}

/// An attempt to project the event, before it was redriven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Where its record stood.
    pub position: Position,
    /// When it was given up.
    pub dead_at: Timestamp,
    /// See [`DeadLetter::reason`].
    pub reason: String,
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

    /// Where it stands.
    pub fn place(&self) -> Place {
        Place { topic: self.topic.clone(), position: self.position }
    }

    /// Bytes of payload, key and headers.
    pub fn byte_len(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        length(&self.payload) + length(&self.key) + self.headers.as_bytes().len()
    }

    /// The attempts before this one, oldest first. They travel in the record itself, so they outlive the tables.
    pub fn history(&self) -> Vec<Attempt> {
        let told = self.headers.view().get(REDRIVE_HISTORY).filter(|told| told.len() <= HISTORY_BYTES_MAX);
        // Whoever can append may write this header too. What cannot be read is no history, and no reason to fail.
        told.and_then(|told| serde_json::from_slice(told).ok()).unwrap_or_default()
    }

    /// The record that sends the letter through the log again: the same bytes, key and headers, one redrive more.
    pub fn to_record(&self) -> NewRecord {
        let mut headers = Headers::EMPTY;
        let ours =
            |name: &str| [REDRIVE_COUNT, REDRIVE_HISTORY].iter().any(|our| name.eq_ignore_ascii_case(our));
        for (name, value) in self.headers.view().iter().filter(|(name, _)| !ours(name)) {
            headers.push(name, value);
        }
        headers.push(REDRIVE_COUNT, self.attempts.to_string().as_bytes());
        let mut history = self.history();
        history.push(Attempt { position: self.position, dead_at: self.dead_at, reason: self.reason.clone() });
        let newest = &history[history.len().saturating_sub(HISTORY_MAX)..];
        headers.push(REDRIVE_HISTORY, &serde_json::to_vec(newest).expect("texts always serialise"));
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
        let mut letter = serializer.serialize_struct("DeadLetter", 17)?;
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
        letter.serialize_field("history", &self.history())?;
        letter.serialize_field("appendedAt", &self.appended_at)?;
        letter.serialize_field("deadAt", &self.dead_at)?;
        letter.end()
    }
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
            3,
            "count and history are replaced, not repeated"
        );
    }

    #[test]
    fn a_letter_that_comes_back_remembers_where_it_was() {
        let first = letter(b"x", &Headers::EMPTY);
        assert_eq!(first.history(), []);
        let second = letter(b"x", &first.to_record().headers);
        let [attempt] = &second.history()[..] else { panic!("{:?}", second.history()) };
        assert_eq!((attempt.position, attempt.dead_at), (first.position, first.dead_at));
        assert_eq!(attempt.reason, first.reason);
        let json = serde_json::to_value(&second).unwrap();
        assert_eq!(json["history"][0]["position"], "3:17");
        let mut last = second;
        for _ in 0..30 {
            last = letter(b"x", &last.to_record().headers);
        }
        assert_eq!((last.history().len(), last.attempts), (HISTORY_MAX, 32));
    }

    #[test]
    fn a_history_that_others_wrote_breaks_nothing() {
        let huge = format!("[{}]", vec!["{}"; HISTORY_BYTES_MAX].join(","));
        for told in ["", "nonsense", "{}", r#"[{"position":"x"}]"#, &huge] {
            let letter = letter(b"x", &Headers::EMPTY.with(REDRIVE_HISTORY, told.as_bytes()));
            assert_eq!(letter.history(), [], "{told:.20}");
            assert_eq!(letter.to_record().headers.view().iter().count(), 2);
        }
    }

    #[test]
    fn tells_what_can_be_told() {
        let letter =
            letter(br#"{"eventId":"test-456","eventType":"UnknownEvent","timestamp":"x"}"#, &Headers::EMPTY);
        assert_eq!(letter.event_id.as_deref(), Some("test-456"));
        assert_eq!(letter.event_type.as_deref(), Some("UnknownEvent"));
    }
}
