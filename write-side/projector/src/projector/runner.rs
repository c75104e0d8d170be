//! The thread of a projector: opens the store, steps the projector until it is stopped, and does its waiting.

use std::time::{Duration, Instant};

use millrace_event_log::{EventLog, LogError};
use millrace_mssql::ReadModelUrl;
use millrace_platform::change_feed::ChangeFeed;
use millrace_platform::settings::Switch;
use millrace_platform::telemetry::chain;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Progress, Projector, ProjectorError, ProjectorSettings, Step};
use crate::metrics::ProjectorMetrics;
use crate::projection::{ApplyError, Projection};

/// While it waits, the consumer stays in its group and the stop signal is checked this often.
const WAIT_SLICE: Duration = Duration::from_millis(100);

/// What a projector is made of.
#[derive(Debug)]
pub struct ProjectorParts {
    /// Where records come from.
    pub log: EventLog,
    /// Where rows go. It need not be available yet.
    pub read_model: ReadModelUrl,
    /// Whether to migrate the read model; else another process does.
    pub migrate: Switch,
    /// How it works.
    pub settings: ProjectorSettings,
    /// What it counts.
    pub metrics: ProjectorMetrics,
    /// Where it publishes changes.
    pub feed: ChangeFeed,
    /// Where it reports its state.
    pub progress: Progress,
}

/// A projector at work. Its thread ends when the token is cancelled, after the batch in hand.
#[derive(Debug)]
pub struct ProjectorThread {
    ended: oneshot::Receiver<Result<(), ProjectorError>>,
}

impl ProjectorThread {
    /// Starts the thread. Must be called within a runtime, which does the requests to SQL Server.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(parts: ProjectorParts, stop: CancellationToken) -> std::io::Result<Self> {
        let runtime = Handle::current();
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new().name("projector".to_owned()).spawn(move || {
            let _entered = runtime.enter();
            let (progress, metrics) = (parts.progress.clone(), parts.metrics.clone());
            metrics.running.set(1);
            let result = run(parts, &stop);
            if let Err(error) = &result {
                metrics.running.set(0);
                progress.stopped(chain(error));
            }
            // At shutdown no one may be listening any more.
            let _closed = end.send(result);
        })?;
        Ok(Self { ended })
    }

    /// Returns when the thread has ended.
    ///
    /// # Errors
    /// Why the projector stopped for good.
    pub async fn ended(self) -> Result<(), ProjectorError> {
        match self.ended.await {
            Ok(result) => result,
            Err(_) => Err(ProjectorError::Log(LogError::Fatal("the projector thread panicked".to_owned()))),
        }
    }
}

fn run(parts: ProjectorParts, stop: &CancellationToken) -> Result<(), ProjectorError> {
    let Some(projection) = open_store(&parts, stop)? else { return Ok(()) };
    let ProjectorParts { log, settings, metrics, feed, progress, .. } = parts;
    let projector = Projector::new(&log, projection, settings, metrics, progress);
    projector.map_err(ProjectorError::Log)?.with_feed(feed).run(stop)
}

/// Opens the store, waiting while it is unavailable; `None` when stopped before.
fn open_store(
    parts: &ProjectorParts,
    stop: &CancellationToken,
) -> Result<Option<Projection>, ProjectorError> {
    let ProjectorParts { read_model, migrate, settings, progress, .. } = parts;
    let mut failures = 0;
    while !stop.is_cancelled() {
        let opened = match migrate {
            Switch::On => Projection::open(read_model).map(|(projection, _steps)| projection),
            Switch::Off => Projection::open_migrated(read_model),
        };
        let error = match opened {
            Ok(projection) => return Ok(Some(projection)),
            Err(error @ ApplyError::Transient(_)) => error,
            Err(error) => return Err(ProjectorError::Projection(error)),
        };
        failures += 1;
        let delay = settings.backoff.delay(failures, rand::random());
        super::report_wait(progress, delay, failures, format!("{}: {}", read_model.name(), chain(&error)));
        pause(delay, stop, progress, std::thread::sleep);
    }
    Ok(None)
}

/// Waits in slices, so that neither a stop signal nor a request to retry is missed.
fn pause(delay: Duration, stop: &CancellationToken, progress: &Progress, mut sleep: impl FnMut(Duration)) {
    let until = Instant::now() + delay;
    while !stop.is_cancelled() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || progress.take_retry_now() {
            return;
        }
        sleep(left.min(WAIT_SLICE));
    }
}

impl Projector {
    fn run(mut self, stop: &CancellationToken) -> Result<(), ProjectorError> {
        while !stop.is_cancelled() {
            if let Step::Waiting(delay) = self.step()? {
                let Self { consumer, progress, .. } = &mut self;
                pause(delay, stop, progress, |slice| consumer.idle(slice));
            }
        }
        Ok(())
    }
}
