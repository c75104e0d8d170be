//! The contract of the event log: one function for each behaviour. Each gets a new log of six partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use millrace_domain::record::{Headers, PAYLOAD_BYTES_MAX};
use millrace_domain::{NewRecord, Position};
use millrace_event_log::{LogError, PollLimits, Polled};

use super::fixture::{Fixture, LIMITS, PARTITIONS, Read, Reader, WAIT, record, sorted};

/// Long enough to be noticed if the append does not wake the consumer.
const LONG_WAIT: Duration = Duration::from_secs(60);

pub(super) fn the_first_poll_assigns_every_partition(fixture: &Fixture) {
    fixture.append_numbered(10);
    let mut reader = Reader::new(&fixture.log);
    let mut assigned = reader.assigned();
    assigned.sort_unstable();
    assert_eq!(assigned, (0..PARTITIONS).collect::<Vec<_>>());
    let (polled, read) = reader.poll(LIMITS, Duration::from_millis(100)).unwrap();
    assert_eq!((polled, read), (Polled::Records, vec![]), "no record is returned before start");
}

pub(super) fn reads_back_appended_records(fixture: &Fixture) {
    let headers = Headers::EMPTY.with("ce_type", b"OrderPlaced").with("empty", b"").with("raw", b"\0\xff");
    let records = vec![
        record("user-1", "{\"a\":1}"),
        NewRecord { key: None, payload: b"no key".to_vec(), headers: Headers::EMPTY },
        record("user-1", ""),
        NewRecord { key: Some(vec![0, 159, 146, 150]), payload: vec![0, 255, 10, 13], headers },
        record("", "empty key"),
        record("user-1", "after"),
    ];
    let positions = fixture.append(records.clone());
    assert_eq!(positions.len(), records.len());

    let read = Reader::from_the_beginning(&fixture.log).read(records.len());
    let by_position: BTreeMap<Position, &Read> = read.iter().map(|read| (read.position, read)).collect();
    for (position, record) in positions.iter().zip(&records) {
        let read = by_position[position];
        assert_eq!(read.key, record.key);
        assert_eq!(read.payload.as_ref(), Some(&record.payload));
        let headers = record.headers.view().iter();
        let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        assert_eq!(read.headers, headers);
    }
    for pair in read.windows(2).filter(|pair| pair[0].position.partition == pair[1].position.partition) {
        assert!(pair[0].position.offset < pair[1].position.offset, "order within the partition");
    }
}

pub(super) fn a_key_keeps_its_partition(fixture: &Fixture) {
    let keys = ["user-1", "user-2", "order-7", "sku-9"];
    let append = || fixture.append(keys.iter().map(|key| record(key, "x")).collect());
    let partitions = |positions: Vec<Position>| positions.iter().map(|p| p.partition).collect::<Vec<_>>();
    assert_eq!(partitions(append()), partitions(append()));
    let spread: BTreeSet<i32> = partitions(fixture.append_numbered(60)).into_iter().collect();
    assert!(spread.len() > 1, "keys spread over partitions");
}

pub(super) fn takes_a_record_of_one_mebibyte(fixture: &Fixture) {
    let payload = "x".repeat(PAYLOAD_BYTES_MAX);
    fixture.append(vec![record("big", &payload), record("big", "small")]);
    let mut reader = Reader::from_the_beginning(&fixture.log);
    let limits = PollLimits { events_max: 10, bytes_max: 1000 };
    let read = reader.read_within(2, limits);
    assert_eq!(
        read[0].payload.as_ref().map(Vec::len),
        Some(PAYLOAD_BYTES_MAX),
        "larger than bytes_max, and returned"
    );
    assert_eq!(read[1].payload.as_deref(), Some(&b"small"[..]));
}

pub(super) fn reads_from_the_middle(fixture: &Fixture) {
    let positions = fixture.append((0..20).map(|n| record("one", &n.to_string())).collect());
    let partition = positions[0].partition;
    let mut reader = Reader::new(&fixture.log);
    let starts: Vec<_> = reader
        .assigned()
        .into_iter()
        .map(|p| (p, (p == partition).then_some(positions[12].offset)))
        .collect();
    reader.consumer.start(&starts).unwrap();
    let read = reader.read(8);
    assert_eq!(read.iter().map(|r| r.position).collect::<Vec<_>>(), positions[12..]);
}

pub(super) fn respects_both_limits_without_loss(fixture: &Fixture) {
    let positions = fixture.append_numbered(300);
    let by_count = PollLimits { events_max: 7, ..LIMITS };
    let read = Reader::from_the_beginning(&fixture.log).read_within(300, by_count);
    assert_eq!(sorted(read.iter().map(|r| r.position)), sorted(positions.clone()));

    let bytes_max = 100;
    let by_bytes = PollLimits { bytes_max, ..LIMITS };
    let mut reader = Reader::from_the_beginning(&fixture.log);
    let mut all = Vec::new();
    while all.len() < positions.len() {
        let (_, read) = reader.poll(by_bytes, WAIT).unwrap();
        let size =
            |read: &Read| read.key.as_ref().map_or(0, Vec::len) + read.payload.as_ref().map_or(0, Vec::len);
        let all_but_last: usize = read.iter().rev().skip(1).map(size).sum();
        assert!(all_but_last < bytes_max, "{all_but_last} bytes");
        assert!(!read.is_empty(), "after {} records", all.len());
        all.extend(read);
    }
    assert_eq!(sorted(all.iter().map(|r| r.position)), sorted(positions));
}

pub(super) fn wakes_when_something_is_appended(fixture: &Fixture) {
    let mut reader = Reader::from_the_beginning(&fixture.log);
    thread::scope(|scope| {
        let appended = scope.spawn(|| fixture.append(vec![record("k", "wake up")]));
        let (polled, read) = reader.poll(LIMITS, LONG_WAIT).unwrap();
        assert_eq!(polled, Polled::Records);
        assert_eq!(read.iter().map(|r| r.position).collect::<Vec<_>>(), appended.join().unwrap());
    });
}

pub(super) fn an_empty_log_returns_an_empty_batch(fixture: &Fixture) {
    let mut reader = Reader::from_the_beginning(&fixture.log);
    for wait in [Duration::ZERO, Duration::from_millis(20)] {
        assert_eq!(reader.poll(LIMITS, wait).unwrap(), (Polled::Records, vec![]));
    }
    assert_eq!(fixture.append(vec![]), [], "an empty append has no positions");
}

pub(super) fn starting_again_reads_again(fixture: &Fixture) {
    let positions = fixture.append((0..50).map(|n| record("one", &n.to_string())).collect());
    let partition = positions[0].partition;
    let mut reader = Reader::from_the_beginning(&fixture.log);
    let first = reader.read(50);
    // To an offset, to the beginning, right after another start, and with most of a batch still in flight.
    reader.consumer.start(&[(partition, Some(positions[30].offset))]).unwrap();
    assert_eq!(reader.read(20), first[30..]);
    reader.consumer.start(&[(partition, None)]).unwrap();
    reader.consumer.start(&[(partition, Some(positions[10].offset))]).unwrap();
    let few = PollLimits { events_max: 1, ..LIMITS };
    assert_eq!(reader.read_within(1, few), first[10..11]);
    reader.consumer.start(&[(partition, Some(positions[5].offset))]).unwrap();
    assert_eq!(reader.read(45), first[5..]);
    let appended = fixture.append(vec![record("one", "more")]);
    assert_eq!(reader.read(1)[0].position, appended[0], "continues after the last record");
}

pub(super) fn a_position_beyond_the_end_is_fatal(fixture: &Fixture) {
    let positions = fixture.append(vec![record("k", "only")]);
    let Position { partition, offset } = positions[0];
    let mut reader = Reader::new(&fixture.log);
    reader.assigned();
    let error = reader.consumer.start(&[(partition, Some(offset + 2))]).unwrap_err();
    assert!(matches!(error, LogError::Fatal(_)), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains(&format!("{partition}:{}", offset + 2)) && text.contains("does not belong to this log"),
        "{text}"
    );
    reader.consumer.start(&[(partition, Some(offset + 1))]).unwrap();
}

pub(super) fn concurrent_appends_get_distinct_positions(fixture: &Fixture) {
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let log = fixture.log.clone();
            fixture.runtime.spawn(async move {
                let mut positions = Vec::new();
                for n in 0..25 {
                    let key = format!("key-{}", (task + n) % 11);
                    positions.extend(log.append(vec![record(&key, "a"), record(&key, "b")]).await.unwrap());
                }
                positions
            })
        })
        .collect();
    let positions: Vec<Position> =
        tasks.into_iter().flat_map(|task| fixture.runtime.block_on(task).unwrap()).collect();
    assert_eq!(positions.len(), 400);
    let read = Reader::from_the_beginning(&fixture.log).read(400);
    let positions = sorted(positions);
    assert_eq!(sorted(read.iter().map(|r| r.position)), positions, "each position once");
    for pair in positions.windows(2).filter(|pair| pair[0].partition == pair[1].partition) {
        assert_eq!(pair[0].offset + 1, pair[1].offset, "without gaps");
    }
}

pub(super) fn lag_counts_down_to_zero(fixture: &Fixture) {
    fixture.append_numbered(40);
    let mut reader = Reader::from_the_beginning(&fixture.log);
    let total = |reader: &mut Reader| reader.consumer.lag().iter().map(|(_, lag)| lag).sum::<i64>();
    assert_eq!(reader.consumer.lag().len(), 6);
    assert_eq!(total(&mut reader), 40);
    let few = PollLimits { events_max: 1, ..LIMITS };
    reader.read_within(15, few);
    assert_eq!(total(&mut reader), 25);
    let rest = reader.read(25);
    assert_eq!(total(&mut reader), 0);
    let next: Vec<_> =
        rest.iter().map(|r| Position { offset: r.position.offset + 1, ..r.position }).collect();
    reader.consumer.commit(&next);
}

pub(super) fn idling_loses_no_record(fixture: &Fixture) {
    let mut reader = Reader::from_the_beginning(&fixture.log);
    let mut positions = fixture.append_numbered(30);
    let few = PollLimits { events_max: 10, ..LIMITS };
    let mut read = reader.read_within(10, PollLimits { events_max: 1, ..few });
    for _ in 0..3 {
        reader.consumer.idle(Duration::from_millis(20));
        positions.extend(fixture.append_numbered(30));
        reader.consumer.idle(Duration::from_millis(20));
        read.extend(reader.read_within(30, PollLimits { events_max: 1, ..few }));
    }
    read.extend(reader.read(20));
    assert_eq!(sorted(read.iter().map(|r| r.position)), sorted(positions));
}

pub(super) fn answers_a_ping(fixture: &Fixture) {
    // A ping does not wait for the brokers to be reached for the first time, an append does.
    fixture.append_numbered(1);
    fixture.runtime.block_on(fixture.log.ping()).unwrap();
}
