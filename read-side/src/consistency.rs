//! Read your writes: a request that brings the Consistency-Token of a write waits until that write is projected.
//!
//! All who wait share one poller of the checkpoints, which runs only while somebody waits. A request without a token
//! costs one look at its headers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use millrace_domain::consistency::{ConsistencyToken, HEADER};
use millrace_platform::problem::Problem;
use millrace_platform::telemetry::chain;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::read_model::{Checkpoints, ReadModel};

const TOKEN: HeaderName = HeaderName::from_static(HEADER);
/// `eventual` in a request: rather a stale answer than none. `stale` in its answer: that is what this is.
const CONSISTENCY: HeaderName = HeaderName::from_static("consistency");
/// Between two looks at the checkpoints: after one that showed progress, and at most, when nothing moves.
const LOOK_MIN: Duration = Duration::from_millis(1);
const LOOK_MAX: Duration = Duration::from_millis(16);

/// Whoever waits for writes waits here. Clones are cheap and share the poller.
#[derive(Debug, Clone)]
pub struct Consistency(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    read_model: ReadModel,
    wait: Duration,
    /// None while nobody polls: what was seen long ago says nothing about tables that were built anew since.
    seen: watch::Sender<Option<Checkpoints>>,
    polling: Mutex<bool>,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Projected,
    NotYet,
    /// Nothing of this topic is projected here, though something of another is.
    UnknownTopic,
}

impl Consistency {
    /// Waits at most `wait` for a token.
    pub fn new(read_model: ReadModel, wait: Duration) -> Self {
        Self(Arc::new(Shared {
            read_model,
            wait,
            seen: watch::Sender::new(None),
            polling: Mutex::new(false),
        }))
    }

    /// Waits as the headers of a request ask for. True: what will be read is older than what was asked for, and that
    /// is what the client prefers to no answer.
    ///
    /// # Errors
    /// 503 `not-yet-projected` when the time is over, 400 for headers that say nothing sensible, 422 for a topic of
    /// which nothing is known.
    pub async fn wait_for(&self, headers: &HeaderMap) -> Result<bool, Problem> {
        let Some(token) = token(headers)? else { return Ok(false) };
        let eventual = accepts_stale(headers)?;
        match self.wait(&token).await {
            Outcome::Projected => Ok(false),
            Outcome::NotYet if eventual => Ok(true),
            Outcome::NotYet => Err(not_yet(self.0.wait)),
            Outcome::UnknownTopic => {
                Err(Problem::invalid("the Consistency-Token names a topic that is not projected here"))
            }
        }
    }

    async fn wait(&self, token: &ConsistencyToken) -> Outcome {
        // Watched first, polled then: the poller ends only when nobody watches.
        let mut seen = self.0.seen.subscribe();
        self.poll();
        let passed = |known: &Option<Checkpoints>| known.as_ref().is_some_and(|known| covers(known, token));
        if let Ok(Ok(_)) = timeout(self.0.wait, seen.wait_for(passed)).await {
            return Outcome::Projected;
        }
        match &*seen.borrow() {
            Some(known)
                if !known.is_empty() && token.positions().any(|(topic, _)| !known.contains_key(topic)) =>
            {
                Outcome::UnknownTopic
            }
            _ => Outcome::NotYet,
        }
    }

    /// Starts the poller, unless it runs.
    fn poll(&self) {
        let mut polling = self.0.polling.lock().unwrap_or_else(PoisonError::into_inner);
        if !*polling {
            *polling = true;
            tokio::spawn(poll(self.0.clone()));
        }
    }
}

/// Looks at the checkpoints again and again until nobody waits.
async fn poll(shared: Arc<Shared>) {
    let mut pause = LOOK_MIN;
    let mut failing = false;
    while shared.is_waited_for() {
        match shared.read_model.checkpoints().await {
            Ok(now) => {
                let moved = shared.seen.send_if_modified(|seen| {
                    let moved = seen.as_ref() != Some(&now);
                    *seen = Some(now);
                    moved
                });
                pause = if moved { LOOK_MIN } else { (pause * 2).min(LOOK_MAX) };
                failing = false;
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(
                        error = chain(&error),
                        "checkpoints cannot be read; whoever waits waits on"
                    );
                }
                failing = true;
                pause = LOOK_MAX;
            }
        }
        sleep(pause).await;
    }
}

impl Shared {
    /// False ends the poller; from then on the next one who waits starts another.
    fn is_waited_for(&self) -> bool {
        let mut polling = self.polling.lock().unwrap_or_else(PoisonError::into_inner);
        if self.seen.receiver_count() > 0 {
            return true;
        }
        self.seen.send_replace(None);
        *polling = false;
        false
    }
}

fn covers(known: &Checkpoints, token: &ConsistencyToken) -> bool {
    token.positions().all(|(topic, position)| {
        let next = known.get(topic).and_then(|partitions| partitions.get(&position.partition));
        next.is_some_and(|next| *next > position.offset)
    })
}

fn token(headers: &HeaderMap) -> Result<Option<ConsistencyToken>, Problem> {
    let given = headers.get_all(TOKEN).iter().map(HeaderValue::to_str).collect::<Result<Vec<_>, _>>();
    let given = given.map_err(|_| Problem::malformed("Consistency-Token is not ASCII"))?;
    if given.is_empty() {
        return Ok(None);
    }
    let token = given.join(",").parse().map_err(|error| Problem::malformed(format!("{error}")))?;
    Ok(Some(token))
}

fn accepts_stale(headers: &HeaderMap) -> Result<bool, Problem> {
    match headers.get(CONSISTENCY).map(HeaderValue::as_bytes) {
        None | Some(b"strong") => Ok(false),
        Some(b"eventual") => Ok(true),
        Some(_) => Err(Problem::malformed("Consistency is strong or eventual")),
    }
}

fn not_yet(waited: Duration) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-yet-projected")
        .detail(format!(
            "it was waited for {} ms; ask again, or send Consistency: eventual to see what is there",
            waited.as_millis()
        ))
        .retry_after(1)
}

/// The layer of all routes that show what is projected.
pub(crate) async fn read_your_writes(
    State(consistency): State<Consistency>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !request.headers().contains_key(TOKEN) {
        return Ok(next.run(request).await);
    }
    let stale = consistency.wait_for(request.headers()).await?;
    let mut response = next.run(request).await;
    if stale {
        response.headers_mut().insert(CONSISTENCY, HeaderValue::from_static("stale"));
    }
    Ok(response)
}
