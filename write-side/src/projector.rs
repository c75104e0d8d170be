//! The projector: poll → decode → coalesce → apply → commit, one step at a time, on a thread of its own.
//!
//! It moves past a record only in the transaction that holds its effect or its dead letter. What is wrong with a
//! record makes a dead letter; what is wrong with the infrastructure makes it wait, and say so. It never sleeps
//! inside a step, so that tests can step it and the runner decides how to wait.

mod batch;
mod progress;
mod runner;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use shared::metrics::Metrics;
use shared::{EventType, Position, RecordBatch};

use crate::breaker::{Breaker, BreakerSettings};
use crate::event_log::{Consumer, EventLog, LogError, PollLimits, Polled};
use crate::projection::{Applied, ApplyError, Projection, Span};
use crate::retry::Backoff;
use batch::Pending;

pub use progress::{Activity, Progress, ProgressReader};
pub use runner::ProjectorThread;

/// How the projector works.
#[derive(Debug, Clone, Copy)]
pub struct ProjectorSettings {
    /// How much is projected in one transaction, at most.
    pub limits: PollLimits,
    /// How long one step waits for a record.
    pub wait: Duration,
    /// How it waits for infrastructure that is away.
    pub backoff: Backoff,
    /// When it stops asking infrastructure that is away.
    pub breaker: BreakerSettings,
}

/// What a step did.
#[derive(Debug)]
pub enum Step {
    /// There was nothing to do.
    Idle,
    /// Partitions came or went.
    Rebalanced,
    /// A batch, or a part of one, was projected: this many records.
    Projected(usize),
    /// The batch was another projector's to project; it was dropped.
    Fenced,
    /// Infrastructure is away; step again after this long.
    Waiting(Duration),
}

/// What a projector cannot go on from: a bug of ours, a damaged store, a log that does not belong to the tables.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// The log.
    #[error(transparent)]
    Log(LogError),
    /// The store.
    #[error(transparent)]
    Projection(ApplyError),
}

/// Reads the log and keeps the tables in step with it.
#[derive(Debug)]
pub struct Projector {
    topic: String,
    consumer: Consumer,
    projection: Projection,
    settings: ProjectorSettings,
    metrics: Metrics,
    progress: Progress,
    breaker: Breaker,
    /// Where this projector left the fence of each partition that is assigned to it.
    fences: BTreeMap<i32, Option<i64>>,
    /// Partitions whose checkpoint must be read before anything is read from them.
    unstarted: Vec<i32>,
    records: RecordBatch,
    pending: Pending,
}

impl Projector {
    /// A projector at the beginning of its life. Step it, or give it to a [`ProjectorThread`].
    ///
    /// # Errors
    /// [`LogError`] when no consumer can be made.
    pub fn new(
        log: &EventLog,
        projection: Projection,
        settings: ProjectorSettings,
        metrics: Metrics,
    ) -> Result<Self, LogError> {
        Ok(Self {
            topic: log.topic().to_owned(),
            consumer: log.consumer()?,
            projection,
            settings,
            metrics,
            progress: Progress::new(log.topic()),
            breaker: Breaker::new(settings.breaker),
            fences: BTreeMap::new(),
            unstarted: Vec::new(),
            records: RecordBatch::new(log.topic()),
            pending: Pending::default(),
        })
    }

    /// What others may know of it while it runs.
    pub fn progress(&self) -> ProgressReader {
        self.progress.reader()
    }

    /// Does the next thing there is to do, and no more.
    ///
    /// # Errors
    /// [`ProjectorError`] when it must not go on.
    pub fn step(&mut self) -> Result<Step, ProjectorError> {
        let closed_for = self.breaker.wait(Instant::now());
        if !closed_for.is_zero() {
            return Ok(Step::Waiting(closed_for));
        }
        let step = if !self.unstarted.is_empty() {
            self.start_partitions()?
        } else if self.pending.is_empty() {
            self.poll()?
        } else {
            self.apply()?
        };
        self.metrics
            .circuit_breaker_state
            .set(self.breaker.state(Instant::now()).as_metric());
        Ok(step)
    }

    /// Fetches the next records and decodes them.
    fn poll(&mut self) -> Result<Step, ProjectorError> {
        let started = Instant::now();
        match self
            .consumer
            .poll(&mut self.records, self.settings.limits, self.settings.wait)
        {
            Ok(Polled::Records) if self.records.is_empty() => {
                self.report_lag();
                Ok(Step::Idle)
            }
            Ok(Polled::Records) => {
                self.metrics
                    .consume_duration
                    .observe(started.elapsed().as_secs_f64());
                self.pending.decode(&self.records);
                self.apply()
            }
            Ok(Polled::Assigned(partitions)) => {
                tracing::info!(?partitions, "partitions assigned");
                self.unstarted.extend(partitions);
                Ok(Step::Rebalanced)
            }
            Ok(Polled::Revoked(partitions)) => {
                tracing::info!(?partitions, "partitions revoked");
                self.fences.retain(|partition, _| !partitions.contains(partition));
                self.unstarted.retain(|partition| !partitions.contains(partition));
                Ok(Step::Rebalanced)
            }
            Err(error @ LogError::Unavailable(_)) => Ok(self.infrastructure_failed(&error)),
            Err(error @ LogError::Fatal(_)) => Err(ProjectorError::Log(error)),
        }
    }

    /// Reads on in the unstarted partitions from where the tables are projected up to.
    fn start_partitions(&mut self) -> Result<Step, ProjectorError> {
        let checkpoints = match self.projection.checkpoints(&self.topic) {
            Ok(checkpoints) => checkpoints,
            Err(error @ ApplyError::Transient(_)) => return Ok(self.infrastructure_failed(&error)),
            Err(error) => return Err(ProjectorError::Projection(error)),
        };
        let positions: Vec<_> = self
            .unstarted
            .iter()
            .map(|partition| (*partition, checkpoints.get(partition).copied()))
            .collect();
        match self.consumer.start(&positions) {
            Ok(()) => {}
            Err(error @ LogError::Unavailable(_)) => return Ok(self.infrastructure_failed(&error)),
            Err(error @ LogError::Fatal(_)) => return Err(ProjectorError::Log(error)),
        }
        self.breaker.success();
        self.unstarted.clear();
        self.progress.started(&positions);
        self.fences.extend(positions);
        Ok(Step::Rebalanced)
    }

    /// Applies the next part of what is pending: all of it, unless a broken event is being looked for.
    fn apply(&mut self) -> Result<Step, ProjectorError> {
        let Some(part) = self.pending.next_part() else {
            return Ok(Step::Idle);
        };
        let spans = self.pending.spans(&self.records, &part, &self.fences);
        let batch = self.pending.batch(&self.topic, &part, &spans);
        let letters = batch.letters.len() as u64;
        let started = Instant::now();
        match self.projection.apply(&batch) {
            Ok(applied) => {
                self.metrics.observe_db("apply", started.elapsed());
                let records = part.len();
                self.applied(&spans, applied, letters, part);
                Ok(Step::Projected(records))
            }
            Err(error @ ApplyError::Transient(_)) => {
                self.pending.put_back(part);
                Ok(self.infrastructure_failed(&error))
            }
            Err(error @ ApplyError::Fenced { .. }) => {
                tracing::warn!(%error, "dropping the batch and reading on from the checkpoints");
                self.pending.clear();
                self.unstarted = std::mem::take(&mut self.fences).into_keys().collect();
                Ok(Step::Fenced)
            }
            Err(error @ ApplyError::Poison(_)) => {
                let single = self.pending.bisect(&self.records, part, &error);
                if single {
                    Ok(Step::Projected(0))
                } else {
                    self.apply()
                }
            }
            Err(error @ ApplyError::Fatal(_)) => Err(ProjectorError::Projection(error)),
        }
    }

    /// Notes a part that is projected now.
    fn applied(&mut self, spans: &[Span], applied: Applied, letters: u64, part: std::ops::Range<usize>) {
        self.breaker.success();
        for event_type in EventType::ALL {
            let (events, duplicates) = (
                applied.events[event_type as usize],
                applied.duplicates[event_type as usize],
            );
            let count = |status, by| {
                self.metrics
                    .events_processed
                    .with_label_values(&[event_type.as_str(), status])
                    .inc_by(by);
            };
            count("applied", events - duplicates);
            count("duplicate", duplicates);
        }
        self.metrics
            .events_processed
            .with_label_values(&["unknown", "dead_letter"])
            .inc_by(letters);
        for counter in [&self.metrics.dlq_messages, &self.metrics.dlq_entries] {
            counter.inc_by(letters);
        }
        self.metrics
            .dlq_depth
            .add(i64::try_from(letters).unwrap_or(i64::MAX));
        let now = shared::Timestamp::now();
        let freshness = self.metrics.freshness.local();
        for index in part.clone() {
            freshness.observe(now.seconds_since(self.records.get(index).appended_at).max(0.0));
        }
        freshness.flush();
        self.fences
            .extend(spans.iter().map(|span| (span.partition, Some(span.next))));
        self.progress.projected(spans, part.len());
        let next: Vec<_> = spans
            .iter()
            .map(|span| Position {
                partition: span.partition,
                offset: span.next,
            })
            .collect();
        self.consumer.commit(&next);
        self.report_lag();
    }

    fn report_lag(&mut self) {
        for (partition, lag) in self.consumer.lag() {
            self.metrics
                .consumer_lag
                .with_label_values(&[&partition.to_string()])
                .set(lag);
        }
    }

    /// Notes that infrastructure is away, and how long to leave it alone.
    fn infrastructure_failed(&mut self, error: &(dyn std::error::Error + 'static)) -> Step {
        let failures = self.breaker.failure(Instant::now());
        let delay = self.settings.backoff.delay(failures, rand::random());
        let delay = delay.max(self.breaker.wait(Instant::now()));
        let cause = shared::telemetry::chain(error);
        tracing::warn!(
            failures,
            retry_in_ms = u64::try_from(delay.as_millis()).ok(),
            "waiting: {cause}"
        );
        self.progress.waiting(cause);
        Step::Waiting(delay)
    }
}
