//! The sample shop that fills a new event log: `examples/chinook`, included in the binary.

use millrace_domain::NewRecord;
use millrace_domain::envelope::decode_payload;
use millrace_domain::record::Headers;
use millrace_event_log::EventLog;

/// One event per line, in the canonical form.
pub const EVENTS: &str = include_str!("../../examples/chinook/events.ndjson");

/// Appends the sample if the log is embedded and empty. Returns the number of appended events.
///
/// # Errors
/// The log is unavailable.
pub async fn load(log: &EventLog) -> anyhow::Result<usize> {
    match log {
        EventLog::Embedded(embedded) if embedded.is_empty() => {}
        _ => return Ok(0),
    }
    // One append is atomic: a process that is killed here leaves a log that is empty or complete.
    let records = EVENTS.lines().map(|line| record(line.as_bytes(), log.topic())).collect();
    Ok(log.append(records).await?.len())
}

/// A record with the key of its event. A line that is not an event becomes a record without a key.
pub fn record(line: &[u8], topic: &str) -> NewRecord {
    let event = decode_payload(line, topic);
    NewRecord {
        key: event.ok().map(|envelope| envelope.event.partition_key().as_bytes().to_vec()),
        payload: line.to_vec(),
        headers: Headers::EMPTY.with("content-type", b"application/json"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_an_event() {
        let events = EVENTS.lines().filter(|line| record(line.as_bytes(), "events").key.is_some()).count();
        assert_eq!((events, EVENTS.lines().count()), (5_066, 5_066));
    }
}
