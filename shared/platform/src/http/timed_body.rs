//! A request body with a deadline, so that a client cannot keep a handler busy by sending slowly.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive within {} ms", .0.as_millis())]
pub(super) struct BodyTimeout(Duration);

struct TimedBody {
    body: Incoming,
    limit: Duration,
    deadline: Pin<Box<Sleep>>,
}

/// Adds the deadline to a body that is not empty.
pub(super) fn timed(body: Incoming, limit: Duration) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    Body::new(TimedBody { body, limit, deadline: Box::pin(sleep(limit)) })
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        // The deadline is checked first. Otherwise a body that always has the next byte ready would never time out.
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(BodyTimeout(self.limit).into())));
        }
        Pin::new(&mut self.body).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
