//! PORT: the event log. Append durably, poll from a position, commit offsets for display.
//!
//! The log does not record how far it is projected. The checkpoint in the read model does, so a consumer is given a
//! position to start from each time partitions are assigned to it.

pub mod config;
pub mod embedded;
mod error;
pub mod kafka;
mod poll;
mod url;

use std::time::Duration;

use millrace_domain::{NewRecord, Position, RecordBatch};

use embedded::{EmbeddedConsumer, EmbeddedLog};
use kafka::{KafkaConsumer, KafkaLog, KafkaSettings};

pub use error::LogError;
pub use poll::{PollLimits, Polled};
pub use url::{DEFAULT_TOPIC, EventLogUrl};

/// Appends to the log. Clones share it.
#[derive(Debug, Clone)]
pub enum EventLog {
    Embedded(EmbeddedLog),
    Kafka(KafkaLog),
}

#[derive(Debug, Clone)]
pub struct LogSettings {
    /// Used when the log or the topic is created.
    pub partitions: i32,
    pub kafka: KafkaSettings,
}

impl EventLog {
    /// Opens the log, or creates it.
    ///
    /// # Errors
    /// [`LogError`] with a message of one line.
    pub fn open(url: &EventLogUrl, settings: &LogSettings) -> Result<Self, LogError> {
        match url {
            EventLogUrl::Embedded(dir) => EmbeddedLog::open(dir, settings.partitions).map(Self::Embedded),
            EventLogUrl::Kafka { brokers, topic } => {
                KafkaLog::open(brokers, topic, settings.partitions, &settings.kafka).map(Self::Kafka)
            }
        }
    }

    /// The topic's name in positions, consistency tokens and dead letters.
    pub fn topic(&self) -> &str {
        match self {
            Self::Embedded(log) => log.topic(),
            Self::Kafka(log) => log.topic(),
        }
    }

    /// Appends records and returns their positions once all of them are durable. The embedded log appends all
    /// records or none.
    ///
    /// # Errors
    /// [`LogError`]. On Kafka some or all records may have been appended despite the error, so a retry must use the
    /// same event ids.
    pub async fn append(&self, records: Vec<NewRecord>) -> Result<Vec<Position>, LogError> {
        match self {
            Self::Embedded(log) => log.append(records).await,
            Self::Kafka(log) => log.append(records).await,
        }
    }

    /// Creates a consumer in the projector's group. Its methods block, so it needs a thread of its own.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn consumer(&self) -> Result<Consumer, LogError> {
        match self {
            Self::Embedded(log) => log.consumer().map(Consumer::Embedded),
            Self::Kafka(log) => log.consumer().map(Consumer::Kafka),
        }
    }

    /// Checks whether an append would be accepted.
    ///
    /// # Errors
    /// [`LogError`] if not.
    pub async fn ping(&self) -> Result<(), LogError> {
        match self {
            Self::Embedded(log) => log.ping(),
            Self::Kafka(log) => log.ping().await,
        }
    }
}

/// Reads the log, for the projector.
#[derive(Debug)]
pub enum Consumer {
    Embedded(EmbeddedConsumer),
    Kafka(KafkaConsumer),
}

impl Consumer {
    /// Clears the batch and fills it with the available records. If there are none, waits for the first one, at most
    /// for `wait`.
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

    /// Sets the position of partitions, after an assignment or to read them again. An offset of `None` is the
    /// beginning of the partition.
    ///
    /// # Errors
    /// [`LogError::Fatal`] for a position after the end of the log (the read model belongs to another log) or before
    /// its beginning (records were deleted before they were projected).
    pub fn start(&mut self, positions: &[(i32, Option<i64>)]) -> Result<(), LogError> {
        match self {
            Self::Embedded(consumer) => consumer.start(positions),
            Self::Kafka(consumer) => consumer.start(positions),
        }
    }

    /// The first offset of each partition of the topic, assigned or not.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    pub fn beginnings(&mut self) -> Result<Vec<(i32, i64)>, LogError> {
        match self {
            Self::Embedded(consumer) => Ok(consumer.beginnings()),
            Self::Kafka(consumer) => consumer.beginnings(),
        }
    }

    /// Commits offsets so that the tools of the log can show them. Never blocks; errors are logged only.
    pub fn commit(&mut self, next: &[Position]) {
        match self {
            Self::Embedded(_) => {}
            Self::Kafka(consumer) => consumer.commit(next),
        }
    }

    /// Waits without reading records, and remains a member of the group.
    pub fn idle(&mut self, wait: Duration) {
        match self {
            Self::Embedded(_) => std::thread::sleep(wait),
            Self::Kafka(consumer) => consumer.idle(wait),
        }
    }

    /// The number of records after the position of each assigned partition, without a request to the brokers.
    pub fn lag(&mut self) -> Vec<(i32, i64)> {
        match self {
            Self::Embedded(consumer) => consumer.lag(),
            Self::Kafka(consumer) => consumer.lag(),
        }
    }
}
