//! The mirror: keeps the list in Redis equal to the open letters in the store, exactly once each, newest first.
//!
//! The store says what is to be done: a letter that is open and not shown is pushed, one that is closed and shown is
//! removed. A push is noted as begun before and as done after it, so that no crash between the two leaves a letter
//! behind in either place. Redis being away makes the mirror wait and nobody else; it catches up by itself.

use std::time::{Duration, Instant};

use millrace_platform::redis::RedisUrl;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::redis::{Claim, ListError, RedisList};
use super::{DeadLetter, DeadLetters, LetterError, LetterId};
use crate::metrics::MirrorMetrics;
use crate::retry::Backoff;

/// How often store and Redis are looked at while there is nothing to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const BACKOFF: Backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(10) };
/// A list that others change is not filled again more often than this: it might be what they live on.
const REFILL_EVERY: Duration = Duration::from_secs(60);

/// Whether the list shows a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// No.
    No = 0,
    /// A push was begun, and its answer is not known.
    Perhaps = 1,
    /// Yes.
    Yes = 2,
}

/// Which filling of the list the store speaks of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MirrorPoint {
    /// The list's name for it; empty when there never was one.
    pub generation: String,
    /// Changes of the list that the store knows of.
    pub version: i64,
}

/// What the mirror has to do next.
#[derive(Debug, Default)]
pub struct MirrorWork {
    /// Closed letters that are shown, at most a hundred.
    pub remove: Vec<LetterId>,
    /// Open letters that are not shown, the oldest first, at most a hundred and at most about a megabyte.
    pub push: Vec<DeadLetter>,
    /// All such letters.
    pub waiting: u64,
}

/// What the mirror needs of the store.
impl DeadLetters {
    /// Which filling the store speaks of.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn mirror_point(&self) -> Result<MirrorPoint, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.mirror_point().await,
            Self::Mssql(letters) => letters.mirror_point().await,
        }
    }

    /// Begins a new filling: no letter is shown.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn mirror_restart(&self, generation: &str) -> Result<(), LetterError> {
        match self {
            Self::Sqlite(letters) => letters.mirror_restart(generation).await,
            Self::Mssql(letters) => letters.mirror_restart(generation).await,
        }
    }

    /// What is to be done.
    ///
    /// # Errors
    /// [`LetterError::Store`].
    pub async fn mirror_work(&self) -> Result<MirrorWork, LetterError> {
        match self {
            Self::Sqlite(letters) => letters.mirror_work().await,
            Self::Mssql(letters) => letters.mirror_work().await,
        }
    }

    /// Notes whether letters are shown, as of that point. Returns whether the store still speaks of that filling;
    /// nothing was noted otherwise.
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

/// Why a round did not come to its end. What it did is done, and the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The list.
    #[error(transparent)]
    List(#[from] ListError),
    /// The store.
    #[error(transparent)]
    Store(#[from] LetterError),
}

/// What a round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// List and store agree.
    Agreed,
    /// It changed the list and there may be more to do.
    Changed,
    /// Another process keeps the list.
    Another,
    /// Others changed the list, which was filled anew only a moment ago.
    LeftAlone,
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

    /// Mirrors until it is told to stop.
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
            is_up = Some(self.say(result.err(), is_up));
            // A select would drop a round midway; only the pause is cut short.
            let _stopped = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
        if is_up == Some(true) {
            // The lease ends by itself; this only saves the next process the wait.
            let _kept = self.list.release().await;
        }
    }

    /// Tells once that Redis is away, and once that it is back. Returns whether it is up.
    fn say(&self, error: Option<MirrorError>, was_up: Option<bool>) -> bool {
        let is_up = match error {
            // Being overtaken is another's success.
            None | Some(MirrorError::List(ListError::Overtaken)) => true,
            Some(error) => {
                if was_up != Some(false) {
                    let cause = millrace_platform::telemetry::chain(&error);
                    tracing::warn!(
                        redis = %self.list.address(),
                        "dead letters are not mirrored, and will be by themselves once this is over: {cause}"
                    );
                }
                false
            }
        };
        if is_up && was_up == Some(false) {
            tracing::info!(redis = %self.list.address(), "dead letters are mirrored again");
        }
        self.metrics.up.set(i64::from(is_up));
        is_up
    }

    /// Claims the list, fills it anew when it is not the one that the store speaks of, and does the next part of what
    /// there is to do.
    ///
    /// # Errors
    /// [`MirrorError`]; the next round goes on where this one stopped.
    pub async fn round(&mut self) -> Result<Round, MirrorError> {
        let result = self.claim_and_change(false).await;
        if result.is_err() {
            self.list.disconnect();
        }
        result
    }

    /// Fills the list anew, taking it from the process that keeps it. Returns how many letters it shows.
    ///
    /// # Errors
    /// [`MirrorError`]; whoever mirrors next goes on.
    pub async fn rebuild(&mut self) -> Result<u64, MirrorError> {
        let claim = self.list.claim(true).await?.ok_or(ListError::Overtaken)?;
        self.restart(&claim, "it was asked for").await?;
        self.catch_up().await
    }

    /// Mirrors until there is nothing left to do. Returns how many letters are open.
    ///
    /// # Errors
    /// [`MirrorError`]; whoever mirrors next goes on.
    pub async fn catch_up(&mut self) -> Result<u64, MirrorError> {
        while self.claim_and_change(true).await? == Round::Changed {}
        self.list.release().await?;
        Ok(self.letters.depth(&super::LetterFilter::default()).await?)
    }

    /// Mirrors until there is nothing left to do, unless another process keeps the list, which then does so.
    ///
    /// # Errors
    /// [`MirrorError`]; whoever mirrors next goes on.
    pub async fn tidy(&mut self) -> Result<(), MirrorError> {
        while self.claim_and_change(false).await? == Round::Changed {}
        Ok(self.list.release().await?)
    }

    async fn claim_and_change(&mut self, force: bool) -> Result<Round, MirrorError> {
        let Some(claim) = self.list.claim(force).await? else { return Ok(Round::Another) };
        let point = self.letters.mirror_point().await?;
        if let Some(why) = why_restart(&claim, &point) {
            if !claim.agrees && self.refilled.is_some_and(|at| at.elapsed() < REFILL_EVERY) {
                return Ok(Round::LeftAlone);
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

    /// The store forgets first: should this process die in between, the generations differ and it is done once more.
    async fn restart(&mut self, claim: &Claim, why: &str) -> Result<(), MirrorError> {
        let generation = Uuid::now_v7().to_string();
        self.letters.mirror_restart(&generation).await?;
        let aside = self.list.reset(claim, &generation).await?;
        self.refilled = Some(Instant::now());
        tracing::info!(list = self.list.name(), "filling the list of dead letters anew: {why}");
        if let Some(aside) = aside {
            tracing::warn!(
                list = self.list.name(),
                "a list that is not Millrace's stood there; it is kept as {aside}"
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
        // First what frees memory, which may be what is missing.
        if !work.remove.is_empty() {
            point.version = self.list.remove(claim, &work.remove).await?;
            self.note(&work.remove, Shown::No, &point).await?;
        }
        if !work.push.is_empty() {
            let ids: Vec<_> = work.push.iter().map(DeadLetter::id).collect();
            self.note(&ids, Shown::Perhaps, &point).await?;
            point.version = self.list.push(claim, &work.push).await?;
            self.note(&ids, Shown::Yes, &point).await?;
        }
        Ok(())
    }

    async fn note(&self, ids: &[LetterId], shown: Shown, point: &MirrorPoint) -> Result<(), MirrorError> {
        if self.letters.mirrored(ids, shown, point).await? {
            return Ok(());
        }
        Err(ListError::Overtaken.into())
    }
}

/// Why the list cannot be the one that the store speaks of, if it cannot.
fn why_restart(claim: &Claim, point: &MirrorPoint) -> Option<&'static str> {
    if claim.generation.is_empty() && point.generation.is_empty() {
        Some("it is the first time")
    } else if claim.generation.is_empty() {
        Some("Redis was emptied, or is another one")
    } else if claim.generation != point.generation {
        Some("it showed the letters of another store")
    } else if claim.version < point.version {
        Some("Redis has forgotten its last changes")
    } else if !claim.agrees {
        Some("the list was changed by others")
    } else {
        None
    }
}
