//! The event log on Apache Kafka, through librdkafka.
//!
//! What the adapter promises over librdkafka's defaults: an append is acknowledged by all in-sync replicas, the start
//! of every partition is ours to say (Kafka's committed offset is for Kafka's tools only), and a position the log
//! does not have is an error, never a silent jump. A broker that is away is waited for; it never ends the process.

mod client;
mod consumer;
mod group;
mod leaving;
mod message;
mod producer;
mod settings;
mod topic;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use millrace_domain::{NewRecord, Position};
use rdkafka::producer::{FutureProducer, Producer as _};

use super::LogError;
use client::Says;
pub use consumer::KafkaConsumer;
pub use settings::{KafkaProperties, KafkaSettings};
use topic::TopicKnown;

/// How long [`KafkaLog::consumer`] waits for the brokers: a consumer that joins before the topic exists sees it late.
const TOPIC_WAIT_OF_CONSUMER: Duration = Duration::from_secs(3);
/// How long an append waits for brokers that were never reached: as long as for brokers that went away.
const TOPIC_WAIT: Duration = Duration::from_secs(10);
const PING_WAIT: Duration = Duration::from_secs(2);

/// The log. Clones share it.
#[derive(Clone)]
pub struct KafkaLog(Arc<Inner>);

struct Inner {
    brokers: String,
    topic: String,
    settings: KafkaSettings,
    producer: FutureProducer<Says>,
    topic_known: TopicKnown,
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { brokers, topic, settings, .. } = &*self.0;
        f.debug_struct("KafkaLog")
            .field("brokers", brokers)
            .field("topic", topic)
            .field("settings", settings)
            .finish_non_exhaustive()
    }
}

impl KafkaLog {
    /// Makes the clients and, when the brokers let us, the topic. Brokers that are away are no error: appends and
    /// [`KafkaLog::ping`] say so until they come.
    ///
    /// # Errors
    /// [`LogError::Fatal`] for a broker list, a topic or a property that can never work.
    pub fn open(
        brokers: &str,
        topic: &str,
        partitions: i32,
        settings: &KafkaSettings,
    ) -> Result<Self, LogError> {
        client::check_brokers(brokers)?;
        topic::check_name(topic)?;
        let producer = producer::connect(brokers, &settings.properties)?;
        let admin = client::config(brokers, &settings.properties, &[])?;
        let topic_known = TopicKnown::ask(admin, topic.to_owned(), partitions)?;
        Ok(Self(Arc::new(Inner {
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
            settings: settings.clone(),
            producer,
            topic_known,
        })))
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// See [`super::EventLog::append`]. Each record stands or falls alone.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when a record was not acknowledged in time; it may stand in the log all the same.
    /// [`LogError::Fatal`] when the topic refuses a record for its size.
    pub async fn append(&self, records: Vec<NewRecord>) -> Result<Vec<Position>, LogError> {
        self.0.topic_known.wait(TOPIC_WAIT).await?;
        producer::append(&self.0.producer, &self.0.topic, records).await
    }

    /// See [`super::EventLog::consumer`].
    ///
    /// # Errors
    /// [`LogError::Fatal`] when librdkafka refuses the settings.
    pub fn consumer(&self) -> Result<KafkaConsumer, LogError> {
        let Inner { brokers, topic, settings, topic_known, .. } = &*self.0;
        topic_known.wait_blocking(TOPIC_WAIT_OF_CONSUMER);
        KafkaConsumer::join(brokers, topic, settings)
    }

    /// See [`super::EventLog::ping`].
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the brokers are away, or no partition of the topic has a leader.
    pub async fn ping(&self) -> Result<(), LogError> {
        self.0.topic_known.wait(Duration::ZERO).await?;
        let (producer, topic) = (self.0.producer.clone(), self.0.topic.clone());
        let ask = move || producer.client().fetch_metadata(Some(&topic), PING_WAIT);
        let metadata = tokio::task::spawn_blocking(ask)
            .await
            .map_err(LogError::unavailable)?
            .map_err(LogError::unavailable)?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        if partitions.into_iter().any(|partition| partition.leader() >= 0) {
            Ok(())
        } else {
            Err(LogError::unavailable("no partition of the topic has a leader"))
        }
    }
}
