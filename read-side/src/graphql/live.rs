//! One subscription as it runs, whichever transport carries it: an answer for each change of what it watches.
//!
//! Subscriptions that ask for the same are executed once for all of them (`streams.rs`), so that a change that a thousand
//! clients wait for costs one query and is written as JSON once.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::Response;
use async_graphql::futures_util::StreamExt;
use prometheus::IntGauge;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};
use tokio::time::sleep;

use super::documents::Document;
use super::errors::{self, Code, Refused};
use super::streams::Same;
use super::subscription::Purpose;
use super::{Asked, Executor, Outcome, Stage, ended, loader};
use crate::watchers::{Told, Topic, Watch};

/// Between two answers about one row: what changes more often is shown as it stands then. It bounds what a row that
/// everybody watches costs, whatever happens to it.
const SHOWN_EVERY: Duration = Duration::from_millis(20);
/// Answers about single rows that wait for a slow client: the last is the only one that counts.
const ROWS_WAITING_MAX: usize = 1;
/// Answers about many rows that wait for a slow client; with more it is told that it has missed some.
const ORDERS_WAITING_MAX: usize = 256;

/// A subscription that waits for changes.
pub(super) struct Live {
    said: Receiver<Said>,
    /// Counts it among those that are open.
    _open: Open,
}

/// What a subscription says next.
#[derive(Debug, Clone)]
pub(super) enum Said {
    /// An answer, as JSON; more may follow.
    Next(Arc<str>),
    /// Why nothing follows.
    End(Arc<Response>),
}

impl Executor {
    /// Begins a subscription.
    ///
    /// # Errors
    /// Why there is none, as an answer.
    pub(super) async fn subscribe(&self, document: Arc<Document>, asked: Asked) -> Result<Live, Outcome> {
        let same = Same::of(document, asked);
        let said = match self.0.streams.join(&same) {
            Some(said) => said,
            None => self.begin(same).await?,
        };
        Ok(Live { said, _open: Open::count(&self.0.metrics.subscriptions) })
    }

    async fn begin(&self, same: Same) -> Result<Receiver<Said>, Outcome> {
        let Some(watchers) = &self.0.watchers else {
            let words = "Nobody tells this process of changes.";
            return Err(Outcome::refused(Refused::new(Code::Unavailable, words)));
        };
        let purpose = Purpose::learn();
        if let Some(outcome) = self.stream_once(&same, &purpose).await {
            return Err(outcome);
        }
        same.document.note_that_it_is_valid();
        let mut topics = purpose.topics();
        let (Some(topic), true) = (topics.pop(), topics.is_empty()) else {
            let words = "A subscription must have exactly one field at its root.";
            return Err(Outcome::refused(Refused::new(Code::ValidationFailed, words)));
        };
        let waiting_max = if watches_one_row(&topic) { ROWS_WAITING_MAX } else { ORDERS_WAITING_MAX };
        let watch = watchers.watch(topic);
        let (said, speaker) = self.0.streams.begin(&same, waiting_max);
        if let Some(speaker) = speaker {
            tokio::spawn(self.clone().speak(same, watch, speaker));
        }
        Ok(said)
    }

    /// Says what changes until nobody listens any more, or the stream has come to its end.
    async fn speak(self, same: Same, mut watch: Watch, speaker: Sender<Said>) {
        loop {
            let said = tokio::select! {
                said = self.next(&same, &mut watch) => said,
                () = speaker.closed() => {
                    if self.0.streams.end_unheard(&same, &speaker) {
                        return;
                    }
                    continue;
                }
            };
            let is_end = matches!(said, Said::End(_));
            if is_end {
                self.0.streams.end(&same);
            }
            // The last who listened may just have left.
            let _unheard = speaker.send(said);
            if is_end {
                return;
            }
            if watches_one_row(watch.topic()) {
                sleep(SHOWN_EVERY).await;
            }
        }
    }

    /// Waits for the next change and shows it.
    async fn next(&self, same: &Same, watch: &mut Watch) -> Said {
        loop {
            let changed = match (watch.next().await, watch.topic()) {
                (Some(Told::Order(id)), _) => Some(id),
                (Some(Told::Row | Told::Missed), topic) if watches_one_row(topic) => None,
                (Some(Told::Row | Told::Missed), _) => return missed("Changes may have been missed"),
                (None, _) => return missed("Things change faster than they can be read"),
            };
            let purpose = Arc::new(Purpose::Show(changed));
            match self.stream_once(same, &purpose).await {
                Some(Outcome { stage: Stage::Executed, response }) => return Said::Next(json(&response)),
                Some(outcome) => return Said::End(Arc::new(outcome.response)),
                // Changed, but nowhere to be seen: a payment that came before its order.
                None => {}
            }
        }
    }

    /// Executes a subscription's operation; what it says, if anything. As with queries, what has begun in the database is
    /// not cancelled.
    async fn stream_once(&self, same: &Same, purpose: &Arc<Purpose>) -> Option<Outcome> {
        let request = same.asked.request(&same.document).data(purpose.clone());
        let schema = self.schema(&same.document, &request).clone();
        let (loaders, same) = (self.loaders(), same.clone());
        let task = tokio::spawn(async move {
            let mut answers = schema.execute_stream(request.data(loaders.clone()));
            let said = loader::drive(answers.next(), &loaders).await;
            loaders.note();
            said.map(|mut response| {
                errors::finish(&mut response);
                same.document.put_in_order(same.asked.operation_name.as_deref(), &mut response.data);
                Outcome::of(response)
            })
        });
        ended(task, self.0.deadline).await.unwrap_or_else(Some)
    }
}

impl Live {
    /// Waits for what is said next.
    pub(super) async fn next(&mut self) -> Said {
        loop {
            match self.said.recv().await {
                Ok(said) => return said,
                // Of one row only the last answer was kept, and that is what comes next.
                Err(RecvError::Lagged(_)) if self.said.len() <= ROWS_WAITING_MAX => {}
                Err(RecvError::Lagged(_) | RecvError::Closed) => {
                    return missed("The client reads more slowly than things change");
                }
            }
        }
    }
}

fn watches_one_row(topic: &Topic) -> bool {
    match topic {
        Topic::Order(_) | Topic::Inventory(_) => true,
        Topic::OrdersOf(_) => false,
    }
}

fn missed(why: &str) -> Said {
    let words = format!("{why}: read what there is and subscribe again.");
    Said::End(Arc::new(Refused::new(Code::ChangesMissed, words).into_response()))
}

/// An answer as every transport writes it.
pub(super) fn json(response: &Response) -> Arc<str> {
    serde_json::to_string(response).expect("GraphQL values always serialise").into()
}

/// Counts something for as long as it is open.
pub(super) struct Open(IntGauge);

impl Open {
    pub(super) fn count(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
