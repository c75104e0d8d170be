//! Streams of equal subscriptions, which are executed once for all their clients. Every client may read everything, so no
//! response depends on who receives it.
//!
//! A stream is in the list for as long as a client can join it.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::Response;
use tokio::sync::broadcast::{Receiver, Sender};

use super::document::Document;
use super::request::GraphqlRequest;

/// A message of a subscription to its clients.
#[derive(Debug, Clone)]
pub(crate) enum SubscriptionMessage {
    /// A response as JSON; more can follow.
    Next(Arc<str>),
    /// The error that ended the subscription.
    End(Arc<Response>),
}

/// A subscription without its client. Equal if document, operation name and variables are.
#[derive(Clone)]
pub(super) struct StreamKey {
    pub(super) document: Arc<Document>,
    pub(super) request: Arc<GraphqlRequest>,
    /// The variables by name, as JSON.
    variables: Arc<str>,
}

impl StreamKey {
    pub(super) fn new(document: Arc<Document>, request: GraphqlRequest) -> Self {
        let variables = serde_json::to_string(&request.variables).expect("variables arrived as JSON");
        Self { document, request: Arc::new(request), variables: variables.into() }
    }
}

impl PartialEq for StreamKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.document, &other.document)
            && self.request.operation_name == other.request.operation_name
            && self.variables == other.variables
    }
}

impl Eq for StreamKey {}

impl Hash for StreamKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.document).hash(state);
        self.request.operation_name.hash(state);
        self.variables.hash(state);
    }
}

#[derive(Default)]
pub(super) struct SharedStreams(Mutex<HashMap<StreamKey, Sender<SubscriptionMessage>>>);

impl SharedStreams {
    /// Joins an open stream.
    pub(super) fn join(&self, key: &StreamKey) -> Option<Receiver<SubscriptionMessage>> {
        self.all().get(key).map(Sender::subscribe)
    }

    /// Joins a stream, opening it if necessary. The caller that receives the sender must feed the stream.
    pub(super) fn join_or_open(
        &self,
        key: &StreamKey,
        capacity: usize,
    ) -> (Receiver<SubscriptionMessage>, Option<Sender<SubscriptionMessage>>) {
        let mut all = self.all();
        if let Some(open) = all.get(key) {
            return (open.subscribe(), None);
        }
        let sender = Sender::new(capacity);
        let receiver = sender.subscribe();
        all.insert(key.clone(), sender.clone());
        (receiver, Some(sender))
    }

    /// Closes a stream unless a client has joined meanwhile; returns whether it is closed.
    pub(super) fn close_if_unused(&self, key: &StreamKey, sender: &Sender<SubscriptionMessage>) -> bool {
        let mut all = self.all();
        let is_unused = sender.receiver_count() == 0;
        if is_unused {
            all.remove(key);
        }
        is_unused
    }

    /// Closes a stream to new clients; the others still receive what is sent.
    pub(super) fn close(&self, key: &StreamKey) {
        self.all().remove(key);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<StreamKey, Sender<SubscriptionMessage>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::Variables;
    use serde_json::json;

    use super::super::document_cache::DocumentCache;
    use super::super::guard::DocumentLimits;
    use super::*;
    use crate::graphql::config::GraphqlConfig;

    #[test]
    fn equal_subscriptions_share_a_stream_until_the_last_client_leaves() {
        let documents = DocumentCache::new(DocumentLimits::from_config(&GraphqlConfig::default()), None);
        let key = |text: &str, variables: serde_json::Value| {
            let request =
                GraphqlRequest { variables: Variables::from_json(variables), ..GraphqlRequest::default() };
            StreamKey::new(documents.get(Some(text), None).unwrap(), request)
        };
        let streams = SharedStreams::default();
        let first = key("{ a }", json!({"x": 1, "y": [2]}));
        assert!(streams.join(&first).is_none());
        let (receiver, sender) = streams.join_or_open(&first, 1);
        let sender = sender.unwrap();
        let equal = key("{ a }", json!({"y": [2], "x": 1}));
        let (second_receiver, no_sender) = streams.join_or_open(&equal, 1);
        assert!(no_sender.is_none() && streams.join(&equal).is_some());
        for other in [key("{ a }", json!({"x": 2})), key("{ b }", json!({"x": 1, "y": [2]}))] {
            assert!(streams.join(&other).is_none());
        }
        drop(receiver);
        assert!(!streams.close_if_unused(&first, &sender), "one client is left");
        drop(second_receiver);
        assert!(streams.close_if_unused(&first, &sender));
        assert!(streams.join(&first).is_none());
    }
}
