//! A log for each adapter, and a reader that waits for records instead of sleeping.

use std::time::Duration;

use millrace_domain::record::{HeaderView, Headers, Record};
use millrace_domain::{NewRecord, Position, RecordBatch};
use millrace_event_log::kafka::{KafkaProperties, KafkaSettings};
use millrace_event_log::{Consumer, EventLog, EventLogUrl, LogError, LogSettings, PollLimits, Polled};
use rdkafka::ClientConfig;
use rdkafka::bindings::{rd_kafka_handle_mock_cluster, rd_kafka_mock_group_initial_rebalance_delay_ms};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer as _};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

pub(super) const PARTITIONS: i32 = 6;
pub(super) const LIMITS: PollLimits = PollLimits { events_max: 1000, bytes_max: 16 * 1024 * 1024 };
/// Maximum number of polls, and the wait of each.
const POLLS_MAX: usize = 60;
pub(super) const WAIT: Duration = Duration::from_secs(1);

/// In the mock cluster a rebalance takes as long as a session less one second.
const MOCK_PROPERTIES: &str = "session.timeout.ms=2500;heartbeat.interval.ms=250";

/// An open log and its resources.
pub(super) struct Fixture {
    pub(super) log: EventLog,
    pub(super) runtime: Runtime,
    _resources: Resources,
}

#[expect(dead_code, reason = "kept for their Drop")]
enum Resources {
    Folder(TempDir),
    Mock(Mock),
    Brokers,
}

impl Fixture {
    pub(super) fn append(&self, records: Vec<NewRecord>) -> Vec<Position> {
        self.runtime.block_on(self.log.append(records)).unwrap()
    }

    /// Appends `count` records with distinct keys and payloads.
    pub(super) fn append_numbered(&self, count: usize) -> Vec<Position> {
        self.append((0..count).map(|n| record(&format!("key-{n}"), &format!("payload-{n}"))).collect())
    }
}

pub(super) fn settings(properties: &str) -> LogSettings {
    LogSettings {
        partitions: PARTITIONS,
        kafka: KafkaSettings {
            group: "projector".to_owned(),
            properties: properties.parse::<KafkaProperties>().unwrap(),
        },
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub(super) fn embedded() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let url = EventLogUrl::Embedded(dir.path().to_owned());
    Fixture {
        log: EventLog::open(&url, &settings("")).unwrap(),
        runtime: runtime(),
        _resources: Resources::Folder(dir),
    }
}

pub(super) fn kafka_mock() -> Fixture {
    let mock = Mock::with_topic(PARTITIONS);
    Fixture { log: mock.open("").unwrap(), runtime: runtime(), _resources: Resources::Mock(mock) }
}

/// Real Kafka; `None`, and a line on stderr, if it is not configured.
pub(super) fn kafka() -> Option<Fixture> {
    let brokers = millrace_testkit::kafka::brokers()?;
    let topic = format!("test-{}", Uuid::now_v7());
    let mut settings = settings("");
    settings.kafka.group.clone_from(&topic);
    let url = EventLogUrl::Kafka { brokers: brokers.clone(), topic: topic.clone() };
    let log = EventLog::open(&url, &settings).unwrap();
    millrace_testkit::kafka::await_leaders(&brokers, &topic, PARTITIONS);
    Some(Fixture { log, runtime: runtime(), _resources: Resources::Brokers })
}

/// librdkafka's mock cluster of one broker.
pub(super) struct Mock(BaseProducer);

impl Mock {
    fn start() -> Self {
        let client: BaseProducer = ClientConfig::new().set("test.mock.num.brokers", "1").create().unwrap();
        #[expect(
            unsafe_code,
            reason = "rdkafka does not wrap this call; without it every group takes 3 s to join"
        )]
        // SAFETY: the client was made with a mock cluster, and both outlive the calls.
        unsafe {
            let cluster = rd_kafka_handle_mock_cluster(client.client().native_ptr());
            rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0);
        }
        Self(client)
    }

    pub(super) fn cluster(&self) -> MockCluster<'_, DefaultProducerContext> {
        self.0.client().mock_cluster().unwrap()
    }

    /// A cluster with the topic `events`; the mock does not allow clients to create one.
    pub(super) fn with_topic(partitions: i32) -> Self {
        let mock = Self::start();
        mock.cluster().create_topic("events", partitions, 1).unwrap();
        mock
    }

    /// Opens the topic `events` of this cluster.
    pub(super) fn open(&self, properties: &str) -> Result<EventLog, LogError> {
        let url =
            EventLogUrl::Kafka { brokers: self.cluster().bootstrap_servers(), topic: "events".to_owned() };
        EventLog::open(&url, &settings(&format!("{MOCK_PROPERTIES};{properties}")))
    }
}

pub(super) fn record(key: &str, payload: &str) -> NewRecord {
    NewRecord { key: Some(key.into()), payload: payload.into(), headers: Headers::EMPTY }
}

/// A record read, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) position: Position,
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
}

impl Read {
    fn of(record: Record<'_>) -> Self {
        let headers = |view: HeaderView<'_>| {
            let owned = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_vec());
            view.iter().map(owned).collect()
        };
        Self {
            position: record.position,
            key: record.key.map(<[u8]>::to_vec),
            payload: record.payload.map(<[u8]>::to_vec),
            headers: headers(record.headers),
        }
    }
}

/// A consumer and its batch.
pub(super) struct Reader {
    pub(super) consumer: Consumer,
    batch: RecordBatch,
}

impl Reader {
    pub(super) fn new(log: &EventLog) -> Self {
        Self { consumer: log.consumer().unwrap(), batch: RecordBatch::new(log.topic()) }
    }

    /// A reader that starts at the beginning of every partition.
    pub(super) fn from_the_beginning(log: &EventLog) -> Self {
        let mut reader = Self::new(log);
        let positions: Vec<_> = reader.assigned().into_iter().map(|p| (p, None)).collect();
        reader.consumer.start(&positions).unwrap();
        reader
    }

    pub(super) fn poll(
        &mut self,
        limits: PollLimits,
        wait: Duration,
    ) -> Result<(Polled, Vec<Read>), LogError> {
        let polled = self.consumer.poll(&mut self.batch, limits, wait)?;
        Ok((polled, self.batch.iter().map(Read::of).collect()))
    }

    /// Polls until partitions are assigned.
    pub(super) fn assigned(&mut self) -> Vec<i32> {
        for _ in 0..POLLS_MAX {
            match self.poll(LIMITS, WAIT).unwrap() {
                (Polled::Assigned(partitions), _) => return partitions,
                (polled, read) => assert_eq!((polled, read), (Polled::Records, vec![])),
            }
        }
        panic!("no partition was assigned");
    }

    /// Polls until there are that many records, and returns exactly these.
    pub(super) fn read(&mut self, count: usize) -> Vec<Read> {
        self.read_within(count, LIMITS)
    }

    pub(super) fn read_within(&mut self, count: usize, limits: PollLimits) -> Vec<Read> {
        let mut all = Vec::new();
        for _ in 0..count + POLLS_MAX {
            if all.len() >= count {
                break;
            }
            let (polled, read) = self.poll(limits, WAIT).unwrap();
            assert_eq!(polled, Polled::Records);
            assert!(read.len() <= limits.events_max, "{} records", read.len());
            all.extend(read);
        }
        assert_eq!(all.len(), count, "{all:?}");
        all
    }
}

pub(super) fn sorted(positions: impl IntoIterator<Item = Position>) -> Vec<Position> {
    let mut positions: Vec<_> = positions.into_iter().collect();
    positions.sort();
    positions
}
