//! Tests of the Kafka adapter only: records of other producers, invalid settings, deleted records.

use std::time::Duration;

use millrace_event_log::{EventLog, LogError, Polled};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::fixture::{LIMITS, Mock, PARTITIONS, Reader, WAIT, kafka_mock, record, settings};

/// Enough polls for a group to settle.
const POLLS_MAX: usize = 600;
const SHORT_WAIT: Duration = Duration::from_millis(50);

#[test]
fn keys_have_the_partitions_of_the_java_client() {
    // Hashes of these keys from the tests of org.apache.kafka.common.utils.Utils.murmur2.
    let hashes = [("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536)];
    let positions = kafka_mock().append(hashes.iter().map(|(key, _)| record(key, "x")).collect());
    for ((key, hash), position) in hashes.iter().zip(positions) {
        let hash: i32 = *hash;
        assert_eq!(position.partition, (hash & 0x7fff_ffff) % PARTITIONS, "{key}");
    }
}

#[test]
fn reads_records_of_other_producers() {
    let mock = Mock::with_topic(PARTITIONS);
    let fixture_log = mock.open("").unwrap();
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", mock.cluster().bootstrap_servers()).create().unwrap();
    #[expect(
        unsafe_code,
        reason = "there is no safe way to create the invalid header name that another producer can send"
    )]
    // SAFETY: the bytes are only copied into the header, through their pointer and length.
    let broken = unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe]) };
    let headers = OwnedHeaders::new()
        .insert(Header { key: &broken, value: Some("x") })
        .insert(Header { key: "null", value: None::<&str> })
        .insert(Header { key: "fine", value: Some("y") });
    let tombstone = FutureRecord::<str, str>::to("events").key("k").headers(headers).partition(0);
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
fn brokers_that_never_answer_do_not_prevent_a_start() {
    let url = "kafka://127.0.0.1:1/events".parse().unwrap();
    let log = EventLog::open(&url, &settings("")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(matches!(runtime.block_on(log.ping()).unwrap_err(), LogError::Unavailable(_)));
    let mut reader = Reader::new(&log);
    assert_eq!(reader.poll(LIMITS, SHORT_WAIT).unwrap(), (Polled::Records, vec![]));
}

#[test]
fn invalid_settings_are_fatal() {
    let mock = Mock::with_topic(PARTITIONS);
    for (properties, named) in [
        ("linger.mss=5", "linger.mss"),
        ("acks=0", "acks"),
        ("compression.type=best", "compression.type"),
        ("security.protocol=SASL_PLAINTEXT;sasl.mechanism=nonsense", "nonsense"),
    ] {
        let error = mock.open(properties).unwrap_err();
        assert!(matches!(&error, LogError::Fatal(text) if text.contains(named)), "{properties}: {error:?}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    // Only the consumer checks this one.
    let log = mock.open("session.timeout.ms=400000").unwrap();
    assert!(matches!(log.consumer().unwrap_err(), LogError::Fatal(_)));
    for url in ["kafka://no-port/events", "kafka://k:9092,/events", "kafka://k:9092/e vents"] {
        let error = EventLog::open(&url.parse().unwrap(), &settings("")).unwrap_err();
        assert!(matches!(error, LogError::Fatal(_)), "{url}: {error:?}");
    }
}

/// Appends enough to push older records out of a partition: the mock cluster keeps 5 MiB.
fn flood(log: &EventLog) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let payload = "x".repeat(1_000_000);
    for _ in 0..8 {
        runtime.block_on(log.append(vec![record("k", &payload)])).unwrap();
    }
}

#[test]
fn records_deleted_before_they_were_projected_are_fatal() {
    let mock = Mock::with_topic(1);
    let log = mock.open("compression.type=none").unwrap();
    flood(&log);
    let mut reader = Reader::new(&log);
    reader.assigned();
    let error = reader.consumer.start(&[(0, Some(0))]).unwrap_err();
    assert!(matches!(&error, LogError::Fatal(text) if text.contains("deleted before")), "{error:?}");
    reader.consumer.start(&[(0, None)]).unwrap();
    assert!(
        reader.poll(LIMITS, WAIT).unwrap().1[0].position.offset > 0,
        "a new read model starts with the first record that exists"
    );
}

#[test]
fn records_deleted_under_the_consumer_are_fatal() {
    let mock = Mock::with_topic(1);
    // Almost no record is fetched ahead.
    let log = mock
        .open("queued.min.messages=1;queued.max.messages.kbytes=1;fetch.message.max.bytes=1;compression.type=none")
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for n in 0..20 {
        runtime.block_on(log.append(vec![record("k", &n.to_string())])).unwrap();
    }
    let mut reader = Reader::from_the_beginning(&log);
    reader.read_within(1, millrace_event_log::PollLimits { events_max: 1, ..LIMITS });
    reader.consumer.idle(Duration::ZERO);
    flood(&log);
    let error = (0..POLLS_MAX).find_map(|_| reader.poll(LIMITS, SHORT_WAIT).err());
    assert!(matches!(&error, Some(LogError::Fatal(text)) if text.contains("no longer has")), "{error:?}");
}
