//! The thread that steps a projector until it is told to stop, and does its waiting.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Activity, ProgressReader, Projector, ProjectorError, Step};

/// While it waits, the consumer is kept in its group and the stop signal is looked at this often.
const WAIT_SLICE: Duration = Duration::from_millis(100);

/// A projector at work. Its thread ends when the token is cancelled, after the batch in hand.
#[derive(Debug)]
pub struct ProjectorThread {
    progress: ProgressReader,
    ended: oneshot::Receiver<Result<(), ProjectorError>>,
}

impl ProjectorThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(mut projector: Projector, stop: CancellationToken) -> std::io::Result<Self> {
        let progress = projector.progress();
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new().name("projector".to_owned()).spawn(move || {
            let result = projector.run(&stop);
            if let Err(error) = &result {
                projector.progress.stopped(shared::telemetry::chain(error));
            }
            // Nobody may be listening at shutdown.
            let _gone = end.send(result);
        })?;
        Ok(Self { progress, ended })
    }

    /// How far it has come.
    pub fn progress(&self) -> ProgressReader {
        self.progress.clone()
    }

    /// Returns when the thread has ended.
    ///
    /// # Errors
    /// What the projector could not go on from.
    pub async fn ended(self) -> Result<(), ProjectorError> {
        match self.ended.await {
            Ok(result) => result,
            Err(_) => Err(ProjectorError::Log(crate::event_log::LogError::Fatal(
                "the projector's thread panicked".to_owned(),
            ))),
        }
    }
}

impl Projector {
    fn run(&mut self, stop: &CancellationToken) -> Result<(), ProjectorError> {
        while !stop.is_cancelled() {
            if let Step::Waiting(delay) = self.step()? {
                self.pause(delay, stop);
            }
        }
        Ok(())
    }

    fn pause(&mut self, delay: Duration, stop: &CancellationToken) {
        let until = Instant::now() + delay;
        while !stop.is_cancelled() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.progress.take_retry_now() {
                return;
            }
            self.consumer.idle(left.min(WAIT_SLICE));
        }
    }
}

impl ProgressReader {
    /// What is wrong with the projector, if anything is: for `/ready`.
    pub fn complaint(&self) -> Option<String> {
        match self.activity() {
            Activity::Running => None,
            Activity::Starting => Some("the projector has no partitions yet".to_owned()),
            Activity::Waiting(cause) => Some(format!("the projector waits: {cause}")),
            Activity::Stopped(cause) => Some(format!("the projector has stopped: {cause}")),
        }
    }
}
