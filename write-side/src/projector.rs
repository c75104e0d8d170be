//! The projector: poll → decode → coalesce → apply → commit, one step at a time, on a thread of its own.
//!
//! It moves past a record only in the transaction that holds its effect or its dead letter. What is wrong with a
//! record makes a dead letter; what is wrong with the infrastructure makes it wait, and say so. It never sleeps
//! inside a step, so that tests can step it and the runner decides how to wait.
//!
//! While the store takes a large batch, the next one is fetched and decoded. Nothing else happens at the same time.

mod accounts;
mod fetched;
mod progress;
mod runner;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use shared::Position;
use shared::change::Changes;
use shared::change_feed::ChangeFeed;
use shared::metrics::Metrics;

use crate::breaker::{BreakerSettings, SharedBreaker};
use crate::event_log::{Consumer, EventLog, LogError, PollLimits, Polled};
use crate::projection::{Applied, ApplyError, Projection, Span};
use crate::retry::Backoff;
use fetched::Fetched;

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
    feed: ChangeFeed,
    progress: Progress,
    /// Around the store.
    breaker: SharedBreaker,
    /// Polls that failed in a row.
    log_failures: u32,
    /// Where this projector left the fence of each partition that is assigned to it.
    fences: BTreeMap<i32, Option<i64>>,
    /// Partitions whose checkpoint must be read before anything is read from them.
    unstarted: Vec<i32>,
    /// What is being projected.
    current: Fetched,
    /// What was fetched meanwhile.
    next: Fetched,
    /// What a poll meanwhile found that was no records.
    found: Option<Result<Polled, LogError>>,
}

/// Parts below this are applied too fast for it to be worth fetching meanwhile.
const FETCH_AHEAD_MIN: usize = 2_000;

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
        let breaker = SharedBreaker::new(settings.breaker);
        Ok(Self {
            topic: log.topic().to_owned(),
            consumer: log.consumer()?,
            projection,
            settings,
            metrics,
            feed: ChangeFeed::default(),
            progress: Progress::new(log.topic(), breaker.clone()),
            breaker,
            log_failures: 0,
            fences: BTreeMap::new(),
            unstarted: Vec::new(),
            current: Fetched::new(log.topic()),
            next: Fetched::new(log.topic()),
            found: None,
        })
    }

    /// The same projector, which tells this feed what it changes.
    #[must_use]
    pub fn telling(mut self, feed: ChangeFeed) -> Self {
        self.feed = feed;
        self
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
        let closed_for = self.breaker.lock().wait(Instant::now());
        if !closed_for.is_zero() {
            return Ok(Step::Waiting(closed_for));
        }
        if self.current.is_empty() {
            std::mem::swap(&mut self.current, &mut self.next);
        }
        let step = if !self.unstarted.is_empty() {
            self.start_partitions()?
        } else if self.current.is_empty() {
            self.poll()?
        } else {
            self.apply()?
        };
        self.metrics.circuit_breaker_state.set(self.breaker.lock().state(Instant::now()).as_metric());
        Ok(step)
    }

    /// Fetches the next records.
    fn poll(&mut self) -> Result<Step, ProjectorError> {
        let found = self.found.take();
        let started = Instant::now();
        let Self { current, consumer, settings, .. } = self;
        let found = found.unwrap_or_else(|| current.fill(consumer, settings.limits, settings.wait));
        match found {
            Ok(Polled::Records) if self.current.is_empty() => {
                self.polled();
                Ok(Step::Idle)
            }
            Ok(Polled::Records) => {
                self.metrics.consume_duration.observe(started.elapsed().as_secs_f64());
                self.polled();
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
            Err(error @ LogError::Unavailable(_)) => Ok(self.log_failed(&error)),
            Err(error @ LogError::Fatal(_)) => Err(ProjectorError::Log(error)),
        }
    }

    fn polled(&mut self) {
        self.log_failures = 0;
        if !self.fences.is_empty() {
            self.progress.running();
        }
        self.report_lag();
    }

    /// Reads on in the unstarted partitions from where the tables are projected up to.
    fn start_partitions(&mut self) -> Result<Step, ProjectorError> {
        let checkpoints = match self.projection.checkpoints(&self.topic) {
            Ok(checkpoints) => checkpoints,
            Err(error @ ApplyError::Transient(_)) => return Ok(self.store_failed(&error)),
            Err(error) => return Err(ProjectorError::Projection(error)),
        };
        let checkpoint = |partition: &i32| (*partition, checkpoints.get(partition).copied());
        let positions: Vec<_> = self.unstarted.iter().map(checkpoint).collect();
        match self.consumer.start(&positions) {
            Ok(()) => {}
            Err(error @ LogError::Unavailable(_)) => return Ok(self.log_failed(&error)),
            Err(error @ LogError::Fatal(_)) => return Err(ProjectorError::Log(error)),
        }
        self.breaker.lock().success();
        self.unstarted.clear();
        self.progress.started(&positions);
        self.fences.extend(positions);
        Ok(Step::Rebalanced)
    }

    /// Applies the next part of what is fetched: all of it, unless a broken event is being looked for.
    fn apply(&mut self) -> Result<Step, ProjectorError> {
        let Some(part) = self.current.next_part() else { return Ok(Step::Idle) };
        let spans = self.current.spans(&part, &self.fences);
        let batch = self.current.batch(&self.topic, &part, &spans);
        let letters = batch.letters.len() as u64;
        let ahead = part.len() >= FETCH_AHEAD_MIN && self.next.is_empty() && self.found.is_none();
        let Self { projection, consumer, next, settings, metrics, .. } = self;
        let mut apply = || {
            let started = Instant::now();
            let applied = projection.apply(&batch);
            metrics.observe_db("apply", started.elapsed());
            applied
        };
        let result = if ahead {
            let (result, found) = std::thread::scope(|scope| {
                let applying = scope.spawn(apply);
                let found = next.fill(consumer, settings.limits, Duration::ZERO);
                (applying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), found)
            });
            self.found = Some(found).filter(|found| !matches!(found, Ok(Polled::Records)));
            result
        } else {
            apply()
        };
        match result {
            Ok(applied) => {
                let records = part.len();
                self.applied(&spans, applied, letters, &part);
                Ok(Step::Projected(records))
            }
            Err(error) => self.refused(part, error),
        }
    }

    /// Notes a part that is projected now.
    fn applied(&mut self, spans: &[Span], applied: Applied, letters: u64, part: &Range<usize>) {
        self.breaker.lock().success();
        accounts::projected(&self.metrics, applied, letters, self.current.appended_at(part));
        self.fences.extend(spans.iter().map(|span| (span.partition, Some(span.next))));
        self.progress.projected(spans, part.len());
        self.feed.publish(|| Changes::of(self.current.events(part)));
        let next = |span: &Span| Position { partition: span.partition, offset: span.next };
        self.consumer.commit(&spans.iter().map(next).collect::<Vec<_>>());
        self.report_lag();
    }

    /// Decides what becomes of a part of which nothing was projected.
    fn refused(&mut self, part: Range<usize>, error: ApplyError) -> Result<Step, ProjectorError> {
        match error {
            ApplyError::Transient(_) => {
                self.current.put_back(part);
                Ok(self.store_failed(&error))
            }
            ApplyError::Fenced { .. } => {
                tracing::warn!(%error, "dropping the batch and reading on from the checkpoints");
                self.current.clear();
                self.next.clear();
                self.unstarted = std::mem::take(&mut self.fences).into_keys().collect();
                Ok(Step::Fenced)
            }
            ApplyError::Poison(_) => {
                self.current.bisect(part, &error);
                self.apply()
            }
            ApplyError::Fatal(_) => Err(ProjectorError::Projection(error)),
        }
    }

    fn report_lag(&mut self) {
        for (partition, lag) in self.consumer.lag() {
            self.metrics.consumer_lag.with_label_values(&[&partition.to_string()]).set(lag);
        }
    }

    fn store_failed(&mut self, error: &ApplyError) -> Step {
        let failures = self.breaker.lock().failure(Instant::now());
        let delay = self.settings.backoff.delay(failures, rand::random());
        let delay = delay.max(self.breaker.lock().wait(Instant::now()));
        self.wait(delay, failures, shared::telemetry::chain(error))
    }

    fn log_failed(&mut self, error: &LogError) -> Step {
        self.log_failures = self.log_failures.saturating_add(1);
        let delay = self.settings.backoff.delay(self.log_failures, rand::random());
        self.wait(delay, self.log_failures, shared::telemetry::chain(error))
    }

    /// Says what is waited for, and how long it is left alone.
    fn wait(&mut self, delay: Duration, failures: u32, cause: String) -> Step {
        tracing::warn!(failures, retry_in_ms = u64::try_from(delay.as_millis()).ok(), "waiting: {cause}");
        self.progress.waiting(cause);
        Step::Waiting(delay)
    }
}
