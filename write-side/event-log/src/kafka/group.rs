//! Membership in the consumer group: what librdkafka tells while it is polled, kept until the consumer asks.
//!
//! A rebalance is answered at once, so that the group never waits for our database: to an assignment with an empty
//! incremental assign (the partitions are ours, none is read), to a revocation by giving up those that are read. The
//! partitions are handed to librdkafka later, by `start`, with the offsets at which to read. That is allowed at any
//! time, while seeking in the callback races with the fetcher, and a callback that never answers holds up the group.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use serde::Deserialize;

use super::super::Polled;
use super::client;

/// What librdkafka has told.
pub(super) struct Group {
    topic: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Partitions the group has given us.
    owned: BTreeSet<i32>,
    /// Those of them that librdkafka reads.
    started: BTreeSet<i32>,
    /// What the consumer has not been told yet.
    changes: VecDeque<Polled>,
    /// Where each partition ends, by the last statistics.
    ends: BTreeMap<i32, i64>,
    /// What librdkafka said of its last error.
    reason: String,
}

impl Group {
    pub(super) fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is whole by itself.
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

    /// Partitions that were taken away, of which the consumer has not been told yet.
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

    pub(super) fn reason(&self) -> String {
        self.state().reason.clone()
    }

    fn assigned(&self, partitions: Vec<i32>) {
        let mut state = self.state();
        state.owned.extend(&partitions);
        // Without partitions it is reported as well: then this member is a standby.
        if !partitions.is_empty() || state.owned.is_empty() {
            state.changes.push_back(Polled::Assigned(partitions));
        }
    }

    /// Returns those that librdkafka reads.
    fn revoked(&self, partitions: Vec<i32>) -> Vec<i32> {
        let mut state = self.state();
        state.owned.retain(|partition| !partitions.contains(partition));
        let read = partitions.iter().copied().filter(|partition| state.started.remove(partition)).collect();
        if !partitions.is_empty() {
            state.changes.push_back(Polled::Revoked(partitions));
        }
        read
    }
}

/// Partitions as librdkafka wants them.
pub(super) fn list(topic: &str, partitions: impl IntoIterator<Item = i32>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(topic, partition);
    }
    list
}

impl ConsumerContext for Group {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, told: &mut TopicPartitionList) {
        let partitions: Vec<i32> =
            told.elements_for_topic(&self.topic).iter().map(|element| element.partition()).collect();
        tracing::info!(topic = self.topic, ?partitions, ?kind, "the group has changed");
        let answer = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assigned(partitions);
            consumer.incremental_assign(&TopicPartitionList::new())
        } else {
            let read = self.revoked(partitions);
            consumer.incremental_unassign(&list(&self.topic, read))
        };
        if let Err(error) = answer {
            tracing::error!(%error, "librdkafka did not take the answer to a rebalance");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "the offsets shown by Kafka's tools were not moved");
        }
    }
}

/// The part of librdkafka's statistics that is read here.
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
            tracing::debug!("librdkafka's statistics have another form");
            return;
        };
        let topic = statistics.topics.remove(&self.topic);
        let partitions = topic.into_iter().flat_map(|topic| topic.partitions);
        let known =
            partitions.filter_map(|(name, partition)| Some((name.parse().ok()?, partition.hi_offset)));
        self.state().ends = known.collect();
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, topic = self.topic, "Kafka consumer");
        reason.clone_into(&mut self.state().reason);
    }
}
