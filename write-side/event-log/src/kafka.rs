//! The event log on Apache Kafka, through librdkafka.
//!
//! The adapter is stricter than librdkafka's defaults. An append is complete when all in-sync replicas have
//! acknowledged it. A partition starts at the offset that the caller gives, not at Kafka's committed offset, which is
//! for Kafka's tools only. A position that the log does not have is an error, never a jump. Unavailable brokers do not
//! end the process: librdkafka reconnects.

mod client;
mod consumer;
mod group;
mod leave;
mod message;
mod producer;
mod settings;
mod topic;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use millrace_domain::{NewRecord, Position};
use rdkafka::producer::{FutureProducer, Producer as _};

use crate::error::LogError;
use client::LoggingContext;
pub use consumer::KafkaConsumer;
pub use settings::{KafkaProperties, KafkaSettings};
use topic::TopicReady;

/// How long [`KafkaLog::consumer`] waits for the topic. A consumer that joins before the topic exists notices it only
/// with the next refresh of its metadata.
const CONSUMER_TOPIC_WAIT: Duration = Duration::from_secs(3);
/// How long an append waits for the topic: as long as the producer waits for an acknowledgement.
const APPEND_TOPIC_WAIT: Duration = Duration::from_secs(10);
const PING_WAIT: Duration = Duration::from_secs(2);

/// Clones share the clients.
#[derive(Clone)]
pub struct KafkaLog(Arc<Inner>);

struct Inner {
    brokers: String,
    topic: String,
    settings: KafkaSettings,
    producer: FutureProducer<LoggingContext>,
    topic_ready: TopicReady,
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
    /// Creates the clients, and the topic if it is missing. Unavailable brokers are not an error here: appends and
    /// [`KafkaLog::ping`] fail until a broker is reached.
    ///
    /// # Errors
    /// [`LogError::Fatal`] for an invalid broker list, topic or property.
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
        let topic_ready = TopicReady::start(admin, topic.to_owned(), partitions)?;
        Ok(Self(Arc::new(Inner {
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
            settings: settings.clone(),
            producer,
            topic_ready,
        })))
    }

    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// Appends each record on its own: some may be appended when others fail.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when a record was not acknowledged in time; it may be in the log despite that.
    /// [`LogError::Fatal`] when the topic does not accept a record of this size.
    pub async fn append(&self, records: Vec<NewRecord>) -> Result<Vec<Position>, LogError> {
        self.0.topic_ready.wait(APPEND_TOPIC_WAIT).await?;
        producer::append(&self.0.producer, &self.0.topic, records).await
    }

    /// # Errors
    /// [`LogError::Fatal`] when librdkafka does not accept the settings.
    pub fn consumer(&self) -> Result<KafkaConsumer, LogError> {
        let Inner { brokers, topic, settings, topic_ready, .. } = &*self.0;
        topic_ready.wait_blocking(CONSUMER_TOPIC_WAIT);
        KafkaConsumer::join(brokers, topic, settings)
    }

    /// # Errors
    /// [`LogError::Unavailable`] when no broker answers, or no partition of the topic has a leader.
    pub async fn ping(&self) -> Result<(), LogError> {
        self.0.topic_ready.wait(Duration::ZERO).await?;
        let (producer, topic) = (self.0.producer.clone(), self.0.topic.clone());
        let fetch = move || producer.client().fetch_metadata(Some(&topic), PING_WAIT);
        let metadata = tokio::task::spawn_blocking(fetch)
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
