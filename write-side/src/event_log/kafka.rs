//! Placeholder while the adapter is written.
use std::time::Duration;

use shared::{NewRecord, Position, RecordBatch};

use super::{LogError, PollLimits, Polled};

/// Settings.
#[derive(Debug, Clone, Default)]
pub struct KafkaSettings {
    /// `group.id`
    pub group: String,
    /// librdkafka properties passed through, over our own.
    pub properties: Vec<(String, String)>,
}
/// The log.
#[derive(Debug, Clone)]
pub struct KafkaLog;
/// The consumer.
#[derive(Debug)]
pub struct KafkaConsumer;

impl KafkaLog {
    pub fn open(
        _brokers: &str,
        _topic: &str,
        _partitions: i32,
        _settings: &KafkaSettings,
    ) -> Result<Self, LogError> {
        Err(LogError::Fatal("not yet".into()))
    }
    pub fn topic(&self) -> &str {
        ""
    }
    pub async fn append(&self, _records: Vec<NewRecord>) -> Result<Vec<Position>, LogError> {
        Ok(vec![])
    }
    pub fn consumer(&self) -> Result<KafkaConsumer, LogError> {
        Ok(KafkaConsumer)
    }
    pub async fn ping(&self) -> Result<(), LogError> {
        Ok(())
    }
}
impl KafkaConsumer {
    pub(super) fn poll(
        &mut self,
        _b: &mut RecordBatch,
        _l: PollLimits,
        _w: Duration,
    ) -> Result<Polled, LogError> {
        Ok(Polled::Records)
    }
    pub(super) fn start(&mut self, _p: &[(i32, Option<i64>)]) -> Result<(), LogError> {
        Ok(())
    }
    pub(super) fn commit(&mut self, _n: &[Position]) {}
    pub(super) fn idle(&mut self, _w: Duration) {}
    pub(super) fn lag(&mut self) -> Vec<(i32, i64)> {
        vec![]
    }
}
/// Placeholder.
pub fn parse_properties(_text: &str) -> Result<Vec<(String, String)>, String> {
    Ok(vec![])
}
