//! The projector: polls the log, decodes, coalesces, applies, commits. One step at a time, on a thread of its own.
//!
//! It moves past a record only in the transaction that holds the record's effect or its dead letter. A record that cannot
//! be projected becomes a dead letter; infrastructure that is unavailable makes the projector wait. It never sleeps
//! inside a step, so tests can step it and [`ProjectorThread`] decides how to wait.
//!
//! ```text
//!                     assigned                     checkpoints read
//!   Starting ───────────────────────► unstarted ─────────────────────► Running ◄─┐
//!      │                                 ▲  ▲                           │  │     │
//!      │ assigned nothing                │  └────────── fenced ─────────┘  │     │ success
//!      ▼                    assigned     │                    unavailable  ▼     │
//!   Standby ─────────────────────────────┘                              Waiting ─┘
//!      ▲                                                                   │
//!      └────────────── all partitions revoked (from any state)             │
//!
//!   any state ── fatal error (a bug, a damaged store, another log) ──► Stopped
//! ```
//!
//! The states are [`ProjectorState`]. While a large batch is applied, the next one is fetched and decoded; nothing else
//! happens at the same time.

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
use fetched::{Fetched, Gap};

pub use progress::{BreakerStatus, Progress, ProgressReader, ProjectorState};
pub use runner::{ProjectorParts, ProjectorThread};

#[derive(Debug, Clone, Copy)]
pub struct ProjectorSettings {
    /// Most records and bytes of one transaction.
    pub limits: PollLimits,
    /// How long one step waits for a record.
    pub wait: Duration,
    /// Waits between tries of unavailable infrastructure.
    pub backoff: Backoff,
    /// When it stops calling an unavailable store.
    pub breaker: BreakerSettings,
    /// Attempts of an event that the store refuses, on its own, before it becomes a dead letter.
    pub attempts_max: u32,
    /// How long the inbox keeps an event; `None` means for ever.
    pub inbox_retention: Option<Duration>,
}

/// What a step did.
#[derive(Debug)]
pub enum Step {
    /// There was nothing to do.
    Idle,
    /// Partitions were assigned, revoked or started.
    Rebalanced,
    /// A batch, or a part of one, was projected: this many records.
    Projected(usize),
    /// Another projector has moved the fence; the batch was dropped.
    Fenced,
    /// Infrastructure is unavailable; step again after this long.
    Waiting(Duration),
}

/// Why a projector stops for good: a bug of ours, a damaged store, a log that does not belong to the tables.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    #[error(transparent)]
    Log(LogError),
    #[error(transparent)]
    Projection(ApplyError),
}

/// Why a step ends early.
enum Halt {
    /// With this result.
    Step(Step),
    /// The projector must stop.
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
    breaker: SharedBreaker,
    /// Failed polls in a row.
    log_failures: u32,
    /// Where this projector left the fence of each partition that it reads; `None` where none was ever set.
    fences: BTreeMap<i32, Option<i64>>,
    /// Assigned partitions that are not read yet: their checkpoints must be read first.
    unstarted: Vec<i32>,
    /// The batch in hand.
    current: Fetched,
    /// Fetched while the batch in hand was applied.
    next: Fetched,
    /// The result of that fetch when it was not records: handled by the next poll.
    pending_poll: Option<Result<Polled, LogError>>,
    polled_at: Instant,
    prune_at: Instant,
}

/// Smaller parts are applied so fast that fetching ahead gains nothing.
const FETCH_AHEAD_MIN: usize = 2_000;
/// While parts of a batch are tried one by one, the consumer is polled this often, to stay in its group.
const POLL_AT_LEAST_EVERY: Duration = Duration::from_secs(1);

impl Projector {
    /// A projector that has read nothing yet.
    ///
    /// # Errors
    /// [`LogError`] when the consumer cannot be created.
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
            pending_poll: None,
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

    /// Its progress, for other threads.
    pub fn progress(&self) -> ProgressReader {
        self.progress.reader()
    }

    /// The partitions that it reads now.
    pub fn partitions(&self) -> Vec<i32> {
        self.fences.keys().copied().collect()
    }

    /// Does one unit of work.
    ///
    /// # Errors
    /// [`ProjectorError`] when the projector must stop.
    pub fn step(&mut self) -> Result<Step, ProjectorError> {
        let open_for = self.breaker.lock().wait(Instant::now());
        if !open_for.is_zero() {
            return Ok(Step::Waiting(open_for));
        }
        if self.current.is_empty() {
            std::mem::swap(&mut self.current, &mut self.next);
        }
        let result = if !self.unstarted.is_empty() {
            self.start_partitions()
        } else if self.current.is_empty() {
            self.poll()
        } else {
            self.apply()
        };
        let step = match result {
            Ok(step) | Err(Halt::Step(step)) => step,
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
        let pending = self.pending_poll.take();
        let started = Instant::now();
        let Self { current, consumer, settings, .. } = self;
        let polled = pending.unwrap_or_else(|| current.fill(consumer, settings.limits, settings.wait));
        match polled.map_err(|error| self.log_failed(error))? {
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
                tracing::info!(target: "millrace::projector", ?partitions, "partitions assigned");
                self.unstarted.extend(partitions);
                self.report_standby();
                Ok(Step::Rebalanced)
            }
            Polled::Revoked(partitions) => {
                tracing::info!(target: "millrace::projector", ?partitions, "partitions revoked");
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

    /// Applies the next part of the batch: all of it, unless a part was refused and is being bisected.
    fn apply(&mut self) -> Result<Step, Halt> {
        let Some(part) = self.current.next_part() else { return Ok(Step::Idle) };
        if self.polled_at.elapsed() >= POLL_AT_LEAST_EVERY {
            self.consumer.idle(Duration::ZERO);
            self.polled_at = Instant::now();
        }
        let spans = self.current.spans(&part, &self.fences);
        if let Some(Gap { partition, fence, from }) = self.current.gap(&spans, &self.fences) {
            tracing::error!(
                target: "millrace::projector",
                partition,
                fence,
                from,
                "the log's consumer is not where the fence is; reading again from the checkpoints"
            );
            self.restart_partitions();
            return Ok(Step::Rebalanced);
        }
        let batch = self.current.batch(&self.topic, &part, &spans);
        let ahead = part.len() >= FETCH_AHEAD_MIN && self.next.is_empty() && self.pending_poll.is_none();
        let Self { projection, consumer, next, settings, metrics, .. } = self;
        let mut apply = || {
            let started = Instant::now();
            let applied = projection.apply(&batch);
            metrics.store.observe("apply", started.elapsed());
            applied
        };
        let result = if ahead {
            let (result, polled) = std::thread::scope(|scope| {
                let applying = scope.spawn(apply);
                let polled = next.fill(consumer, settings.limits, Duration::ZERO);
                (applying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), polled)
            });
            // An error or a rebalance is handled once this part has been, in its order.
            self.pending_poll = Some(polled).filter(|polled| !matches!(polled, Ok(Polled::Records)));
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

    /// Reports a part that was projected.
    fn applied(&mut self, spans: &[Span], applied: Applied, part: &Range<usize>) {
        self.breaker.lock().success();
        self.current.projected(spans);
        let (letters, appended_at) = (self.current.letters(part), self.current.appended_at(part));
        self.metrics.projected(applied, letters, appended_at);
        self.fences.extend(spans.iter().map(|span| (span.partition, Some(span.next))));
        self.progress.projected(spans, part.len());
        self.feed.publish(|| Changes::of(self.current.events(part)));
        let next = |span: &Span| Position { partition: span.partition, offset: span.next };
        // Advisory: the checkpoint in the tables is the truth, and Kafka's own tools show this one.
        self.consumer.commit(&spans.iter().map(next).collect::<Vec<_>>());
        self.report_lag();
    }

    /// Decides what happens to a part of which nothing was projected.
    fn refused(&mut self, part: Range<usize>, error: ApplyError) -> Result<Step, Halt> {
        match error {
            ApplyError::Transient(_) => {
                self.current.put_back(part);
                Err(self.store_failed(error))
            }
            ApplyError::Fenced { .. } => {
                tracing::warn!(target: "millrace::projector", %error, "dropping the batch and restarting from the checkpoints");
                self.restart_partitions();
                Ok(Step::Fenced)
            }
            ApplyError::Poison(_) if self.current.bisect(&part, &error, self.settings.attempts_max) => {
                self.apply()
            }
            // What is refused and is not an event any more is a dead letter: to move past it would lose it.
            ApplyError::Poison(_) | ApplyError::Fatal(_) => Err(self.store_failed(error)),
        }
    }

    /// Drops what was fetched and starts all partitions again at their checkpoints.
    fn restart_partitions(&mut self) {
        self.current.clear();
        self.next.clear();
        self.unstarted.extend(std::mem::take(&mut self.fences).into_keys());
    }

    fn report_lag(&mut self) {
        for (partition, lag) in self.consumer.lag() {
            self.metrics.lag.with_label_values(&[&partition.to_string()]).set(lag);
        }
    }

    /// The lag of a revoked partition is reported by the projector that reads it now.
    fn forget_lag(&self, partitions: &[i32]) {
        for partition in partitions {
            // A partition that was never read has none.
            let _removed = self.metrics.lag.remove_label_values(&[&partition.to_string()]);
        }
    }

    /// Waits for an unavailable store; stops for any other error.
    fn store_failed(&mut self, error: ApplyError) -> Halt {
        if !matches!(error, ApplyError::Transient(_)) {
            return Halt::Stop(ProjectorError::Projection(error));
        }
        let failures = self.breaker.lock().failure(Instant::now());
        let delay = self.settings.backoff.delay(failures, rand::random());
        let delay = delay.max(self.breaker.lock().wait(Instant::now()));
        self.wait(delay, failures, chain(&error))
    }

    /// Waits for an unavailable log; stops for any other error.
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
        Halt::Step(Step::Waiting(delay))
    }
}

fn report_wait(progress: &Progress, delay: Duration, failures: u32, cause: String) {
    tracing::warn!(target: "millrace::projector", failures, retry_in_ms = u64::try_from(delay.as_millis()).ok(), "waiting: {cause}");
    progress.waiting(cause);
}
