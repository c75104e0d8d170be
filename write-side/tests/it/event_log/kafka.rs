//! What the Kafka adapter promises beyond the contract: a group, outages, other people's records, loud settings.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use shared::Position;
use write_side::event_log::{EventLog, LogError, Polled};

use super::fixture::{
    Fixture, LIMITS, Mock, PARTITIONS, Read, Reader, WAIT, kafka_mock, record, settings, sorted,
};

/// Polls enough for a group to settle.
const POLLS_MAX: usize = 600;
const SHORT_WAIT: Duration = Duration::from_millis(50);

/// A reader that follows its group and reads what it is given from the beginning.
struct Member {
    reader: Reader,
    owned: BTreeSet<i32>,
    read: Vec<Read>,
    revoked: usize,
}

impl Member {
    fn join(log: &EventLog) -> Self {
        Self {
            reader: Reader::new(log),
            owned: BTreeSet::new(),
            read: Vec::new(),
            revoked: 0,
        }
    }

    fn step(&mut self) {
        match self.reader.poll(LIMITS, SHORT_WAIT).unwrap() {
            (Polled::Assigned(partitions), _) => {
                let starts: Vec<_> = partitions.iter().map(|p| (*p, None)).collect();
                self.reader.consumer.start(&starts).unwrap();
                self.owned.extend(partitions);
            }
            (Polled::Revoked(partitions), _) => {
                self.revoked += partitions.len();
                self.owned.retain(|partition| !partitions.contains(partition));
            }
            (Polled::Records, read) => {
                for read in read {
                    assert!(self.owned.contains(&read.position.partition), "{read:?}");
                    self.read.push(read);
                }
            }
        }
    }
}

fn step_until(members: &mut [&mut Member], done: impl Fn(&[&mut Member]) -> bool) {
    for _ in 0..POLLS_MAX {
        if done(members) {
            return;
        }
        members.iter_mut().for_each(|member| member.step());
    }
    let owned: Vec<_> = members.iter().map(|member| &member.owned).collect();
    panic!("the group did not settle: {owned:?}");
}

fn shares_and_takes_over(fixture: &Fixture) {
    let positions = fixture.append_numbered(60);
    let all: BTreeSet<i32> = (0..PARTITIONS).collect();
    let mut first = Member::join(&fixture.log);
    step_until(&mut [&mut first], |m| {
        m[0].owned.len() == 6 && m[0].read.len() == 60
    });

    let mut second = Member::join(&fixture.log);
    step_until(&mut [&mut first, &mut second], |m| {
        m[0].owned.len() == 3 && m[1].owned.len() == 3
    });
    assert_eq!(&first.owned | &second.owned, all);
    assert_eq!(
        (first.revoked, second.revoked),
        (3, 0),
        "the others stay where they are"
    );

    let moved = second.owned.clone();
    let at_second: Vec<_> = positions
        .iter()
        .filter(|p| moved.contains(&p.partition))
        .copied()
        .collect();
    step_until(&mut [&mut first, &mut second], |m| {
        m[1].read.len() == at_second.len()
    });
    assert_eq!(sorted(second.read.iter().map(|r| r.position)), sorted(at_second));

    let kept = first.read.len();
    drop(second);
    step_until(&mut [&mut first], |m| m[0].owned.len() == 6);
    let more = fixture.append_numbered(60);
    let again = positions.iter().filter(|p| moved.contains(&p.partition)).count();
    step_until(&mut [&mut first], |m| {
        m[0].read.len() == kept + again + more.len()
    });
}

#[test]
fn a_group_shares_the_partitions_and_takes_over() {
    shares_and_takes_over(&kafka_mock());
    if let Some(fixture) = super::fixture::kafka() {
        shares_and_takes_over(&fixture);
    }
}

#[test]
fn idling_stays_in_the_group() {
    let fixture = kafka_mock();
    let positions = fixture.append_numbered(60);
    let mut first = Member::join(&fixture.log);
    step_until(&mut [&mut first], |m| m[0].owned.len() == 6);
    let mut second = Member::join(&fixture.log);
    // The first only idles: it gives up half of its partitions all the same, and keeps the other half.
    for _ in 0..POLLS_MAX {
        first.reader.consumer.idle(SHORT_WAIT);
        second.step();
        if second.owned.len() == 3 {
            break;
        }
    }
    assert_eq!(second.owned.len(), 3);
    step_until(&mut [&mut first, &mut second], |m| {
        let places: BTreeSet<Position> = m.iter().flat_map(|m| &m.read).map(|r| r.position).collect();
        m[0].owned.len() == 3 && places.len() == positions.len()
    });
}

#[test]
fn a_start_delayed_by_a_long_pause_holds_up_nobody() {
    let fixture = kafka_mock();
    let positions = fixture.append_numbered(60);
    // The first is assigned everything and does not get round to start, as when its database is away.
    let mut first = Reader::new(&fixture.log);
    assert_eq!(first.assigned().len(), 6);
    let mut second = Member::join(&fixture.log);
    for _ in 0..POLLS_MAX {
        first.consumer.idle(SHORT_WAIT);
        second.step();
        if second.owned.len() == 3 {
            break;
        }
    }
    assert_eq!(second.owned.len(), 3, "it gets its share");
    // Now the first starts all it was assigned; what it lost meanwhile is passed over.
    let all: Vec<_> = (0..PARTITIONS).map(|p| (p, None)).collect();
    first.consumer.start(&all).unwrap();
    let mut read = Vec::new();
    let at_first = positions
        .iter()
        .filter(|p| !second.owned.contains(&p.partition))
        .count();
    for _ in 0..POLLS_MAX {
        if read.len() >= at_first {
            break;
        }
        read.extend(first.poll(LIMITS, SHORT_WAIT).unwrap().1);
        second.step();
    }
    assert_eq!(read.len(), at_first);
    assert!(read.iter().all(|r| !second.owned.contains(&r.position.partition)));
}

#[test]
fn keys_land_where_javas_producer_puts_them() {
    // Hashes of these keys from the tests of org.apache.kafka.common.utils.Utils.murmur2.
    let hashes = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
    ];
    let positions = kafka_mock().append(hashes.iter().map(|(key, _)| record(key, "x")).collect());
    for ((key, hash), position) in hashes.iter().zip(positions) {
        let hash: i32 = *hash;
        assert_eq!(position.partition, (hash & 0x7fff_ffff) % PARTITIONS, "{key}");
    }
}

#[test]
fn takes_what_others_wrote() {
    let mock = Mock::start();
    mock.cluster().create_topic("events", PARTITIONS, 1).unwrap();
    let fixture_log = mock.open("").unwrap();
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", mock.cluster().bootstrap_servers())
        .create()
        .unwrap();
    #[expect(
        unsafe_code,
        reason = "no safe way to make a header name as broken as another producer can"
    )]
    // SAFETY: the bytes are only copied into the header, through their pointer and length.
    let broken = unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe]) };
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: &broken,
            value: Some("x"),
        })
        .insert(Header {
            key: "null",
            value: None::<&str>,
        })
        .insert(Header {
            key: "fine",
            value: Some("y"),
        });
    let tombstone = FutureRecord::<str, str>::to("events")
        .key("k")
        .headers(headers)
        .partition(0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(producer.send(tombstone, WAIT)).unwrap();

    let read = Reader::from_the_beginning(&fixture_log).read(1).remove(0);
    assert_eq!(
        (read.key.as_deref(), read.payload),
        (Some(&b"k"[..]), None),
        "a null payload is not an empty one"
    );
    let expected =
        [("null", &b""[..]), ("fine", b"y")].map(|(name, value)| (name.to_owned(), value.to_vec()));
    assert_eq!(read.headers, expected);
}

#[test]
fn an_outage_passes() {
    let mock = Mock::start();
    mock.cluster().create_topic("events", PARTITIONS, 1).unwrap();
    let log = mock
        .open("message.timeout.ms=1000;reconnect.backoff.max.ms=100")
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let append = |payload| runtime.block_on(log.append(vec![record("k", payload)]));
    append("before").unwrap();
    let mut reader = Reader::from_the_beginning(&log);
    reader.read(1);

    mock.cluster().broker_down(-1).unwrap();
    assert!(matches!(append("during").unwrap_err(), LogError::Unavailable(_)));
    assert!(matches!(
        runtime.block_on(log.ping()).unwrap_err(),
        LogError::Unavailable(_)
    ));
    let (polled, read) = reader.poll(LIMITS, SHORT_WAIT).unwrap();
    assert_eq!(
        (polled, read),
        (Polled::Records, vec![]),
        "the consumer just waits"
    );

    mock.cluster().broker_up(-1).unwrap();
    let back = (0..POLLS_MAX).any(|_| runtime.block_on(log.ping()).is_ok());
    assert!(back);
    let position = append("after").unwrap()[0];
    let last = (0..POLLS_MAX).find_map(|_| {
        let (_, read) = reader.poll(LIMITS, SHORT_WAIT).unwrap();
        read.into_iter().find(|read| read.position == position)
    });
    assert_eq!(last.unwrap().payload.as_deref(), Some(&b"after"[..]));
}

#[test]
fn brokers_that_never_answer_do_not_stop_the_start() {
    let url = "kafka://127.0.0.1:1/events".parse().unwrap();
    let log = EventLog::open(&url, &settings("")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(matches!(
        runtime.block_on(log.ping()).unwrap_err(),
        LogError::Unavailable(_)
    ));
    let mut reader = Reader::new(&log);
    assert_eq!(
        reader.poll(LIMITS, SHORT_WAIT).unwrap(),
        (Polled::Records, vec![])
    );
}

#[test]
fn settings_that_can_never_work_are_fatal() {
    let mock = Mock::start();
    for (properties, named) in [
        ("linger.mss=5", "linger.mss"),
        ("acks=0", "acks"),
        ("compression.type=best", "compression.type"),
        (
            "security.protocol=SASL_PLAINTEXT;sasl.mechanism=nonsense",
            "nonsense",
        ),
    ] {
        let error = mock.open(properties).unwrap_err();
        assert!(
            matches!(&error, LogError::Fatal(text) if text.contains(named)),
            "{properties}: {error:?}"
        );
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    // Only the consumer looks at this one.
    let log = mock.open("session.timeout.ms=400000").unwrap();
    assert!(matches!(log.consumer().unwrap_err(), LogError::Fatal(_)));
    for url in [
        "kafka://no-port/events",
        "kafka://k:9092,/events",
        "kafka://k:9092/e vents",
    ] {
        let error = EventLog::open(&url.parse().unwrap(), &settings("")).unwrap_err();
        assert!(matches!(error, LogError::Fatal(_)), "{url}: {error:?}");
    }
}

/// As much as pushes older records out of a partition of the mock cluster (5 MiB, TRAPS 15).
fn flood(log: &EventLog) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let payload = "x".repeat(1_000_000);
    for _ in 0..8 {
        runtime.block_on(log.append(vec![record("k", &payload)])).unwrap();
    }
}

#[test]
fn records_deleted_before_they_were_projected_are_fatal() {
    let mock = Mock::start();
    mock.cluster().create_topic("events", 1, 1).unwrap();
    let log = mock.open("compression.type=none").unwrap();
    flood(&log);
    let mut reader = Reader::new(&log);
    reader.assigned();
    let error = reader.consumer.start(&[(0, Some(0))]).unwrap_err();
    assert!(
        matches!(&error, LogError::Fatal(text) if text.contains("deleted before")),
        "{error:?}"
    );
    reader.consumer.start(&[(0, None)]).unwrap();
    assert!(
        reader.poll(LIMITS, WAIT).unwrap().1[0].position.offset > 0,
        "a new read model takes what is there"
    );
}

#[test]
fn records_deleted_under_the_consumer_are_fatal() {
    let mock = Mock::start();
    mock.cluster().create_topic("events", 1, 1).unwrap();
    // Next to nothing is read ahead.
    let log = mock
        .open("queued.min.messages=1;queued.max.messages.kbytes=1;fetch.message.max.bytes=1;compression.type=none")
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for n in 0..20 {
        runtime
            .block_on(log.append(vec![record("k", &n.to_string())]))
            .unwrap();
    }
    let mut reader = Reader::from_the_beginning(&log);
    reader.read_within(
        1,
        write_side::event_log::PollLimits {
            events_max: 1,
            ..LIMITS
        },
    );
    reader.consumer.idle(Duration::ZERO);
    flood(&log);
    let error = (0..POLLS_MAX).find_map(|_| reader.poll(LIMITS, SHORT_WAIT).err());
    assert!(
        matches!(&error, Some(LogError::Fatal(text)) if text.contains("no longer has")),
        "{error:?}"
    );
}
