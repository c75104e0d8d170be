//! Membership in the consumer group: keeps what librdkafka's callbacks report until the consumer reads it.
//!
//! The callback answers a rebalance at once, so that the group never waits for the read model. It answers an assignment
//! with an empty incremental assign: the partitions belong to this member, but none is fetched. It answers a revocation
//! by unassigning the partitions that are fetched. `start` assigns partitions to librdkafka later, with their offsets.
//! That is allowed at any time. Two alternatives do not work: a seek in the callback races with the fetcher, and a
//! callback that does not answer blocks the group.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use serde::Deserialize;

use super::client;
use crate::error::LogError;
use crate::poll::Polled;

/// The context of the consumer, with the state that its callbacks maintain.
pub(super) struct Group {
    topic: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Partitions that the group has assigned to this member.
    owned: BTreeSet<i32>,
    /// The owned partitions that librdkafka fetches.
    started: BTreeSet<i32>,
    /// Changes that the consumer has not read yet.
    changes: VecDeque<Polled>,
    /// The end of each partition in the last statistics.
    ends: BTreeMap<i32, i64>,
    /// librdkafka's description of its last error.
    reason: String,
}

impl Group {
    pub(super) fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No change under the lock can be left half-done by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn owns(&self, partition: i32) -> bool {
        self.state().owned.contains(&partition)
    }

    pub(super) fn is_started(&self, partition: i32) -> bool {
        self.state().started.contains(&partition)
    }

    pub(super) fn set_started(&self, partitions: impl IntoIterator<Item = i32>) {
        self.state().started.extend(partitions);
    }

    pub(super) fn started(&self) -> BTreeSet<i32> {
        self.state().started.clone()
    }

    pub(super) fn next_change(&self) -> Option<Polled> {
        self.state().changes.pop_front()
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.state().changes.is_empty()
    }

    /// Revoked partitions of changes that the consumer has not read yet.
    pub(super) fn just_revoked(&self) -> BTreeSet<i32> {
        let state = self.state();
        let revoked = state.changes.iter().filter_map(|change| match change {
            Polled::Revoked(partitions) => Some(partitions),
            _ => None,
        });
        revoked.flatten().copied().collect()
    }

    pub(super) fn end(&self, partition: i32) -> Option<i64> {
        self.state().ends.get(&partition).copied()
    }

    fn reason(&self) -> String {
        self.state().reason.clone()
    }

    /// The error for the projector; `None` when librdkafka recovers by itself. All errors are logged in `error`.
    pub(super) fn classify(&self, error: &KafkaError) -> Option<LogError> {
        use RDKafkaErrorCode as Code;
        if let KafkaError::MessageConsumptionFatal(_) = error {
            let reason = self.reason();
            return Some(LogError::Fatal(format!("the Kafka consumer has failed permanently: {reason}")));
        }
        match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::LogTruncation) => Some(LogError::Fatal(format!(
                "the log no longer has the next record to project ({}); restore it, or start with an empty read model",
                self.reason()
            ))),
            Some(
                Code::Authentication
                | Code::SaslAuthenticationFailed
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed,
            ) => Some(LogError::unavailable(error.clone())),
            _ => None,
        }
    }

    fn assigned(&self, partitions: Vec<i32>) {
        let mut state = self.state();
        state.owned.extend(&partitions);
        // An empty assignment is reported too: this member is a standby.
        if !partitions.is_empty() || state.owned.is_empty() {
            state.changes.push_back(Polled::Assigned(partitions));
        }
    }

    /// Returns the partitions that librdkafka fetches.
    fn revoked(&self, partitions: Vec<i32>) -> Vec<i32> {
        let mut state = self.state();
        state.owned.retain(|partition| !partitions.contains(partition));
        let fetched =
            partitions.iter().copied().filter(|partition| state.started.remove(partition)).collect();
        if !partitions.is_empty() {
            state.changes.push_back(Polled::Revoked(partitions));
        }
        fetched
    }
}

pub(super) fn list(topic: &str, partitions: impl IntoIterator<Item = i32>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(topic, partition);
    }
    list
}

impl ConsumerContext for Group {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        changed: &mut TopicPartitionList,
    ) {
        let partitions: Vec<i32> =
            changed.elements_for_topic(&self.topic).iter().map(|element| element.partition()).collect();
        tracing::info!(target: "millrace::event_log", topic = self.topic, ?partitions, ?kind, "consumer group rebalanced");
        let answer = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assigned(partitions);
            consumer.incremental_assign(&TopicPartitionList::new())
        } else {
            let fetched = self.revoked(partitions);
            consumer.incremental_unassign(&list(&self.topic, fetched))
        };
        if let Err(error) = answer {
            tracing::error!(target: "millrace::event_log", %error, "failed to answer a rebalance");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(target: "millrace::event_log", %error, "failed to commit offsets");
        }
    }
}

/// The fields of librdkafka's statistics that are used.
#[derive(Deserialize)]
struct Statistics {
    topics: BTreeMap<String, TopicStatistics>,
}

#[derive(Deserialize)]
struct TopicStatistics {
    partitions: BTreeMap<String, PartitionStatistics>,
}

#[derive(Deserialize)]
struct PartitionStatistics {
    hi_offset: i64,
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let Ok(mut statistics) = serde_json::from_slice::<Statistics>(statistics) else {
            tracing::debug!(target: "millrace::event_log", "unexpected form of librdkafka's statistics");
            return;
        };
        let topic = statistics.topics.remove(&self.topic);
        let partitions = topic.into_iter().flat_map(|topic| topic.partitions);
        let ends = partitions.filter_map(|(name, partition)| Some((name.parse().ok()?, partition.hi_offset)));
        self.state().ends = ends.collect();
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(target: "millrace::event_log", %error, reason, topic = self.topic, "Kafka consumer");
        reason.clone_into(&mut self.state().reason);
    }
}
