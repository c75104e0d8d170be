//! A real Kafka broker, when one is named, and one of a test's own that may be killed.

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

/// The brokers that `KAFKA_TEST_BROKERS` names, or `None` and a line that says what is left out.
pub fn brokers() -> Option<String> {
    let brokers = std::env::var("KAFKA_TEST_BROKERS").ok().filter(|brokers| !brokers.is_empty());
    if brokers.is_none() {
        crate::skipped(
            "all tests over Kafka, because KAFKA_TEST_BROKERS names none; `scripts/kafka start DIR` starts one",
        );
    }
    brokers
}

/// Waits until every partition of a topic answers: a broker names one before it leads it.
///
/// # Panics
/// When one does not in time.
pub fn await_leaders(brokers: &str, topic: &str, partitions: i32) {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    for partition in 0..partitions {
        let _end = end(&consumer, topic, partition);
    }
}

/// Where a partition ends, as soon as a broker leads it.
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

/// A topic of a test's own, deleted when it is dropped. Its name is the group's as well.
pub struct Topic {
    brokers: String,
    name: String,
    admin: AdminClient<DefaultClientContext>,
}

impl Topic {
    /// Makes it, with that many partitions.
    pub fn new(brokers: &str, partitions: i32) -> Self {
        let topic = Self::unmade(brokers);
        let new = NewTopic::new(&topic.name, partitions, TopicReplication::Fixed(1));
        let made = wait(topic.admin.create_topics([&new], &options())).unwrap();
        made.into_iter().for_each(|topic| drop(topic.unwrap()));
        await_leaders(brokers, &topic.name, partitions);
        topic
    }

    /// A name only.
    pub fn unmade(brokers: &str) -> Self {
        let admin = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
        Self { brokers: brokers.to_owned(), name: format!("test-{}", Uuid::now_v7()), admin }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `EVENT_LOG`
    pub fn url(&self) -> String {
        format!("kafka://{}/{}", self.brokers, self.name)
    }

    /// Gives it more partitions.
    pub fn grow(&self, partitions: usize) {
        let new = NewPartitions::new(&self.name, partitions);
        let grown = wait(self.admin.create_partitions([&new], &options())).unwrap();
        grown.into_iter().for_each(|topic| drop(topic.unwrap()));
    }

    /// Deletes the records of a partition before that offset, as retention does.
    pub fn delete_before(&self, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, Offset::Offset(offset)).unwrap();
        wait(self.admin.delete_records(&list, &options())).unwrap();
    }

    /// Where each partition ends.
    pub fn ends(&self) -> Vec<i64> {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let metadata = consumer.fetch_metadata(Some(&self.name), WAIT).unwrap();
        let partitions = metadata.topics()[0].partitions();
        (0..).take(partitions.len()).map(|id| end(&consumer, &self.name, id)).collect()
    }

    /// One of its settings, as the broker has it.
    pub fn setting(&self, name: &str) -> Option<String> {
        let topic = ResourceSpecifier::Topic(&self.name);
        let described = wait(self.admin.describe_configs([&topic], &options())).unwrap().remove(0).unwrap();
        described.get(name)?.value.clone()
    }

    /// The ids of the members of the group that is named like the topic.
    pub fn members(&self) -> Vec<String> {
        let groups = self.admin.inner().fetch_group_list(Some(&self.name), WAIT).unwrap();
        let members = groups.groups().iter().flat_map(|group| group.members());
        members.map(|member| member.id().to_owned()).collect()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // The broker may be gone already, or the topic never made.
        let _gone = wait(self.admin.delete_topics(&[&self.name], &options()));
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(WAIT)).operation_timeout(Some(WAIT))
}

/// These futures are woken by librdkafka's own thread; they need no runtime's timers.
fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A broker of a test's own, on a port that it keeps. Killed when dropped.
pub struct Broker {
    dir: TempDir,
    address: String,
}

impl Broker {
    /// Starts one when there is a Kafka for tests at all. `advertised` is what clients are told to connect to, for a
    /// wire that stands between.
    pub fn start(advertised: Option<&str>) -> Option<Self> {
        brokers()?;
        let dir = tempfile::tempdir().unwrap();
        let address = script("start", dir.path(), advertised);
        Some(Self { dir, address })
    }

    /// Where it really listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it speaks TLS and wants a password, and the properties of a client that may in.
    pub fn secure(&self) -> (String, String) {
        let told = std::fs::read_to_string(self.dir.path().join("secure.env")).unwrap();
        let value = |name: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_matches('\'').to_owned()
        };
        (value("KAFKA_BROKERS="), value("KAFKA_PROPERTIES="))
    }

    /// Ends it as a crash would.
    pub fn kill(&self) {
        script("kill", self.dir.path(), None);
    }

    /// Starts it again with the data it had.
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
