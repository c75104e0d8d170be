//! GraphQL over server-sent events, by the protocol graphql-sse with one connection per operation: `next` for each
//! response, `complete` at the end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use crate::graphql::execution::{Document, Executor, GraphqlRequest, SubscriptionMessage, to_json};

/// Events that wait for a slow client.
const OUTGOING_MAX: usize = 16;

/// A response whose body lasts as long as the operation, or until `shutdown`. `permit` is released with it.
pub(super) fn stream(
    executor: Executor,
    document: Arc<Document>,
    request: GraphqlRequest,
    keep_alive: Duration,
    permit: OwnedSemaphorePermit,
    shutdown: CancellationToken,
) -> Response {
    let (outgoing, waiting) = mpsc::channel(OUTGOING_MAX);
    let open = executor.count_socket();
    tokio::spawn(async move {
        // A stream that ends without `complete` makes the client reconnect.
        let _stopped = shutdown.run_until_cancelled(run(&executor, document, request, &outgoing)).await;
        drop((open, permit));
    });
    let events = async_graphql::futures_util::stream::unfold(waiting, async |mut waiting| {
        let event: Event = waiting.recv().await?;
        Some((Ok::<_, Infallible>(event), waiting))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(keep_alive)).into_response()
}

/// Runs the operation to its end or until the client disconnects, which is noticed between two responses only: a query
/// is never cancelled midway.
async fn run(
    executor: &Executor,
    document: Arc<Document>,
    request: GraphqlRequest,
    outgoing: &mpsc::Sender<Event>,
) {
    if document.operation_type(request.operation_name.as_deref()) == OperationType::Subscription {
        match executor.subscribe(document, request).await {
            Err(failed) => send_next(outgoing, to_json(&failed.response)).await,
            Ok(mut subscription) => loop {
                let message = tokio::select! {
                    message = subscription.next() => message,
                    () = outgoing.closed() => return,
                };
                match message {
                    SubscriptionMessage::Next(response) => send_next(outgoing, response).await,
                    SubscriptionMessage::End(response) => {
                        break send_next(outgoing, to_json(&response)).await;
                    }
                }
            },
        }
    } else {
        let response = executor.execute(document, request).await;
        send_next(outgoing, to_json(&response.response)).await;
    }
    let _disconnected = outgoing.send(Event::default().event("complete").data("")).await;
}

async fn send_next(outgoing: &mpsc::Sender<Event>, response: impl AsRef<str>) {
    // Fails if the client has disconnected.
    let _disconnected = outgoing.send(Event::default().event("next").data(response)).await;
}
