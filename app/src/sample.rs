//! The sample shop that fills a new, empty log: `examples/chinook`, bundled into the binary.

use millrace_domain::NewRecord;
use millrace_domain::envelope::decode_payload;
use millrace_domain::record::Headers;
use millrace_event_log::EventLog;

/// The events, one canonical CloudEvent a line.
pub const EVENTS: &str = include_str!("../../examples/chinook/events.ndjson");

/// Appends the sample if the log is embedded and nothing was ever appended to it. All of it or nothing (the embedded
/// log takes one append as a whole), so a process that is killed here leaves a log that is empty or complete.
///
/// Returns how many events were appended.
///
/// # Errors
/// When the log does not take them.
pub async fn load(log: &EventLog) -> anyhow::Result<usize> {
    match log {
        EventLog::Embedded(embedded) if embedded.is_empty() => {}
        _ => return Ok(0),
    }
    let records = EVENTS.lines().map(|line| record(line.as_bytes(), log.topic())).collect();
    Ok(log.append(records).await?.len())
}

/// A record of one line of any known shape, with the key of its event; without a key when it is not an event.
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
        let keyed = EVENTS.lines().filter(|line| record(line.as_bytes(), "events").key.is_some()).count();
        assert_eq!((keyed, EVENTS.lines().count()), (5_066, 5_066));
    }
}
