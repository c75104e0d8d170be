//! Reads the assigned partitions in batches, from the positions that `start` sets.
//!
//! The projector must call `poll` or `idle` within `max.poll.interval.ms` (5 minutes). Otherwise the group assigns its
//! partitions to another member, which is logged, and the next poll joins the group again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use millrace_domain::record::RecordParts;
use millrace_domain::{Position, RecordBatch};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::client;
use super::group::{Group, list};
use super::leave::GroupClient;
use super::message::copy;
use super::settings::KafkaSettings;
use crate::error::LogError;
use crate::poll::{PollLimits, Polled};

const DEFAULTS: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "false"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    // The group notices a killed projector after this time. Until then its partitions are not projected.
    ("session.timeout.ms", "10000"),
    ("heartbeat.interval.ms", "2000"),
    // A broker answers as soon as it has a record. This limits how long a new partition waits for the next request.
    ("fetch.wait.max.ms", "20"),
    // Memory for records read ahead: half a second at 100,000 records of 300 bytes a second.
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.max.bytes", "8388608"),
    // Delay of the next request after that memory was full. The default of a second is too slow for a fast projector.
    ("fetch.queue.backoff.ms", "20"),
    // New partitions and a topic that was created later are noticed within this time.
    ("topic.metadata.refresh.interval.ms", "10000"),
    // For the lag.
    ("statistics.interval.ms", "1000"),
];
const WATERMARKS_WAIT: Duration = Duration::from_secs(5);
const SEEK_WAIT: Duration = Duration::from_secs(5);

/// A member of the projector's group.
pub struct KafkaConsumer {
    client: GroupClient,
    topic: String,
    /// For each started partition, the offset after the last record that was read.
    next: BTreeMap<i32, i64>,
    /// The end of each partition when it was started.
    ends: BTreeMap<i32, i64>,
    paused: BTreeSet<i32>,
    /// Records that arrived during `idle`.
    kept: RecordBatch,
    /// An error that ended the last batch. The batch is returned first, the error with the next poll.
    failed: Option<LogError>,
}

impl fmt::Debug for KafkaConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConsumer")
            .field("topic", &self.topic)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl KafkaConsumer {
    pub(super) fn join(brokers: &str, topic: &str, settings: &KafkaSettings) -> Result<Self, LogError> {
        let defaults = [&[("group.id", settings.group.as_str())], DEFAULTS].concat();
        let client: BaseConsumer<Group> = client::config(brokers, &settings.properties, &defaults)?
            .create_with_context(Group::new(topic))
            .map_err(client::creation_error)?;
        client.subscribe(&[topic]).map_err(LogError::unavailable)?;
        Ok(Self {
            client: GroupClient::new(client),
            topic: topic.to_owned(),
            next: BTreeMap::new(),
            ends: BTreeMap::new(),
            paused: BTreeSet::new(),
            kept: RecordBatch::new(topic),
            failed: None,
        })
    }

    pub(crate) fn poll(
        &mut self,
        batch: &mut RecordBatch,
        limits: PollLimits,
        wait: Duration,
    ) -> Result<Polled, LogError> {
        batch.clear();
        self.resume();
        if let Some(change) = self.next_change() {
            return Ok(change);
        }
        self.take_kept(batch);
        self.fill(batch, limits, wait);
        // Another member may read revoked partitions already, so their records must not be projected here.
        let revoked = self.client.context().just_revoked();
        batch.remove_partitions(|partition| revoked.contains(&partition));
        if !batch.is_empty() {
            return Ok(Polled::Records);
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        Ok(self.next_change().unwrap_or(Polled::Records))
    }

    /// Waits for the first record, then adds the records that librdkafka has fetched already.
    fn fill(&mut self, batch: &mut RecordBatch, limits: PollLimits, wait: Duration) {
        let deadline = Instant::now() + wait;
        let Self { client, next, failed, .. } = self;
        while failed.is_none() && batch.len() < limits.events_max && batch.byte_len() < limits.bytes_max {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = if batch.is_empty() { left } else { Duration::ZERO };
            match client.poll(timeout) {
                Some(Ok(message)) => copy(&message, next, batch),
                Some(Err(error)) => *failed = client.context().classify(&error),
                // A rebalance callback ends the poll too.
                None if client.context().has_changes() || !batch.is_empty() || left.is_zero() => break,
                None => {}
            }
        }
    }

    fn take_kept(&mut self, batch: &mut RecordBatch) {
        for (partition, range) in self.kept.ranges() {
            batch.begin(partition, range.start);
        }
        for record in self.kept.iter() {
            let parts = RecordParts { key: record.key, payload: record.payload, headers: record.headers };
            batch.push(record.position, record.appended_at, parts);
        }
        self.kept.clear();
    }

    fn next_change(&mut self) -> Option<Polled> {
        let change = self.client.context().next_change()?;
        if let Polled::Revoked(partitions) = &change {
            self.forget(partitions);
        }
        Some(change)
    }

    fn forget(&mut self, partitions: &[i32]) {
        self.next.retain(|partition, _| !partitions.contains(partition));
        self.ends.retain(|partition, _| !partitions.contains(partition));
        self.kept.remove_partitions(|partition| partitions.contains(&partition));
    }

    /// Ignores partitions that were revoked meanwhile; the next poll reports that. After an error no record of these
    /// partitions is returned.
    pub(crate) fn start(&mut self, positions: &[(i32, Option<i64>)]) -> Result<(), LogError> {
        let partitions: Vec<i32> = positions.iter().map(|(partition, _)| *partition).collect();
        self.forget(&partitions);
        let deadline = Instant::now() + WATERMARKS_WAIT;
        let mut starts = Vec::with_capacity(positions.len());
        for (partition, next) in positions {
            if self.client.context().owns(*partition) {
                starts.push(self.check_start(*partition, *next, deadline)?);
            }
        }
        let is_started = |start: &&Start| self.client.context().is_started(start.partition);
        let (started, new): (Vec<&Start>, Vec<&Start>) = starts.iter().partition(is_started);
        self.assign(&new)?;
        self.seek(&started)?;
        for start in &starts {
            self.next.insert(start.partition, start.next);
            self.ends.insert(start.partition, start.end);
        }
        Ok(())
    }

    fn check_start(&self, partition: i32, next: Option<i64>, deadline: Instant) -> Result<Start, LogError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let (beginning, end) =
            self.client.fetch_watermarks(&self.topic, partition, left).map_err(LogError::unavailable)?;
        let next = next.unwrap_or(beginning);
        if next > end {
            return Err(LogError::Fatal(format!(
                "the read model does not belong to this log: it is projected up to {partition}:{next}, the topic {} ends at {partition}:{end}; restore the topic, or start with an empty read model",
                self.topic
            )));
        }
        if next < beginning {
            return Err(LogError::Fatal(format!(
                "the read model is projected up to {partition}:{next}, but the topic {} begins at {partition}:{beginning}: records were deleted before they were projected; restore them, or start with an empty read model",
                self.topic
            )));
        }
        Ok(Start { partition, next, end })
    }

    pub(crate) fn beginnings(&self) -> Result<Vec<(i32, i64)>, LogError> {
        let deadline = Instant::now() + WATERMARKS_WAIT;
        let left = || deadline.saturating_duration_since(Instant::now());
        let metadata =
            self.client.fetch_metadata(Some(&self.topic), left()).map_err(LogError::unavailable)?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let beginnings = partitions.map(|partition| {
            let watermarks = self.client.fetch_watermarks(&self.topic, partition.id(), left());
            let (beginning, _) = watermarks.map_err(LogError::unavailable)?;
            Ok((partition.id(), beginning))
        });
        match beginnings.collect::<Result<Vec<_>, _>>() {
            // A broker answers this while the topic is being created.
            Ok(list) if list.is_empty() => Err(LogError::unavailable("the topic has no partitions yet")),
            result => result,
        }
    }

    fn assign(&self, starts: &[&Start]) -> Result<(), LogError> {
        if starts.is_empty() {
            return Ok(());
        }
        let list = self.offsets(starts.iter().map(|start| (start.partition, start.next)))?;
        self.client.incremental_assign(&list).map_err(LogError::unavailable)?;
        self.client.context().set_started(starts.iter().map(|start| start.partition));
        Ok(())
    }

    /// Moves partitions that are fetched already.
    fn seek(&mut self, starts: &[&Start]) -> Result<(), LogError> {
        if starts.is_empty() {
            return Ok(());
        }
        let paused = list(&self.topic, starts.iter().map(|start| start.partition));
        let offsets = self.offsets(starts.iter().map(|start| (start.partition, start.next)))?;
        // A pause also discards the records that librdkafka has fetched ahead, from before the seek.
        self.client.pause(&paused).map_err(LogError::unavailable)?;
        let sought = self.client.seek_partitions(offsets, SEEK_WAIT);
        self.client.resume(&paused).map_err(LogError::unavailable)?;
        self.paused.retain(|partition| starts.iter().all(|start| start.partition != *partition));
        for element in sought.map_err(LogError::unavailable)?.elements() {
            element.error().map_err(LogError::unavailable)?;
        }
        Ok(())
    }

    fn offsets(&self, offsets: impl Iterator<Item = (i32, i64)>) -> Result<TopicPartitionList, LogError> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(offset))
                .map_err(LogError::unavailable)?;
        }
        Ok(list)
    }

    pub(crate) fn commit(&mut self, next: &[Position]) {
        let started = self.client.context().started();
        let owned = next.iter().filter(|position| started.contains(&position.partition));
        let list = self.offsets(owned.map(|position| (position.partition, position.offset)));
        let Ok(list) = list else { return };
        if list.count() > 0
            && let Err(error) = self.client.commit(&list, CommitMode::Async)
        {
            tracing::debug!(target: "millrace::event_log", %error, "failed to commit offsets");
        }
    }

    pub(crate) fn idle(&mut self, wait: Duration) {
        let deadline = Instant::now() + wait;
        self.pause();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.client.poll(left) {
                // Fetched before the pause.
                Some(Ok(message)) => copy(&message, &mut self.next, &mut self.kept),
                Some(Err(error)) => {
                    let failed = self.client.context().classify(&error);
                    self.failed = self.failed.take().or(failed);
                }
                None if left.is_zero() => break,
                None => {}
            }
        }
    }

    fn pause(&mut self) {
        let started = self.client.context().started();
        let new: Vec<i32> = started.difference(&self.paused).copied().collect();
        if new.is_empty() {
            return;
        }
        match self.client.pause(&list(&self.topic, new.iter().copied())) {
            Ok(()) => self.paused.extend(new),
            // Not serious: records that arrive are kept.
            Err(error) => {
                tracing::debug!(target: "millrace::event_log", %error, "failed to pause partitions");
            }
        }
    }

    /// Resumes all paused partitions, also revoked ones: the group may assign them to this member again.
    fn resume(&mut self) {
        if self.paused.is_empty() {
            return;
        }
        match self.client.resume(&list(&self.topic, self.paused.iter().copied())) {
            Ok(()) => self.paused.clear(),
            Err(error) => {
                tracing::warn!(target: "millrace::event_log", %error, "failed to resume partitions; retrying");
            }
        }
    }

    /// The ends are those of the last statistics, at most a second old.
    pub(crate) fn lag(&mut self) -> Vec<(i32, i64)> {
        let group = self.client.context();
        let lag = |(partition, next): (&i32, &i64)| {
            let end = self.ends.get(partition).copied().max(group.end(*partition));
            (*partition, end.map_or(0, |end| (end - next).max(0)))
        };
        self.next.iter().map(lag).collect()
    }
}

/// A partition, the offset to read it from, and its end.
struct Start {
    partition: i32,
    next: i64,
    end: i64,
}
