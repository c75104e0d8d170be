//! A real Kafka for tests: topics on the brokers of `KAFKA_TEST_BROKERS`, and brokers that a test can kill.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;
use uuid::Uuid;

const WAIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// The value of `KAFKA_TEST_BROKERS`; `None`, with a message, if it is not set.
pub fn brokers() -> Option<String> {
    let brokers = std::env::var("KAFKA_TEST_BROKERS").ok().filter(|brokers| !brokers.is_empty());
    if brokers.is_none() {
        crate::skipped::skipped(
            "all tests with Kafka: KAFKA_TEST_BROKERS is not set; `scripts/kafka start DIR` starts a broker",
        );
    }
    brokers
}

/// Waits until every partition of a topic has a leader. The metadata lists partitions before that.
///
/// # Panics
/// When a partition has no leader in time.
pub fn await_leaders(brokers: &str, topic: &str, partitions: i32) {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    for partition in 0..partitions {
        let _end = end(&consumer, topic, partition);
    }
}

/// The end of a partition. Waits until it has a leader.
fn end(consumer: &BaseConsumer, topic: &str, partition: i32) -> i64 {
    let started = Instant::now();
    loop {
        match consumer.fetch_watermarks(topic, partition, WAIT) {
            Ok((_, end)) => return end,
            Err(error) => assert!(started.elapsed() < WAIT, "{topic} {partition}: {error}"),
        }
        std::thread::sleep(POLL);
    }
}

/// A topic with a unique name, which is also the name of its consumer group. Dropping the value deletes the topic.
pub struct Topic {
    brokers: String,
    name: String,
    admin: AdminClient<DefaultClientContext>,
}

impl Topic {
    pub fn new(brokers: &str, partitions: i32) -> Self {
        let topic = Self::missing(brokers);
        let new = NewTopic::new(&topic.name, partitions, TopicReplication::Fixed(1));
        let created = wait(topic.admin.create_topics([&new], &options())).unwrap();
        created.into_iter().for_each(|topic| drop(topic.unwrap()));
        await_leaders(brokers, &topic.name, partitions);
        topic
    }

    /// A topic that does not exist yet.
    pub fn missing(brokers: &str) -> Self {
        let admin = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
        Self { brokers: brokers.to_owned(), name: format!("test-{}", Uuid::now_v7()), admin }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value for the setting `EVENT_LOG`.
    pub fn url(&self) -> String {
        format!("kafka://{}/{}", self.brokers, self.name)
    }

    /// Increases the number of partitions.
    pub fn grow(&self, partitions: usize) {
        let new = NewPartitions::new(&self.name, partitions);
        let results = wait(self.admin.create_partitions([&new], &options())).unwrap();
        results.into_iter().for_each(|topic| drop(topic.unwrap()));
    }

    /// Deletes the records of a partition before that offset, as retention does.
    pub fn delete_before(&self, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, Offset::Offset(offset)).unwrap();
        wait(self.admin.delete_records(&list, &options())).unwrap();
    }

    /// The end of each partition.
    pub fn ends(&self) -> Vec<i64> {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let metadata = consumer.fetch_metadata(Some(&self.name), WAIT).unwrap();
        let partitions = metadata.topics()[0].partitions();
        (0..).take(partitions.len()).map(|id| end(&consumer, &self.name, id)).collect()
    }

    /// The value of a topic setting in the broker.
    pub fn setting(&self, name: &str) -> Option<String> {
        let topic = ResourceSpecifier::Topic(&self.name);
        let described = wait(self.admin.describe_configs([&topic], &options())).unwrap().remove(0).unwrap();
        described.get(name)?.value.clone()
    }

    /// The ids of the members of the consumer group.
    pub fn members(&self) -> Vec<String> {
        let groups = self.admin.inner().fetch_group_list(Some(&self.name), WAIT).unwrap();
        let members = groups.groups().iter().flat_map(|group| group.members());
        members.map(|member| member.id().to_owned()).collect()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // Fails if the broker has stopped, or the topic was never created.
        let _missing = wait(self.admin.delete_topics(&[&self.name], &options()));
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(WAIT)).operation_timeout(Some(WAIT))
}

/// Blocks on a future of librdkafka. Its own thread wakes the future, so the runtime needs no timers.
fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A new broker on its own TCP port. Dropping the value kills the broker.
pub struct Broker {
    dir: TempDir,
    address: String,
}

impl Broker {
    /// Starts a broker if Kafka tests are enabled. `advertised` is the address that the broker gives to clients, for
    /// example that of a proxy.
    pub fn start(advertised: Option<&str>) -> Option<Self> {
        brokers()?;
        let dir = tempfile::tempdir().unwrap();
        let address = script("start", dir.path(), advertised);
        Some(Self { dir, address })
    }

    /// The address that the broker listens on.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address with TLS and SASL, and the client properties for it.
    pub fn secure(&self) -> (String, String) {
        let text = std::fs::read_to_string(self.dir.path().join("secure.env")).unwrap();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_matches('\'').to_owned()
        };
        (value("KAFKA_BROKERS="), value("KAFKA_PROPERTIES="))
    }

    /// Kills the broker with SIGKILL.
    pub fn kill(&self) {
        script("kill", self.dir.path(), None);
    }

    /// Starts the broker again with its data.
    pub fn restart(&self) {
        assert_eq!(script("start", self.dir.path(), None), self.address);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn script(verb: &str, dir: &Path, advertised: Option<&str>) -> String {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scripts/kafka");
    let output = Command::new(script).arg(verb).arg(dir).args(advertised).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
