//! The letter: a record that cannot be projected, kept whole, with the reason. Pure.

use std::collections::BTreeMap;
use std::error::Error;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millrace_domain::envelope::identity_hint;
use millrace_domain::record::Headers;
use millrace_domain::{DecodeError, Envelope, NewRecord, Position, Record, Timestamp};
use millrace_platform::telemetry::causes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The record header with the number of redrives so far.
pub const REDRIVE_COUNT: &str = "redrive-count";
/// The record header with the earlier attempts, newest last: a JSON list of [`Attempt`].
pub const REDRIVE_HISTORY: &str = "redrive-history";
/// Attempts that a letter lists; of more than these, the newest.
pub const HISTORY_MAX: usize = 10;
/// A longer header was not written by Millrace and is not read.
const HISTORY_BYTES_MAX: usize = 8 * 1024;
/// The reason of a letter whose event is valid but refused by the read model.
pub const REFUSED: &str = "refused-by-read-model";

/// A record that cannot be projected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The topic of the record.
    pub topic: String,
    /// The position of the record; with the topic, the id of the letter.
    pub position: Position,
    /// A stable word: [`DecodeError::reason`] or [`REFUSED`].
    pub reason: String,
    /// The error message.
    pub error: String,
    /// The causes of the error, outermost first.
    pub causes: Vec<String>,
    /// The event's id, if it is known.
    pub event_id: Option<String>,
    /// The event's type, if it is known.
    pub event_type: Option<String>,
    /// The record's key, as it came.
    pub key: Option<Vec<u8>>,
    /// The record's payload, as it came.
    pub payload: Option<Vec<u8>>,
    /// The record's headers, as they came.
    pub headers: Headers,
    /// 1, and one more for each redrive.
    pub attempts: u32,
    /// When the record was appended to the log.
    pub appended_at: Timestamp,
    /// When it became a dead letter.
    pub dead_at: Timestamp,
}

/// The id of a letter: topic and position of its record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterId {
    /// The topic of the record.
    pub topic: String,
    /// Its position there.
    pub position: Position,
}

/// An attempt to project the event, before it was redriven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Position of its record.
    #[schema(value_type = String)]
    pub position: Position,
    /// When it died.
    #[schema(value_type = String, format = DateTime)]
    pub dead_at: Timestamp,
    /// See [`DeadLetter::reason`].
    pub reason: String,
}

impl DeadLetter {
    /// The letter of a record that cannot be decoded.
    pub fn undecodable(record: &Record<'_>, error: &DecodeError, now: Timestamp) -> Self {
        let (event_id, event_type) = identity_hint(record);
        Self::new(record, error.reason(), error, event_id, event_type, now)
    }

    /// The letter of an event that the read model refuses.
    pub fn refused(
        record: &Record<'_>,
        envelope: &Envelope,
        error: &(dyn Error + 'static),
        now: Timestamp,
    ) -> Self {
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

    pub fn id(&self) -> LetterId {
        LetterId { topic: self.topic.clone(), position: self.position }
    }

    /// Bytes of payload, key and headers.
    pub fn byte_len(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        length(&self.payload) + length(&self.key) + self.headers.as_bytes().len()
    }

    /// The attempts before this one, oldest first. They travel in the record, so they outlive the tables.
    pub fn history(&self) -> Vec<Attempt> {
        let header =
            self.headers.view().get(REDRIVE_HISTORY).filter(|value| value.len() <= HISTORY_BYTES_MAX);
        // Any producer can write this header. What cannot be read is not a history, and no reason to fail.
        header.and_then(|value| serde_json::from_slice(value).ok()).unwrap_or_default()
    }

    /// The record of a redrive: the same bytes, key and headers, with one more attempt in the history.
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

/// The JSON of a letter: what `dead-letters show`, the HTTP routes and the list in Redis have in common.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetter)]
pub(crate) struct LetterJson<'a> {
    /// `partition:offset`
    #[schema(value_type = String)]
    id: Position,
    topic: &'a str,
    partition: i32,
    offset: i64,
    reason: &'a str,
    error: &'a str,
    causes: &'a [String],
    event_id: Option<&'a str>,
    event_type: Option<&'a str>,
    /// Text, or base64 where the bytes are not UTF-8.
    key: Option<String>,
    /// See `payloadEncoding`.
    payload: String,
    /// `utf-8` or `base64`
    payload_encoding: &'static str,
    /// Text, or base64 where the bytes are not UTF-8.
    headers: BTreeMap<&'a str, String>,
    attempts: u32,
    history: Vec<Attempt>,
    #[schema(value_type = String, format = DateTime)]
    appended_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    dead_at: Timestamp,
}

impl<'a> LetterJson<'a> {
    fn of(letter: &'a DeadLetter) -> Self {
        let (payload_encoding, payload) = encoded(letter.payload.as_deref().unwrap_or_default());
        Self {
            id: letter.position,
            topic: &letter.topic,
            partition: letter.position.partition,
            offset: letter.position.offset,
            reason: &letter.reason,
            error: &letter.error,
            causes: &letter.causes,
            event_id: letter.event_id.as_deref(),
            event_type: letter.event_type.as_deref(),
            key: letter.key.as_deref().map(|key| encoded(key).1),
            payload,
            payload_encoding,
            headers: letter.headers.view().iter().map(|(name, value)| (name, encoded(value).1)).collect(),
            attempts: letter.attempts,
            history: letter.history(),
            appended_at: letter.appended_at,
            dead_at: letter.dead_at,
        }
    }
}

impl Serialize for DeadLetter {
    /// The JSON of `LetterJson`.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        LetterJson::of(self).serialize(serializer)
    }
}

/// Bytes in JSON: text when they are UTF-8, else base64; and which of the two.
fn encoded(bytes: &[u8]) -> (&'static str, String) {
    match std::str::from_utf8(bytes) {
        Ok(text) => ("utf-8", text.to_owned()),
        Err(_) => ("base64", STANDARD.encode(bytes)),
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
        let error = millrace_domain::decode(&record).unwrap_err();
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
        for header in ["", "nonsense", "{}", r#"[{"position":"x"}]"#, &huge] {
            let letter = letter(b"x", &Headers::EMPTY.with(REDRIVE_HISTORY, header.as_bytes()));
            assert_eq!(letter.history(), [], "{header:.20}");
            assert_eq!(letter.to_record().headers.view().iter().count(), 2);
        }
    }

    #[test]
    fn shows_the_id_and_type_that_are_known() {
        let letter =
            letter(br#"{"eventId":"test-456","eventType":"UnknownEvent","timestamp":"x"}"#, &Headers::EMPTY);
        assert_eq!(letter.event_id.as_deref(), Some("test-456"));
        assert_eq!(letter.event_type.as_deref(), Some("UnknownEvent"));
    }
}
