//! Tests of the embedded log only: it is a file, and belongs to one process.

use std::path::Path;

use millrace_domain::RecordBatch;
use millrace_event_log::{EventLog, EventLogUrl, LogError, LogSettings};
use tokio::runtime::Runtime;

use super::fixture::{LIMITS, Reader, WAIT, record, settings, sorted};

fn open(dir: &Path, partitions: i32) -> Result<EventLog, LogError> {
    let settings = LogSettings { partitions, ..settings("") };
    EventLog::open(&EventLogUrl::Embedded(dir.to_owned()), &settings)
}

#[test]
fn keeps_everything_when_opened_again() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let append = |log: &EventLog, n: u32| {
        let records = (0..n).map(|n| record(&format!("key-{n}"), "x")).collect();
        runtime.block_on(log.append(records)).unwrap()
    };
    let mut positions = append(&open(dir.path(), 6).unwrap(), 20);
    let log = open(dir.path(), 6).unwrap();
    positions.extend(append(&log, 20));
    let read = Reader::from_the_beginning(&log).read(40);
    assert_eq!(sorted(read.iter().map(|r| r.position)), sorted(positions));
}

#[test]
fn a_second_process_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path(), 6).unwrap();
    let error = open(dir.path(), 6).unwrap_err();
    assert!(matches!(error, LogError::Fatal(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&dir.path().display().to_string()), "{text}");
    assert!(text.contains("belongs to one process") && text.contains("EVENT_LOG=kafka://"), "{text}");
}

#[test]
fn an_existing_log_keeps_its_partitions() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), 3).unwrap());
    let log = open(dir.path(), 12).unwrap();
    assert_eq!(Reader::new(&log).assigned(), [0, 1, 2]);
}

#[test]
fn an_unknown_partition_is_fatal() {
    let dir = tempfile::tempdir().unwrap();
    let mut reader = Reader::new(&open(dir.path(), 3).unwrap());
    reader.assigned();
    let error = reader.consumer.start(&[(3, None)]).unwrap_err();
    assert!(
        matches!(&error, LogError::Fatal(text) if text.contains("does not belong to this log")),
        "{error:?}"
    );
}

#[test]
fn one_append_is_all_or_nothing() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let log = open(dir.path(), 6).unwrap();
    let other = rusqlite::Connection::open(dir.path().join("events.db")).unwrap();
    // The third record of the append fails inside the log's own transaction.
    other
        .execute_batch("CREATE TRIGGER refuse BEFORE INSERT ON records WHEN NEW.payload = x'626164' BEGIN SELECT RAISE(FAIL, 'refused'); END")
        .unwrap();
    let records = ["good", "good", "bad", "good"].map(|payload| record("k", payload)).to_vec();
    let error = runtime.block_on(log.append(records)).unwrap_err();
    assert!(matches!(error, LogError::Unavailable(_)), "{error:?}");
    other.execute_batch("DROP TRIGGER refuse").unwrap();
    let positions = runtime.block_on(log.append(vec![record("k", "after")])).unwrap();
    let read = Reader::from_the_beginning(&log).read(1);
    assert_eq!((read[0].position, positions[0].offset), (positions[0], 0), "the first of its partition");
}

#[test]
fn a_failed_read_skips_no_record() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let log = open(dir.path(), 3).unwrap();
    let records = (0..60).map(|n| record(&format!("key-{n}"), "x")).collect();
    let positions = runtime.block_on(log.append(records)).unwrap();
    let mut reader = Reader::from_the_beginning(&log);
    // The read of the last partition fails after those of the others, in the same poll.
    let file = rusqlite::Connection::open(dir.path().join("events.db")).unwrap();
    file.execute_batch(
        "CREATE TABLE aside AS SELECT * FROM records WHERE partition = 2 AND \"offset\" = 0;
         DELETE FROM records WHERE partition = 2 AND \"offset\" = 0",
    )
    .unwrap();
    let mut batch = RecordBatch::new("events");
    let error = reader.consumer.poll(&mut batch, LIMITS, WAIT).unwrap_err();
    assert!(error.to_string().contains("the record 2:0 is missing"), "{error}");
    file.execute_batch("INSERT INTO records SELECT * FROM aside").unwrap();
    let read = reader.read(positions.len());
    assert_eq!(sorted(read.iter().map(|r| r.position)), sorted(positions));
}
