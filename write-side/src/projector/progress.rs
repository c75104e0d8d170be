//! How far the projector has come, for those who wait for a position, and for `/ready`.

use std::collections::BTreeMap;

use shared::Position;
use tokio::sync::watch;

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

/// The projector's end.
#[derive(Debug)]
pub struct Progress {
    topic: String,
    state: watch::Sender<State>,
}

impl Progress {
    pub(super) fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), state: watch::Sender::default() }
    }

    pub(super) fn reader(&self) -> ProgressReader {
        ProgressReader { topic: self.topic.as_str().into(), state: self.state.subscribe() }
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
    topic: std::sync::Arc<str>,
    state: watch::Receiver<State>,
}

impl ProgressReader {
    /// The topic of all positions.
    pub fn topic(&self) -> &str {
        &self.topic
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

fn is_projected(state: &State, position: Position) -> bool {
    state.next.get(&position.partition).is_some_and(|next| *next > position.offset)
}
