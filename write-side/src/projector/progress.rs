//! How far the projector has come, for those who wait for a position, and for `/ready`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use shared::{Position, Timestamp};
use tokio::sync::watch;

use crate::breaker::{BreakerState, SharedBreaker};
use crate::projection::Span;

/// What the projector is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Activity {
    /// It has not been given partitions yet.
    #[default]
    Starting,
    /// It projects.
    Running,
    /// It waits for infrastructure; the text says which and why.
    Waiting(String),
    /// It has ended and will not go on by itself; the text says why.
    Stopped(String),
}

#[derive(Debug, Clone, Default)]
struct State {
    next: BTreeMap<i32, i64>,
    activity: Activity,
    records: u64,
}

/// How the circuit breaker stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerStatus {
    /// `closed`, `open` or `half-open`.
    pub state: &'static str,
    /// Calls to the store that failed in a row.
    pub failures: u32,
    /// Since when it is not closed.
    pub since: Option<Timestamp>,
    /// Until when nothing goes through, when it is open.
    pub open_until: Option<Timestamp>,
}

/// The projector's end.
#[derive(Debug)]
pub struct Progress {
    topic: String,
    state: watch::Sender<State>,
    breaker: SharedBreaker,
    retry_now: Arc<AtomicBool>,
}

impl Progress {
    pub(super) fn new(topic: &str, breaker: SharedBreaker) -> Self {
        Self { topic: topic.to_owned(), state: watch::Sender::default(), breaker, retry_now: Arc::default() }
    }

    /// Whether somebody asked to try again at once. Asked for once, it is told once.
    pub(super) fn take_retry_now(&self) -> bool {
        self.retry_now.swap(false, Ordering::Relaxed)
    }

    pub(super) fn reader(&self) -> ProgressReader {
        ProgressReader {
            topic: self.topic.as_str().into(),
            state: self.state.subscribe(),
            breaker: self.breaker.clone(),
            retry_now: self.retry_now.clone(),
        }
    }

    pub(super) fn started(&self, positions: &[(i32, Option<i64>)]) {
        self.state.send_modify(|state| {
            state.activity = Activity::Running;
            state.next.extend(positions.iter().map(|(partition, next)| (*partition, next.unwrap_or(0))));
        });
    }

    pub(super) fn projected(&self, spans: &[Span], records: usize) {
        self.state.send_modify(|state| {
            state.activity = Activity::Running;
            state.records += records as u64;
            state.next.extend(spans.iter().map(|span| (span.partition, span.next)));
        });
    }

    /// It projects, or would if there were something.
    pub(super) fn running(&self) {
        self.state.send_if_modified(|state| {
            let was_not = state.activity != Activity::Running;
            state.activity = Activity::Running;
            was_not
        });
    }

    pub(super) fn waiting(&self, cause: String) {
        self.state.send_modify(|state| state.activity = Activity::Waiting(cause));
    }

    pub(super) fn stopped(&self, cause: String) {
        self.state.send_modify(|state| state.activity = Activity::Stopped(cause));
    }
}

/// Everyone else's end. Clones see the same.
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

    /// How the circuit breaker around the store stands.
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
    pub fn activity(&self) -> Activity {
        self.state.borrow().activity.clone()
    }

    /// Records projected since the start.
    pub fn records(&self) -> u64 {
        self.state.borrow().records
    }

    /// Whether the record at that position is projected.
    pub fn is_projected(&self, position: Position) -> bool {
        is_projected(&self.state.borrow(), position)
    }

    /// Returns once the record at that position is projected: `true`; `false` when the projector is gone before.
    pub async fn when_projected(&self, position: Position) -> bool {
        self.state.clone().wait_for(|state| is_projected(state, position)).await.is_ok()
    }
}

/// The present, shifted back (−1) or forward (1).
fn shifted(by: Duration, sign: i64) -> Option<Timestamp> {
    let micros = i64::try_from(by.as_micros()).ok()?;
    Timestamp::from_micros(Timestamp::now().micros() + sign * micros)
}

fn is_projected(state: &State, position: Position) -> bool {
    state.next.get(&position.partition).is_some_and(|next| *next > position.offset)
}
