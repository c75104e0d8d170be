//! PORT: the event log. Append durably, poll from a position, commit (advisory), and nothing else.
//!
//! The truth about how far records are projected is the checkpoint in the read model, never the log. So a consumer
//! is told where to start each time partitions are assigned to it.

pub mod config;
pub mod embedded;
pub mod kafka;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use millrace_domain::{NewRecord, Position, RecordBatch};
use millrace_platform::settings::InvalidSetting;

use embedded::{EmbeddedConsumer, EmbeddedLog};
use kafka::{KafkaConsumer, KafkaLog, KafkaSettings};

/// Where the log is: `EVENT_LOG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventLogUrl {
    /// `embedded:DIR`
    Embedded(PathBuf),
    /// `kafka://host:port,…/topic`
    Kafka {
        /// `host:port,…`
        brokers: String,
        /// The topic.
        topic: String,
    },
}

/// The topic of an embedded log, and of a Kafka log whose setting names none.
pub const DEFAULT_TOPIC: &str = "events";

impl EventLogUrl {
    /// The topic, as it is in positions, tokens and dead letters.
    pub fn topic(&self) -> &str {
        match self {
            Self::Embedded(_) => DEFAULT_TOPIC,
            Self::Kafka { topic, .. } => topic,
        }
    }
}

impl FromStr for EventLogUrl {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || InvalidSetting("expected embedded:DIR or kafka://host:port,…/topic".to_owned());
        if let Some(rest) = text.strip_prefix("kafka://") {
            return match rest.split_once('/') {
                Some((brokers, topic))
                    if !brokers.is_empty() && !topic.is_empty() && !topic.contains('/') =>
                {
                    Ok(Self::Kafka { brokers: brokers.to_owned(), topic: topic.to_owned() })
                }
                _ => Err(expected()),
            };
        }
        match text.strip_prefix("embedded:") {
            Some(dir) if !dir.is_empty() => Ok(Self::Embedded(dir.into())),
            _ => Err(expected()),
        }
    }
}

/// Why the log did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It is away, full or slow: try again later. Nothing is known to be lost.
    #[error("event log unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It cannot work like this; a person must look.
    #[error("{0}")]
    Fatal(String),
}

impl LogError {
    pub(crate) fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into())
    }
}

/// The log, from the side of those who append. Clones share it.
#[derive(Debug, Clone)]
pub enum EventLog {
    /// A SQLite file.
    Embedded(EmbeddedLog),
    /// Apache Kafka.
    Kafka(KafkaLog),
}

/// What the log is opened with.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// Partitions of a log that is made new.
    pub partitions: i32,
    /// For Kafka only.
    pub kafka: KafkaSettings,
}

impl EventLog {
    /// Opens, or makes, the log that `url` names.
    ///
    /// # Errors
    /// [`LogError`] with one line that says what is wrong.
    pub fn open(url: &EventLogUrl, settings: &LogSettings) -> Result<Self, LogError> {
        match url {
            EventLogUrl::Embedded(dir) => EmbeddedLog::open(dir, settings.partitions).map(Self::Embedded),
            EventLogUrl::Kafka { brokers, topic } => {
                KafkaLog::open(brokers, topic, settings.partitions, &settings.kafka).map(Self::Kafka)
            }
        }
    }

    /// The topic, as it stands in positions, tokens and dead letters.
    pub fn topic(&self) -> &str {
        match self {
            Self::Embedded(log) => log.topic(),
            Self::Kafka(log) => log.topic(),
        }
    }

    /// Appends records and returns, once all are durable, where each stands. Embedded: all or none.
    ///
    /// # Errors
    /// [`LogError`]; some or all of the records may have been appended all the same (on Kafka), so whoever tries
    /// again must send the same event ids.
    pub async fn append(&self, records: Vec<NewRecord>) -> Result<Vec<Position>, LogError> {
        match self {
            Self::Embedded(log) => log.append(records).await,
            Self::Kafka(log) => log.append(records).await,
        }
    }

    /// A consumer in the projector's group. It blocks, so it lives on a thread of its own.
    ///
    /// # Errors
    /// [`LogError`] when it cannot be made.
    pub fn consumer(&self) -> Result<Consumer, LogError> {
        match self {
            Self::Embedded(log) => log.consumer().map(Consumer::Embedded),
            Self::Kafka(log) => log.consumer().map(Consumer::Kafka),
        }
    }

    /// Asks whether the log would take an append.
    ///
    /// # Errors
    /// [`LogError`] when it would not.
    pub async fn ping(&self) -> Result<(), LogError> {
        match self {
            Self::Embedded(log) => log.ping(),
            Self::Kafka(log) => log.ping().await,
        }
    }
}

/// How much one poll may take.
#[derive(Debug, Clone, Copy)]
pub struct PollLimits {
    /// Records.
    pub events_max: usize,
    /// Bytes of keys, payloads and headers. One record may exceed it, so that it can be taken at all.
    pub bytes_max: usize,
}

/// What a poll found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// The batch was filled; it is empty when nothing arrived in time.
    Records,
    /// These partitions are ours from now on, or none: others have them all. Nothing is read from them before
    /// [`Consumer::start`].
    Assigned(Vec<i32>),
    /// These partitions are another's from now on.
    Revoked(Vec<i32>),
}

/// The log, from the side of the projector.
#[derive(Debug)]
pub enum Consumer {
    /// Of a SQLite file.
    Embedded(EmbeddedConsumer),
    /// Of Apache Kafka.
    Kafka(KafkaConsumer),
}

impl Consumer {
    /// Clears the batch and fills it with what is there; when nothing is, waits for it, at most for `wait`.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn poll(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        wait: Duration,
    ) -> Result<Polled, LogError> {
        match self {
            Self::Embedded(consumer) => consumer.poll(batch, limits, wait),
            Self::Kafka(consumer) => consumer.poll(batch, limits, wait),
        }
    }

    /// Reads on from these positions: partitions just assigned, or partitions whose position was wrong. An offset
    /// of `None` is the beginning of the partition.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when a position lies beyond the end of the log, or before its beginning: then the read
    /// model belongs to another log, or the log has forgotten records that were never projected.
    pub fn start(&mut self, positions: &[(i32, Option<i64>)]) -> Result<(), LogError> {
        match self {
            Self::Embedded(consumer) => consumer.start(positions),
            Self::Kafka(consumer) => consumer.start(positions),
        }
    }

    /// Where each partition of the topic begins, whoever reads it.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    pub fn beginnings(&mut self) -> Result<Vec<(i32, i64)>, LogError> {
        match self {
            Self::Embedded(consumer) => Ok(consumer.beginnings()),
            Self::Kafka(consumer) => consumer.beginnings(),
        }
    }

    /// Tells the log how far records are projected, for its own tools to show. Never waits, never fails.
    pub fn commit(&mut self, next: &[Position]) {
        match self {
            Self::Embedded(_) => {}
            Self::Kafka(consumer) => consumer.commit(next),
        }
    }

    /// Waits without taking records, and stays a member of the group meanwhile.
    pub fn idle(&mut self, wait: Duration) {
        match self {
            Self::Embedded(_) => std::thread::sleep(wait),
            Self::Kafka(consumer) => consumer.idle(wait),
        }
    }

    /// Records that wait behind each assigned partition's position, as far as the log tells without being asked.
    pub fn lag(&mut self) -> Vec<(i32, i64)> {
        match self {
            Self::Embedded(consumer) => consumer.lag(),
            Self::Kafka(consumer) => consumer.lag(),
        }
    }
}
