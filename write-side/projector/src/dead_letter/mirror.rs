//! The mirror: keeps the list in Redis equal to the open letters in the store, exactly once each, newest first.
//!
//! The store decides what to do: an open letter that the list does not show is pushed, a closed one that it shows is
//! removed. A push is recorded as started before it and as done after it, so that a crash in between neither loses a
//! letter nor shows it twice. While Redis is unavailable only the mirror waits; it catches up by itself.

use std::time::{Duration, Instant};

use millrace_platform::redis::RedisUrl;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::letter::{DeadLetter, LetterId};
use super::redis::{Claim, ListError, RedisList};
use super::review::LetterError;
use super::{DeadLetters, LetterFilter};

pub use super::mirror_state::{MirrorPoint, MirrorWork, Shown};
use crate::metrics::MirrorMetrics;
use crate::retry::Backoff;

/// Between two rounds while there is nothing to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const BACKOFF: Backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(10) };
/// A list that other programs change is not refilled more often than this, or the two would fight over it.
const REFILL_EVERY: Duration = Duration::from_secs(60);

impl DeadLetters {
    /// Which filling the store describes.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn mirror_point(&self) -> Result<MirrorPoint, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.mirror_point().await,
            Self::Mssql(letters) => letters.mirror_point().await,
        }
    }

    /// Starts a new filling: the list shows no letter.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn mirror_restart(&self, generation: &str) -> Result<(), LetterError> {
        match self {
            Self::Sqlite(letters) => letters.mirror_restart(generation).await,
            Self::Mssql(letters) => letters.mirror_restart(generation).await,
        }
    }

    /// What the mirror must do next.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn mirror_work(&self) -> Result<MirrorWork, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.mirror_work().await,
            Self::Mssql(letters) => letters.mirror_work().await,
        }
    }

    /// Records whether the list shows these letters, as of `point`. Returns false, and records nothing, when the store
    /// describes another filling by now.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn mirrored(
        &self,
        ids: &[LetterId],
        shown: Shown,
        point: &MirrorPoint,
    ) -> Result<bool, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.mirrored(ids, shown, point).await,
            Self::Mssql(letters) => letters.mirrored(ids, shown, point).await,
        }
    }
}

/// Why a round ended early. Its changes are kept, and the next round continues.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    #[error(transparent)]
    List(#[from] ListError),
    #[error(transparent)]
    Store(#[from] LetterError),
}

/// The result of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// The list is up to date.
    Agreed,
    /// The list was changed, and there may be more to do.
    Changed,
    /// Another process maintains the list.
    Another,
    /// Another program changed the list, which was refilled only a moment ago.
    Backoff,
}

/// The mirror of one process.
#[derive(Debug)]
pub struct Mirror {
    letters: DeadLetters,
    list: RedisList,
    metrics: MirrorMetrics,
    refilled: Option<Instant>,
}

impl Mirror {
    /// A mirror of these letters in that list.
    pub fn new(letters: DeadLetters, url: RedisUrl, list: &str, metrics: MirrorMetrics) -> Self {
        Self { letters, list: RedisList::new(url, list), metrics, refilled: None }
    }

    /// Mirrors until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut failures, mut is_up) = (0_u32, None);
        while !stop.is_cancelled() {
            let result = self.round().await;
            let pause = match &result {
                Ok(Round::Changed) => Duration::ZERO,
                Ok(_) => LOOK_EVERY,
                Err(_) => BACKOFF.delay(failures.saturating_add(1), rand::random()),
            };
            failures = if result.is_ok() { 0 } else { failures.saturating_add(1) };
            is_up = Some(self.report(result.err(), is_up));
            // Only the pause can be cancelled: a round that is dropped midway would leave its claim behind.
            let _stopped = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
        if is_up == Some(true) {
            // The lease would end by itself; releasing it saves the next process the wait.
            let _still_leased = self.list.release().await;
        }
    }

    /// Logs once when Redis becomes unavailable and once when it is back. Returns whether it is up.
    fn report(&self, error: Option<MirrorError>, was_up: Option<bool>) -> bool {
        let is_up = match error {
            // Another process has taken over, so the mirror is fine.
            None | Some(MirrorError::List(ListError::Overtaken)) => true,
            Some(error) => {
                if was_up != Some(false) {
                    let cause = millrace_platform::telemetry::chain(&error);
                    tracing::warn!(
                        target: "millrace::projector", redis = %self.list.address(),
                        "dead letters not mirrored, retrying: {cause}"
                    );
                }
                false
            }
        };
        if is_up && was_up == Some(false) {
            tracing::info!(target: "millrace::projector", redis = %self.list.address(), "dead letters are mirrored again");
        }
        self.metrics.up.set(i64::from(is_up));
        is_up
    }

    /// Claims the list, refills it when it is not the one that the store describes, and does the next part of the work.
    ///
    /// # Errors
    /// [`MirrorError`]; the next round continues.
    pub async fn round(&mut self) -> Result<Round, MirrorError> {
        let result = self.claim_and_change(false).await;
        if result.is_err() {
            self.list.disconnect();
        }
        result
    }

    /// Refills the list, also when another process maintains it. Returns how many letters it shows.
    ///
    /// # Errors
    /// [`MirrorError`]; the next mirror continues.
    pub async fn rebuild(&mut self) -> Result<u64, MirrorError> {
        let claim = self.list.claim(true).await?.ok_or(ListError::Overtaken)?;
        self.restart(&claim, "requested").await?;
        self.catch_up().await
    }

    /// Mirrors until there is nothing left to do. Returns how many letters are open.
    ///
    /// # Errors
    /// [`MirrorError`]; the next mirror continues.
    pub async fn catch_up(&mut self) -> Result<u64, MirrorError> {
        while self.claim_and_change(true).await? == Round::Changed {}
        self.list.release().await?;
        Ok(self.letters.depth(&LetterFilter::default()).await?)
    }

    /// Mirrors until there is nothing left to do, unless another process maintains the list.
    ///
    /// # Errors
    /// [`MirrorError`]; the next mirror continues.
    pub async fn tidy(&mut self) -> Result<(), MirrorError> {
        while self.claim_and_change(false).await? == Round::Changed {}
        Ok(self.list.release().await?)
    }

    async fn claim_and_change(&mut self, force: bool) -> Result<Round, MirrorError> {
        let Some(claim) = self.list.claim(force).await? else { return Ok(Round::Another) };
        let point = self.letters.mirror_point().await?;
        if let Some(why) = refill_reason(&claim, &point) {
            if !claim.agrees && self.refilled.is_some_and(|at| at.elapsed() < REFILL_EVERY) {
                return Ok(Round::Backoff);
            }
            self.restart(&claim, why).await?;
            return Ok(Round::Changed);
        }
        let work = self.letters.mirror_work().await?;
        self.metrics.pending.set(work.waiting.cast_signed());
        if work.waiting == 0 {
            return Ok(Round::Agreed);
        }
        self.change(&claim, point, work).await?;
        Ok(Round::Changed)
    }

    /// Starts a new filling, in the store first: if this process dies in between, the generations differ and the next
    /// round starts over.
    async fn restart(&mut self, claim: &Claim, why: &str) -> Result<(), MirrorError> {
        let generation = Uuid::now_v7().to_string();
        self.letters.mirror_restart(&generation).await?;
        let aside = self.list.reset(claim, &generation).await?;
        self.refilled = Some(Instant::now());
        tracing::info!(target: "millrace::projector", list = self.list.name(), "refilling the list of dead letters: {why}");
        if let Some(aside) = aside {
            tracing::warn!(
                target: "millrace::projector", list = self.list.name(),
                "a foreign list of that name was renamed to {aside}"
            );
        }
        Ok(())
    }

    async fn change(
        &mut self,
        claim: &Claim,
        mut point: MirrorPoint,
        work: MirrorWork,
    ) -> Result<(), MirrorError> {
        // Removals first: they free memory, and Redis may be full.
        if !work.remove.is_empty() {
            point.version = self.list.remove(claim, &work.remove).await?;
            self.record(&work.remove, Shown::No, &point).await?;
        }
        if !work.push.is_empty() {
            let ids: Vec<_> = work.push.iter().map(DeadLetter::id).collect();
            self.record(&ids, Shown::Perhaps, &point).await?;
            point.version = self.list.push(claim, &work.push).await?;
            self.record(&ids, Shown::Yes, &point).await?;
        }
        Ok(())
    }

    async fn record(&self, ids: &[LetterId], shown: Shown, point: &MirrorPoint) -> Result<(), MirrorError> {
        if self.letters.mirrored(ids, shown, point).await? {
            return Ok(());
        }
        Err(ListError::Overtaken.into())
    }
}

/// Why the list is not the one that the store describes; `None` when it is.
fn refill_reason(claim: &Claim, point: &MirrorPoint) -> Option<&'static str> {
    if claim.generation.is_empty() && point.generation.is_empty() {
        Some("first filling")
    } else if claim.generation.is_empty() {
        Some("Redis was emptied or replaced")
    } else if claim.generation != point.generation {
        Some("it shows the letters of another store")
    } else if claim.version < point.version {
        Some("Redis lost its last changes")
    } else if !claim.agrees {
        Some("another program changed it")
    } else {
        None
    }
}
