//! GraphQL over server-sent events, by the protocol graphql-sse, a connection for each operation: `next` for each
//! answer, `complete` at the end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::documents::Document;
use super::live::{Open, Said, json};
use super::{Asked, Executor, kind};

/// Answers that wait to be read by the client.
const OUTGOING_MAX: usize = 16;

/// The answer whose body goes on for as long as the operation does, or until `stop`. `permit` counts it among the sockets
/// of the process.
pub(super) fn stream(
    executor: Executor,
    document: Arc<Document>,
    asked: Asked,
    keep_alive: Duration,
    permit: OwnedSemaphorePermit,
    stop: CancellationToken,
) -> Response {
    let (outgoing, waiting) = mpsc::channel(OUTGOING_MAX);
    let open = Open::count(&executor.0.metrics.sockets);
    tokio::spawn(async move {
        // A stream that breaks off without `complete` tells the client to come again.
        let _stopped = stop.run_until_cancelled(operate(&executor, document, asked, &outgoing)).await;
        drop((open, permit));
    });
    let events = async_graphql::futures_util::stream::unfold(waiting, async |mut waiting| {
        let event: Event = waiting.recv().await?;
        Some((Ok::<_, Infallible>(event), waiting))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(keep_alive)).into_response()
}

/// Until the operation ends or the client has left: noticed between two answers, never within what the database does.
async fn operate(executor: &Executor, document: Arc<Document>, asked: Asked, outgoing: &mpsc::Sender<Event>) {
    if kind(&document, &asked) == OperationType::Subscription {
        match executor.subscribe(document, asked).await {
            Err(outcome) => say(outgoing, json(&outcome.response)).await,
            Ok(mut live) => loop {
                let said = tokio::select! {
                    said = live.next() => said,
                    () = outgoing.closed() => return,
                };
                match said {
                    Said::Next(answer) => say(outgoing, answer).await,
                    Said::End(response) => break say(outgoing, json(&response)).await,
                }
            },
        }
    } else {
        let outcome = executor.execute(document, asked).await;
        say(outgoing, json(&outcome.response)).await;
    }
    // A client that has left hears nothing.
    let _left = outgoing.send(Event::default().event("complete").data("")).await;
}

async fn say(outgoing: &mpsc::Sender<Event>, answer: impl AsRef<str>) {
    let _left = outgoing.send(Event::default().event("next").data(answer)).await;
}
