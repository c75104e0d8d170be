//! Read your writes: a read with the Consistency-Token of a write waits until the write is projected.
//!
//! All waiting reads share one poller of the checkpoints, which runs only while at least one waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millrace_domain::consistency::ConsistencyToken;
use millrace_platform::telemetry::chain;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::read_model::{Checkpoints, ReadModel};

/// Pause between two polls: after progress, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(16);

/// Waits for checkpoints. Clones are cheap and share the poller.
#[derive(Debug, Clone)]
pub struct Consistency(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    read_model: ReadModel,
    wait_max: Duration,
    /// `None` while the poller is stopped: older checkpoints can belong to tables that were rebuilt since.
    latest: watch::Sender<Option<Checkpoints>>,
    is_polling: Mutex<bool>,
}

/// What a read requires.
#[derive(Debug)]
pub struct Requirement {
    pub token: ConsistencyToken,
    /// Whether a stale answer is better than none.
    pub accepts_stale: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// The writes of the token are projected.
    Current,
    /// They are not, and the client accepts that.
    Stale,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsistencyError {
    #[error("{0}")]
    Malformed(String),
    #[error("the topic of the Consistency-Token is not projected here")]
    UnknownTopic,
    #[error("not projected within {} ms; retry, or send Consistency: eventual for a stale answer", waited.as_millis())]
    NotYetProjected { waited: Duration },
}

impl ConsistencyError {
    /// A stable word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::UnknownTopic => "invalid-value",
            Self::NotYetProjected { .. } => "not-yet-projected",
        }
    }
}

impl Consistency {
    /// `wait_max` limits each wait.
    pub fn new(read_model: ReadModel, wait_max: Duration) -> Self {
        Self(Arc::new(Shared {
            read_model,
            wait_max,
            latest: watch::Sender::new(None),
            is_polling: Mutex::new(false),
        }))
    }

    /// Waits until the positions of the token are projected.
    ///
    /// # Errors
    /// [`ConsistencyError`]
    pub async fn wait_for(&self, requirement: &Requirement) -> Result<Freshness, ConsistencyError> {
        let token = &requirement.token;
        // Subscribe before the poller is started: it stops when there are no subscribers.
        let mut latest = self.0.latest.subscribe();
        self.start_poller();
        let is_projected =
            |known: &Option<Checkpoints>| known.as_ref().is_some_and(|known| covers(known, token));
        if let Ok(Ok(_)) = timeout(self.0.wait_max, latest.wait_for(is_projected)).await {
            return Ok(Freshness::Current);
        }
        match &*latest.borrow() {
            Some(known)
                if !known.is_empty() && token.positions().any(|(topic, _)| !known.contains_key(topic)) =>
            {
                Err(ConsistencyError::UnknownTopic)
            }
            _ if requirement.accepts_stale => Ok(Freshness::Stale),
            _ => Err(ConsistencyError::NotYetProjected { waited: self.0.wait_max }),
        }
    }

    fn start_poller(&self) {
        let mut is_polling = self.0.is_polling.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_polling {
            *is_polling = true;
            tokio::spawn(poll(self.0.clone()));
        }
    }
}

/// Polls the checkpoints until no read waits.
async fn poll(shared: Arc<Shared>) {
    let mut pause = PAUSE_MIN;
    let mut is_failing = false;
    while !shared.stop_if_unused() {
        match shared.read_model.checkpoints().await {
            Ok(checkpoints) => {
                let has_moved = shared.latest.send_if_modified(|latest| {
                    let has_moved = latest.as_ref() != Some(&checkpoints);
                    *latest = Some(checkpoints);
                    has_moved
                });
                pause = if has_moved { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
                is_failing = false;
            }
            Err(error) => {
                // Once for each outage.
                if !is_failing {
                    tracing::warn!(target: "millrace::read_side", error = chain(&error), "failed to read the checkpoints; retrying");
                }
                is_failing = true;
                pause = PAUSE_MAX;
            }
        }
        sleep(pause).await;
    }
}

impl Shared {
    /// Returns true if no read waits; the next one starts another poller.
    fn stop_if_unused(&self) -> bool {
        // Under the lock, so that a read that subscribes now either keeps this poller or starts another.
        let mut is_polling = self.is_polling.lock().unwrap_or_else(PoisonError::into_inner);
        if self.latest.receiver_count() > 0 {
            return false;
        }
        self.latest.send_replace(None);
        *is_polling = false;
        true
    }
}

fn covers(checkpoints: &Checkpoints, token: &ConsistencyToken) -> bool {
    token.positions().all(|(topic, position)| {
        let next = checkpoints.get(topic).and_then(|partitions| partitions.get(&position.partition));
        next.is_some_and(|next| *next > position.offset)
    })
}
