//! The projector: poll → decode → coalesce → apply → commit, one step at a time, on a thread of its own.
//!
//! It moves past a record only in the transaction that holds its effect or its dead letter. What is wrong with a
//! record makes a dead letter; what is wrong with the infrastructure makes it wait, and say so. It never sleeps
//! inside a step, so that tests can step it and the runner decides how to wait.
//!
//! While the store takes a large batch, the next one is fetched and decoded. Nothing else happens at the same time.

mod fetched;
mod inbox;
mod progress;
mod runner;
mod start;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use millrace_domain::Position;
use millrace_domain::change::Changes;
use millrace_event_log::{Consumer, EventLog, LogError, PollLimits, Polled};
use millrace_platform::change_feed::ChangeFeed;
use millrace_platform::telemetry::chain;

use crate::breaker::{BreakerSettings, SharedBreaker};
use crate::metrics::ProjectorMetrics;
use crate::projection::{Applied, ApplyError, Projection, Span};
use crate::retry::Backoff;
use fetched::Fetched;

pub use progress::{BreakerStatus, Progress, ProgressReader, ProjectorState};
pub use runner::{ProjectorParts, ProjectorThread};

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
    /// How often an event that the store refuses is tried, alone, before it becomes a dead letter.
    pub attempts_max: u32,
    /// How long the inbox remembers an event; `None` is for ever.
    pub inbox_retention: Option<Duration>,
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

/// Why a step went no further.
enum Halt {
    /// It did this instead.
    Instead(Step),
    /// Nothing can be done any more.
    Stop(ProjectorError),
}

/// Reads the log and keeps the tables in step with it.
#[derive(Debug)]
pub struct Projector {
    topic: String,
    consumer: Consumer,
    projection: Projection,
    settings: ProjectorSettings,
    metrics: ProjectorMetrics,
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
    /// When the consumer was last polled.
    polled_at: Instant,
    /// When the inbox is to be pruned next.
    prune_at: Instant,
}

/// Parts below this are applied too fast for it to be worth fetching meanwhile.
const FETCH_AHEAD_MIN: usize = 2_000;
/// While parts of a batch are tried one by one, the consumer is kept in its group this often.
const POLL_AT_LEAST_EVERY: Duration = Duration::from_secs(1);

impl Projector {
    /// A projector at the beginning of its life. Step it, or give it to a [`ProjectorThread`].
    ///
    /// # Errors
    /// [`LogError`] when no consumer can be made.
    pub fn new(
        log: &EventLog,
        projection: Projection,
        settings: ProjectorSettings,
        metrics: ProjectorMetrics,
        progress: Progress,
    ) -> Result<Self, LogError> {
        Ok(Self {
            topic: log.topic().to_owned(),
            consumer: log.consumer()?,
            projection,
            settings,
            metrics,
            feed: ChangeFeed::default(),
            breaker: progress.breaker(),
            progress,
            log_failures: 0,
            fences: BTreeMap::new(),
            unstarted: Vec::new(),
            current: Fetched::new(log.topic()),
            next: Fetched::new(log.topic()),
            found: None,
            polled_at: Instant::now(),
            prune_at: Instant::now(),
        })
    }

    /// The same projector, which publishes its changes to this feed.
    #[must_use]
    pub fn with_feed(mut self, feed: ChangeFeed) -> Self {
        self.feed = feed;
        self
    }

    /// What others may know of it while it runs.
    pub fn progress(&self) -> ProgressReader {
        self.progress.reader()
    }

    /// The partitions that it reads now.
    pub fn partitions(&self) -> Vec<i32> {
        self.fences.keys().copied().collect()
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
        let done = if !self.unstarted.is_empty() {
            self.start_partitions()
        } else if self.current.is_empty() {
            self.poll()
        } else {
            self.apply()
        };
        let step = match done {
            Ok(step) | Err(Halt::Instead(step)) => step,
            Err(Halt::Stop(error)) => return Err(error),
        };
        let is_caught_up = self.current.is_empty() && self.next.is_empty();
        if is_caught_up && matches!(step, Step::Idle | Step::Projected(_)) {
            self.prune_inbox()?;
        }
        self.metrics.circuit_breaker_state.set(self.breaker.lock().state(Instant::now()).as_metric());
        Ok(step)
    }

    /// Fetches the next records.
    fn poll(&mut self) -> Result<Step, Halt> {
        let found = self.found.take();
        let started = Instant::now();
        let Self { current, consumer, settings, .. } = self;
        let found = found.unwrap_or_else(|| current.fill(consumer, settings.limits, settings.wait));
        match found.map_err(|error| self.log_failed(error))? {
            Polled::Records if self.current.is_empty() => {
                self.polled();
                Ok(Step::Idle)
            }
            Polled::Records => {
                self.metrics.poll_duration.observe(started.elapsed().as_secs_f64());
                self.polled();
                self.apply()
            }
            Polled::Assigned(partitions) => {
                tracing::info!(?partitions, "partitions assigned");
                self.unstarted.extend(partitions);
                self.report_standby();
                Ok(Step::Rebalanced)
            }
            Polled::Revoked(partitions) => {
                tracing::info!(?partitions, "partitions revoked");
                self.fences.retain(|partition, _| !partitions.contains(partition));
                self.forget_lag(&partitions);
                self.unstarted.retain(|partition| !partitions.contains(partition));
                self.report_standby();
                Ok(Step::Rebalanced)
            }
        }
    }

    fn polled(&mut self) {
        self.log_failures = 0;
        self.polled_at = Instant::now();
        if !self.fences.is_empty() {
            self.progress.running();
        }
        self.report_lag();
    }

    /// A member of the group without partitions is a standby: the others have them all.
    fn report_standby(&self) {
        if self.fences.is_empty() && self.unstarted.is_empty() {
            self.progress.standby();
        }
    }

    /// Applies the next part of what is fetched: all of it, unless a broken event is being looked for.
    fn apply(&mut self) -> Result<Step, Halt> {
        let Some(part) = self.current.next_part() else { return Ok(Step::Idle) };
        if self.polled_at.elapsed() >= POLL_AT_LEAST_EVERY {
            self.consumer.idle(Duration::ZERO);
            self.polled_at = Instant::now();
        }
        let spans = self.current.spans(&part, &self.fences);
        let batch = self.current.batch(&self.topic, &part, &spans);
        let ahead = part.len() >= FETCH_AHEAD_MIN && self.next.is_empty() && self.found.is_none();
        let Self { projection, consumer, next, settings, metrics, .. } = self;
        let mut apply = || {
            let started = Instant::now();
            let applied = projection.apply(&batch);
            metrics.store.observe("apply", started.elapsed());
            applied
        };
        let result = if ahead {
            let (result, found) = std::thread::scope(|scope| {
                let applying = scope.spawn(apply);
                let found = next.fill(consumer, settings.limits, Duration::ZERO);
                (applying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), found)
            });
            self.found = Some(found).filter(|found| !matches!(found, Ok(Polled::Records)));
            self.polled_at = Instant::now();
            result
        } else {
            apply()
        };
        match result {
            Ok(applied) => {
                let records = part.len();
                self.applied(&spans, applied, &part);
                Ok(Step::Projected(records))
            }
            Err(error) => self.refused(part, error),
        }
    }

    /// Notes a part that is projected now.
    fn applied(&mut self, spans: &[Span], applied: Applied, part: &Range<usize>) {
        self.breaker.lock().success();
        self.current.projected();
        let (letters, appended_at) = (self.current.letters(part), self.current.appended_at(part));
        self.metrics.projected(applied, letters, appended_at);
        self.fences.extend(spans.iter().map(|span| (span.partition, Some(span.next))));
        self.progress.projected(spans, part.len());
        self.feed.publish(|| Changes::of(self.current.events(part)));
        let next = |span: &Span| Position { partition: span.partition, offset: span.next };
        self.consumer.commit(&spans.iter().map(next).collect::<Vec<_>>());
        self.report_lag();
    }

    /// Decides what becomes of a part of which nothing was projected.
    fn refused(&mut self, part: Range<usize>, error: ApplyError) -> Result<Step, Halt> {
        match error {
            ApplyError::Transient(_) => {
                self.current.put_back(part);
                Err(self.store_failed(error))
            }
            ApplyError::Fenced { .. } => {
                tracing::warn!(%error, "dropping the batch and reading on from the checkpoints");
                self.current.clear();
                self.next.clear();
                self.unstarted = std::mem::take(&mut self.fences).into_keys().collect();
                Ok(Step::Fenced)
            }
            ApplyError::Poison(_) if self.current.bisect(&part, &error, self.settings.attempts_max) => {
                self.apply()
            }
            // Poison that is no event any more is a dead letter that cannot be stored: moving past it would lose it.
            ApplyError::Poison(_) | ApplyError::Fatal(_) => Err(self.store_failed(error)),
        }
    }

    fn report_lag(&mut self) {
        for (partition, lag) in self.consumer.lag() {
            self.metrics.lag.with_label_values(&[&partition.to_string()]).set(lag);
        }
    }

    /// What others read now is theirs to report.
    fn forget_lag(&self, partitions: &[i32]) {
        for partition in partitions {
            // There is none when nothing was ever read from it.
            let _none = self.metrics.lag.remove_label_values(&[&partition.to_string()]);
        }
    }

    /// A store that is away is waited for; what else it says ends the projector.
    fn store_failed(&mut self, error: ApplyError) -> Halt {
        if !matches!(error, ApplyError::Transient(_)) {
            return Halt::Stop(ProjectorError::Projection(error));
        }
        let failures = self.breaker.lock().failure(Instant::now());
        let delay = self.settings.backoff.delay(failures, rand::random());
        let delay = delay.max(self.breaker.lock().wait(Instant::now()));
        self.wait(delay, failures, chain(&error))
    }

    /// A log that is away is waited for; what else it says ends the projector.
    fn log_failed(&mut self, error: LogError) -> Halt {
        if matches!(error, LogError::Fatal(_)) {
            return Halt::Stop(ProjectorError::Log(error));
        }
        self.log_failures = self.log_failures.saturating_add(1);
        let delay = self.settings.backoff.delay(self.log_failures, rand::random());
        self.wait(delay, self.log_failures, chain(&error))
    }

    /// Reports what is waited for, and until when.
    fn wait(&self, delay: Duration, failures: u32, cause: String) -> Halt {
        report_wait(&self.progress, delay, failures, cause);
        Halt::Instead(Step::Waiting(delay))
    }
}

fn report_wait(progress: &Progress, delay: Duration, failures: u32, cause: String) {
    tracing::warn!(failures, retry_in_ms = u64::try_from(delay.as_millis()).ok(), "waiting: {cause}");
    progress.waiting(cause);
}
