//! Reads the partitions that the group gives us, from the positions we are told, one batch at a time.
//!
//! Whatever the projector is busy with, it comes back here within `max.poll.interval.ms` (5 minutes), through `poll`
//! or `idle`; otherwise the group gives its partitions to another, which is logged, and the next poll joins again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use millrace_domain::record::RecordParts;
use millrace_domain::{Position, RecordBatch};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::super::{LogError, PollLimits, Polled};
use super::client;
use super::group::{Group, list};
use super::leaving::Client;
use super::message::take;
use super::settings::KafkaSettings;

const OURS: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "false"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    // A projector that was killed is missed after this long; until then its partitions stand still.
    ("session.timeout.ms", "10000"),
    ("heartbeat.interval.ms", "2000"),
    // A broker answers as soon as it has a byte; this bounds how long a new partition waits for the next request.
    ("fetch.wait.max.ms", "20"),
    // Memory for records read ahead: half a second at 100,000 records of 300 bytes a second.
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.max.bytes", "8388608"),
    // When that memory was full, the next request goes out this soon; a second would starve a fast projector.
    ("fetch.queue.backoff.ms", "20"),
    // New partitions, and a topic made later, are seen within this time.
    ("topic.metadata.refresh.interval.ms", "10000"),
    // For the lag.
    ("statistics.interval.ms", "1000"),
];
const WATERMARKS_WAIT: Duration = Duration::from_secs(5);
const SEEK_WAIT: Duration = Duration::from_secs(5);

/// A member of the projector's group.
pub struct KafkaConsumer {
    client: Client,
    topic: String,
    /// By partition that is read: the offset after the last record taken.
    next: BTreeMap<i32, i64>,
    /// Where each partition ended when it was started.
    ends: BTreeMap<i32, i64>,
    paused: BTreeSet<i32>,
    /// Records that arrived while nobody wanted any.
    kept: RecordBatch,
    /// An error found while a batch was being filled: the batch goes first.
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
        let ours = [&[("group.id", settings.group.as_str())], OURS].concat();
        let client: BaseConsumer<Group> = client::config(brokers, &settings.properties, &ours)?
            .create_with_context(Group::new(topic))
            .map_err(client::refused)?;
        client.subscribe(&[topic]).map_err(LogError::unavailable)?;
        Ok(Self {
            client: Client::new(client),
            topic: topic.to_owned(),
            next: BTreeMap::new(),
            ends: BTreeMap::new(),
            paused: BTreeSet::new(),
            kept: RecordBatch::new(topic),
            failed: None,
        })
    }

    /// See [`super::super::Consumer::poll`].
    pub(in super::super) fn poll(
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
        let revoked = self.client.context().just_revoked();
        batch.retain(|position| !revoked.contains(&position.partition));
        if !batch.is_empty() {
            return Ok(Polled::Records);
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        Ok(self.next_change().unwrap_or(Polled::Records))
    }

    /// Waits for the first record, then takes those that librdkafka has at hand.
    fn fill(&mut self, batch: &mut RecordBatch, limits: PollLimits, wait: Duration) {
        let deadline = Instant::now() + wait;
        let Self { client, next, failed, .. } = self;
        while failed.is_none() && batch.len() < limits.events_max && batch.byte_len() < limits.bytes_max {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = if batch.is_empty() { left } else { Duration::ZERO };
            match client.poll(timeout) {
                Some(Ok(message)) => take(&message, next, batch),
                Some(Err(error)) => *failed = judge(&error, client.context()),
                // A rebalance ends a poll as well as time does.
                None if client.context().has_changes() || !batch.is_empty() || left.is_zero() => break,
                None => {}
            }
        }
    }

    fn take_kept(&mut self, batch: &mut RecordBatch) {
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
        self.kept.retain(|position| !partitions.contains(&position.partition));
    }

    /// See [`super::super::Consumer::start`]. A partition that the group has taken back meanwhile is passed over:
    /// the next poll says so. Until it succeeds, nothing of these partitions is handed out.
    pub(in super::super) fn start(&mut self, positions: &[(i32, Option<i64>)]) -> Result<(), LogError> {
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
        let (again, new): (Vec<&Start>, Vec<&Start>) = starts.iter().partition(is_started);
        self.assign(&new)?;
        self.seek(&again)?;
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
                "the read model is projected up to {partition}:{next}, the topic {} ends at {partition}:{end}: they do not belong together; restore the topic, or start with an empty read model",
                self.topic
            )));
        }
        if next < beginning {
            return Err(LogError::Fatal(format!(
                "the read model is projected up to {partition}:{next}, the topic {} begins at {partition}:{beginning}: records were deleted before they were projected; restore them, or start with an empty read model",
                self.topic
            )));
        }
        Ok(Start { partition, next, end })
    }

    /// See [`super::super::Consumer::beginnings`].
    pub(in super::super) fn beginnings(&self) -> Result<Vec<(i32, i64)>, LogError> {
        let deadline = Instant::now() + WATERMARKS_WAIT;
        let left = || deadline.saturating_duration_since(Instant::now());
        let metadata =
            self.client.fetch_metadata(Some(&self.topic), left()).map_err(LogError::unavailable)?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let beginnings = partitions.map(|partition| {
            let id = partition.id();
            let (beginning, _) =
                self.client.fetch_watermarks(&self.topic, id, left()).map_err(LogError::unavailable)?;
            Ok((id, beginning))
        });
        match beginnings.collect::<Result<Vec<_>, _>>() {
            // As a broker says that has only just heard of the topic.
            Ok(none) if none.is_empty() => Err(LogError::unavailable("the topic has no partitions yet")),
            told => told,
        }
    }

    fn assign(&self, starts: &[&Start]) -> Result<(), LogError> {
        if starts.is_empty() {
            return Ok(());
        }
        let list = self.offsets(starts.iter().map(|start| (start.partition, start.next)))?;
        self.client.incremental_assign(&list).map_err(LogError::unavailable)?;
        let partitions = starts.iter().map(|start| start.partition);
        self.client.context().set_started(partitions);
        Ok(())
    }

    /// Moves partitions that are read already. Paused meanwhile, which also empties what was read ahead.
    fn seek(&mut self, starts: &[&Start]) -> Result<(), LogError> {
        if starts.is_empty() {
            return Ok(());
        }
        let paused = list(&self.topic, starts.iter().map(|start| start.partition));
        let offsets = self.offsets(starts.iter().map(|start| (start.partition, start.next)))?;
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

    /// See [`super::super::Consumer::commit`].
    pub(in super::super) fn commit(&mut self, next: &[Position]) {
        let started = self.client.context().started();
        let ours = next.iter().filter(|position| started.contains(&position.partition));
        let list = self.offsets(ours.map(|position| (position.partition, position.offset)));
        let Ok(list) = list else { return };
        if list.count() > 0
            && let Err(error) = self.client.commit(&list, CommitMode::Async)
        {
            tracing::debug!(%error, "the offsets shown by Kafka's tools were not moved");
        }
    }

    /// See [`super::super::Consumer::idle`].
    pub(in super::super) fn idle(&mut self, wait: Duration) {
        let deadline = Instant::now() + wait;
        self.pause();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.client.poll(left) {
                // On its way before the pause.
                Some(Ok(message)) => take(&message, &mut self.next, &mut self.kept),
                Some(Err(error)) => {
                    let failed = judge(&error, self.client.context());
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
            // Then what arrives is kept.
            Err(error) => tracing::debug!(%error, "partitions were not paused"),
        }
    }

    /// All that were paused, also those that are no longer ours: they may come back.
    fn resume(&mut self) {
        if self.paused.is_empty() {
            return;
        }
        match self.client.resume(&list(&self.topic, self.paused.iter().copied())) {
            Ok(()) => self.paused.clear(),
            Err(error) => tracing::warn!(%error, "partitions were not resumed; trying again"),
        }
    }

    /// See [`super::super::Consumer::lag`]. Ends are as of the last statistics, at most a second old.
    pub(in super::super) fn lag(&mut self) -> Vec<(i32, i64)> {
        let group = self.client.context();
        let lag = |(partition, next): (&i32, &i64)| {
            let end = self.ends.get(partition).copied().max(group.end(*partition));
            (*partition, end.map_or(0, |end| (end - next).max(0)))
        };
        self.next.iter().map(lag).collect()
    }
}

/// Where to read a partition from, and where it ends.
struct Start {
    partition: i32,
    next: i64,
    end: i64,
}

/// What an error means for the projector; `None` when librdkafka goes on by itself. All are logged when they arrive.
fn judge(error: &KafkaError, group: &Group) -> Option<LogError> {
    use RDKafkaErrorCode as Code;
    if let KafkaError::MessageConsumptionFatal(_) = error {
        let reason = group.reason();
        return Some(LogError::Fatal(format!("the Kafka consumer has stopped for good: {reason}")));
    }
    match error.rdkafka_error_code() {
        Some(Code::AutoOffsetReset | Code::LogTruncation) => Some(LogError::Fatal(format!(
            "the log no longer has the next record to project ({}); restore it, or start with an empty read model",
            group.reason()
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
