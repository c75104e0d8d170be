//! One operation of a WebSocket, in a task of its own.

use std::sync::Arc;

use async_graphql::Response;
use async_graphql::parser::types::OperationType;
use tokio::sync::{mpsc, oneshot};

use crate::graphql::execution::{Executor, GraphqlRequest, ResponseStatus, SubscriptionMessage, to_json};

/// A message of an operation to its client.
pub(super) struct Outgoing {
    pub(super) id: String,
    /// Distinguishes the operation from an earlier one with the same id.
    pub(super) number: u64,
    pub(super) message: OperationMessage,
}

pub(super) enum OperationMessage {
    /// A response as JSON.
    Next(Arc<str>),
    Error(Arc<Response>),
    Complete,
}

pub(super) struct OperationSender {
    pub(super) id: String,
    pub(super) number: u64,
    pub(super) outgoing: mpsc::Sender<Outgoing>,
}

impl OperationSender {
    /// Waits while the outgoing queue is full.
    async fn send(&self, message: OperationMessage) {
        let outgoing = Outgoing { id: self.id.clone(), number: self.number, message };
        // Fails if the socket is closed.
        let _closed = self.outgoing.send(outgoing).await;
    }

    async fn send_error(&self, response: Response) {
        self.send(OperationMessage::Error(Arc::new(response))).await;
    }
}

/// Runs an operation to its end, or until `cancelled`. It is cancelled between two responses only: a query is never
/// cancelled midway.
pub(super) async fn run(
    executor: Executor,
    request: GraphqlRequest,
    sender: OperationSender,
    mut cancelled: oneshot::Receiver<()>,
) {
    let document = match executor.document(&request) {
        Ok(document) => document,
        Err(error) => return sender.send_error(error.into_response()).await,
    };
    if document.operation_type(request.operation_name.as_deref()) != OperationType::Subscription {
        let response = executor.execute(document, request).await;
        if response.status != ResponseStatus::Executed {
            return sender.send_error(response.response).await;
        }
        sender.send(OperationMessage::Next(to_json(&response.response))).await;
        return sender.send(OperationMessage::Complete).await;
    }
    let mut subscription = match executor.subscribe(document, request).await {
        Ok(subscription) => subscription,
        Err(failed) => return sender.send_error(failed.response).await,
    };
    loop {
        let message = tokio::select! {
            message = subscription.next() => message,
            _ = &mut cancelled => return,
        };
        match message {
            SubscriptionMessage::Next(response) => sender.send(OperationMessage::Next(response)).await,
            SubscriptionMessage::End(response) => {
                return sender.send(OperationMessage::Error(response)).await;
            }
        }
    }
}
