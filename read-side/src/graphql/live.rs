//! One subscription as it runs, whichever transport carries it: an answer for each change of what it watches.

use std::sync::Arc;

use async_graphql::Response;
use async_graphql::futures_util::StreamExt;
use prometheus::IntGauge;

use super::documents::Document;
use super::errors::{self, Code, Refused};
use super::subscription::Purpose;
use super::{Asked, Executor, Outcome, Stage, ended, loader};
use crate::watchers::{Told, Topic, Watch};

/// A subscription that waits for changes.
pub(super) struct Live {
    executor: Executor,
    document: Arc<Document>,
    asked: Asked,
    watch: Watch,
    /// Counts it among those that are open.
    _open: Open,
}

/// What a subscription says next.
pub(super) enum Said {
    /// An answer; more may follow.
    Next(Response),
    /// Why nothing follows.
    End(Response),
}

impl Executor {
    /// Begins a subscription.
    ///
    /// # Errors
    /// Why there is none, as an answer.
    pub(super) async fn subscribe(&self, document: Arc<Document>, asked: Asked) -> Result<Live, Outcome> {
        let Some(watchers) = &self.0.watchers else {
            let words = "Nobody tells this process of changes.";
            return Err(Outcome::refused(Refused::new(Code::Unavailable, words)));
        };
        let purpose = Purpose::learn();
        if let Some(outcome) = self.stream_once(&document, &asked, &purpose).await {
            return Err(outcome);
        }
        document.note_that_it_is_valid();
        let mut topics = purpose.topics();
        let (Some(topic), true) = (topics.pop(), topics.is_empty()) else {
            let words = "A subscription must have exactly one field at its root.";
            return Err(Outcome::refused(Refused::new(Code::ValidationFailed, words)));
        };
        let watch = watchers.watch(topic);
        let open = Open::count(&self.0.metrics.graphql_subscriptions);
        Ok(Live { executor: self.clone(), document, asked, watch, _open: open })
    }

    /// Executes a subscription's operation; what it says, if anything. As with queries, what has begun in the database is
    /// not cancelled.
    async fn stream_once(
        &self,
        document: &Arc<Document>,
        asked: &Asked,
        purpose: &Arc<Purpose>,
    ) -> Option<Outcome> {
        let request = asked.request(document).data(purpose.clone());
        let schema = self.schema(document, &request).clone();
        let loaders = self.loaders();
        let task = tokio::spawn(async move {
            let mut answers = schema.execute_stream(request.data(loaders.clone()));
            let said = loader::drive(answers.next(), &loaders).await;
            loaders.note();
            said.map(|mut response| {
                errors::finish(&mut response);
                Outcome::of(response)
            })
        });
        ended(task, self.0.deadline).await.unwrap_or_else(Some)
    }
}

impl Live {
    /// Waits for the next change and shows it.
    pub(super) async fn next(&mut self) -> Said {
        loop {
            let changed = match (self.watch.next().await, self.watch.topic()) {
                (Some(Told::Order(id)), _) => Some(id),
                (Some(Told::Row | Told::Missed), Topic::Order(_) | Topic::Inventory(_)) => None,
                (Some(Told::Row | Told::Missed), Topic::OrdersOf(_)) => {
                    return missed("Changes may have been missed");
                }
                (None, _) => return missed("The client reads more slowly than things change"),
            };
            let purpose = Arc::new(Purpose::Show(changed));
            match self.executor.stream_once(&self.document, &self.asked, &purpose).await {
                Some(Outcome { stage: Stage::Executed, response }) => return Said::Next(response),
                Some(outcome) => return Said::End(outcome.response),
                // Changed, but nowhere to be seen: a payment that came before its order.
                None => {}
            }
        }
    }
}

fn missed(why: &str) -> Said {
    let words = format!("{why}: read what there is and subscribe again.");
    Said::End(Refused::new(Code::ChangesMissed, words).into_response())
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
