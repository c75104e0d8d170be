//! The projector's state and positions, as other threads see them: `/ready`, the admin routes, tests that wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millrace_domain::{Position, Timestamp};
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::breaker::{BreakerSettings, BreakerState, SharedBreaker};
use crate::projection::Span;

/// What the projector is doing; drawn in [`crate::projector`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProjectorState {
    /// It opens the store, or waits for its group to assign partitions.
    #[default]
    Starting,
    /// Its group has assigned no partitions to it: other projectors have them.
    Standby,
    /// It projects.
    Running,
    /// It waits for infrastructure; the text is the reason.
    Waiting(String),
    /// It has stopped for good; the text is the reason.
    Stopped(String),
}

impl ProjectorState {
    /// In a word, for programs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Standby => "standby",
            Self::Running => "running",
            Self::Waiting(_) => "waiting",
            Self::Stopped(_) => "stopped",
        }
    }

    /// Why it does not project, unless it is ready: for `/ready`. A standby is ready.
    pub fn not_ready_reason(&self) -> Option<String> {
        match self {
            Self::Running | Self::Standby => None,
            Self::Starting => Some("projector starting".to_owned()),
            Self::Waiting(reason) => Some(format!("projector waiting: {reason}")),
            Self::Stopped(reason) => Some(format!("projector stopped: {reason}")),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct State {
    next: BTreeMap<i32, i64>,
    projector: ProjectorState,
    records: u64,
}

/// The state of the circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BreakerStatus {
    /// `closed`, `open` or `half-open`.
    pub state: &'static str,
    /// Failed calls to the store in a row.
    pub failures: u32,
    /// Since when it is not closed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Until when no call goes through, while it is open.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub open_until: Option<Timestamp>,
}

/// The projector's end.
#[derive(Debug, Clone)]
pub struct Progress {
    topic: Arc<str>,
    state: watch::Sender<State>,
    breaker: SharedBreaker,
    retry_now: Arc<AtomicBool>,
}

impl Progress {
    /// Of a projector that has not started, with a closed circuit breaker.
    pub fn new(topic: &str, breaker: BreakerSettings) -> Self {
        Self {
            topic: topic.into(),
            state: watch::Sender::default(),
            breaker: SharedBreaker::new(breaker),
            retry_now: Arc::default(),
        }
    }

    pub(super) fn breaker(&self) -> SharedBreaker {
        self.breaker.clone()
    }

    /// Whether a retry was requested; each request is returned once.
    pub(super) fn take_retry_now(&self) -> bool {
        self.retry_now.swap(false, Ordering::Relaxed)
    }

    /// What other threads see of it.
    pub fn reader(&self) -> ProgressReader {
        ProgressReader {
            topic: self.topic.clone(),
            state: self.state.subscribe(),
            breaker: self.breaker.clone(),
            retry_now: self.retry_now.clone(),
        }
    }

    pub(super) fn started(&self, positions: &[(i32, Option<i64>)]) {
        self.state.send_modify(|state| {
            state.projector = ProjectorState::Running;
            state.next.extend(positions.iter().map(|(partition, next)| (*partition, next.unwrap_or(0))));
        });
    }

    pub(super) fn projected(&self, spans: &[Span], records: usize) {
        self.state.send_modify(|state| {
            state.projector = ProjectorState::Running;
            state.records += records as u64;
            state.next.extend(spans.iter().map(|span| (span.partition, span.next)));
        });
    }

    /// It has partitions and the log answers, whether or not there is anything to project.
    pub(super) fn running(&self) {
        self.state.send_if_modified(|state| {
            let was_not = state.projector != ProjectorState::Running;
            state.projector = ProjectorState::Running;
            was_not
        });
    }

    pub(super) fn standby(&self) {
        self.state.send_modify(|state| state.projector = ProjectorState::Standby);
    }

    pub(super) fn waiting(&self, cause: String) {
        self.state.send_modify(|state| state.projector = ProjectorState::Waiting(cause));
    }

    pub(super) fn stopped(&self, cause: String) {
        self.state.send_modify(|state| state.projector = ProjectorState::Stopped(cause));
    }
}

/// The other threads' end. Clones read the same state.
#[derive(Debug, Clone)]
pub struct ProgressReader {
    topic: Arc<str>,
    state: watch::Receiver<State>,
    breaker: SharedBreaker,
    retry_now: Arc<AtomicBool>,
}

impl ProgressReader {
    /// The topic of all positions.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The state of the circuit breaker around the store.
    pub fn breaker(&self) -> BreakerStatus {
        let (now, breaker) = (Instant::now(), self.breaker.lock());
        let state = breaker.state(now);
        BreakerStatus {
            state: state.as_str(),
            failures: breaker.failures(),
            since: breaker.opened_at().and_then(|at| shifted(now.saturating_duration_since(at), -1)),
            open_until: (state == BreakerState::Open).then(|| shifted(breaker.wait(now), 1)).flatten(),
        }
    }

    /// Closes the circuit breaker and ends the projector's wait.
    pub fn retry_now(&self) {
        self.breaker.lock().reset();
        self.retry_now.store(true, Ordering::Relaxed);
    }

    /// What the projector is doing.
    pub fn state(&self) -> ProjectorState {
        self.state.borrow().projector.clone()
    }

    /// Records projected since the start.
    pub fn records(&self) -> u64 {
        self.state.borrow().records
    }

    /// Whether the record at that position is projected.
    pub fn is_projected(&self, position: Position) -> bool {
        is_projected(&self.state.borrow(), position)
    }

    /// Waits until the record at that position is projected; `false` when the projector ends before.
    pub async fn when_projected(&self, position: Position) -> bool {
        self.state.clone().wait_for(|state| is_projected(state, position)).await.is_ok()
    }
}

/// Now, shifted back (−1) or forward (1).
fn shifted(by: Duration, sign: i64) -> Option<Timestamp> {
    let micros = i64::try_from(by.as_micros()).ok()?;
    Timestamp::from_micros(Timestamp::now().micros() + sign * micros)
}

fn is_projected(state: &State, position: Position) -> bool {
    state.next.get(&position.partition).is_some_and(|next| *next > position.offset)
}
