//! Runs subscriptions: a response after each change of the watched rows, whichever transport carries it.
//!
//! Equal subscriptions share a stream, so a change that a thousand clients wait for costs one query and is serialised
//! once.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::futures_util::StreamExt;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};
use tokio::time::sleep;

use super::batches;
use super::document::Document;
use super::errors::{self, RequestError};
use super::executor::{Executor, within};
use super::request::GraphqlRequest;
use super::response::{GraphqlResponse, ResponseStatus, to_json};
use super::shared_streams::{StreamKey, SubscriptionMessage};
use crate::graphql::metrics::GaugeGuard;
use crate::graphql::schema::{ErrorCode, Purpose};
use crate::watchers::{ChangeNotice, Topic, Watch};

/// Minimum time between two responses about one row. Faster changes are combined, so that the cost of a row that many
/// clients watch is limited.
const ROW_INTERVAL: Duration = Duration::from_millis(20);
/// Responses about a single row that wait for a slow client: only the latest matters.
const ROW_QUEUE_MAX: usize = 1;
/// Responses about many rows that wait for a slow client; beyond that its subscription ends.
const ORDERS_QUEUE_MAX: usize = 256;

/// The subscription of one client.
pub(crate) struct Subscription {
    messages: Receiver<SubscriptionMessage>,
    _open: GaugeGuard,
}

impl Executor {
    /// Starts a subscription.
    ///
    /// # Errors
    /// The response with the reason why it cannot start.
    pub(crate) async fn subscribe(
        &self,
        document: Arc<Document>,
        request: GraphqlRequest,
    ) -> Result<Subscription, GraphqlResponse> {
        let key = StreamKey::new(document, request);
        let messages = match self.streams().join(&key) {
            Some(messages) => messages,
            None => self.open_stream(key).await?,
        };
        Ok(Subscription { messages, _open: self.count_subscription() })
    }

    async fn open_stream(&self, key: StreamKey) -> Result<Receiver<SubscriptionMessage>, GraphqlResponse> {
        let Some(watchers) = self.watchers() else {
            let message = "subscriptions are disabled; set REDIS_URL";
            return Err(RequestError::new(ErrorCode::Unavailable, message).into());
        };
        let purpose = Purpose::collect_topics();
        if let Some(response) = self.execute_once(&key, &purpose).await {
            return Err(response);
        }
        key.document.mark_valid();
        let mut topics = purpose.topics();
        let (Some(topic), true) = (topics.pop(), topics.is_empty()) else {
            let message = "subscription must select exactly one root field";
            return Err(RequestError::new(ErrorCode::ValidationFailed, message).into());
        };
        let capacity = if is_single_row(&topic) { ROW_QUEUE_MAX } else { ORDERS_QUEUE_MAX };
        let watch = watchers.watch(topic);
        let (messages, sender) = self.streams().join_or_open(&key, capacity);
        if let Some(sender) = sender {
            tokio::spawn(self.clone().feed(key, watch, sender));
        }
        Ok(messages)
    }

    /// Feeds a stream until its last client leaves or it ends with an error.
    async fn feed(self, key: StreamKey, mut watch: Watch, sender: Sender<SubscriptionMessage>) {
        loop {
            let message = tokio::select! {
                message = self.next_message(&key, &mut watch) => message,
                () = sender.closed() => {
                    if self.streams().close_if_unused(&key, &sender) {
                        return;
                    }
                    continue;
                }
            };
            let is_end = matches!(message, SubscriptionMessage::End(_));
            if is_end {
                // Before the send, so that a client that joins after it opens a new stream.
                self.streams().close(&key);
            }
            // Fails if the last client has just left.
            let _unused = sender.send(message);
            if is_end {
                return;
            }
            if is_single_row(watch.topic()) {
                sleep(ROW_INTERVAL).await;
            }
        }
    }

    /// Waits for the next change and reads the row.
    async fn next_message(&self, key: &StreamKey, watch: &mut Watch) -> SubscriptionMessage {
        loop {
            let changed_order = match (watch.next().await, watch.topic()) {
                (Some(ChangeNotice::Order(id)), _) => Some(id),
                (Some(ChangeNotice::Row | ChangeNotice::Missed), topic) if is_single_row(topic) => None,
                (Some(ChangeNotice::Row | ChangeNotice::Missed), _) => {
                    return changes_missed("the change feed was interrupted");
                }
                (None, _) => return changes_missed("rows change faster than they are read"),
            };
            let purpose = Arc::new(Purpose::ReadChange(changed_order));
            match self.execute_once(key, &purpose).await {
                Some(GraphqlResponse { status: ResponseStatus::Executed, response }) => {
                    return SubscriptionMessage::Next(to_json(&response));
                }
                Some(failed) => return SubscriptionMessage::End(Arc::new(failed.response)),
                // The row is not visible yet: a payment was projected before its order.
                None => {}
            }
        }
    }

    /// Executes the operation of a subscription once; `None` without a response.
    async fn execute_once(&self, key: &StreamKey, purpose: &Arc<Purpose>) -> Option<GraphqlResponse> {
        let request = key.request.with_document(&key.document).data(purpose.clone());
        let schema = self.schema(&key.document, &request).clone();
        let (loaders, key) = (self.loaders(), key.clone());
        // A task of its own, for the same reasons as in `execute`.
        let task = tokio::spawn(async move {
            let mut responses = schema.execute_stream(request.data(loaders.clone()));
            let response = batches::run(responses.next(), &loaders).await;
            loaders.observe_statements();
            response.map(|mut response| {
                errors::complete(&mut response);
                key.document.sort_fields(key.request.operation_name.as_deref(), &mut response.data);
                GraphqlResponse::new(response)
            })
        });
        within(self.time_limit(), task).await.unwrap_or_else(Some)
    }
}

impl Subscription {
    /// Waits for the next message.
    pub(crate) async fn next(&mut self) -> SubscriptionMessage {
        loop {
            match self.messages.recv().await {
                Ok(message) => return message,
                // The queue of a single row keeps its latest response, which is received next.
                Err(RecvError::Lagged(_)) if self.messages.len() <= ROW_QUEUE_MAX => {}
                Err(RecvError::Lagged(_) | RecvError::Closed) => {
                    return changes_missed("the client reads more slowly than rows change");
                }
            }
        }
    }
}

fn is_single_row(topic: &Topic) -> bool {
    match topic {
        Topic::Order(_) | Topic::Inventory(_) => true,
        Topic::OrdersOf(_) => false,
    }
}

fn changes_missed(reason: &str) -> SubscriptionMessage {
    let message = format!("changes may be missing: {reason}; query the current state and subscribe again");
    SubscriptionMessage::End(Arc::new(RequestError::new(ErrorCode::ChangesMissed, message).into_response()))
}
