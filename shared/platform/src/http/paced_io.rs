//! A connection whose client has to keep a pace: the head of a request, the silence between two and the taking of an
//! answer all have an end.
//!
//! hyper bounds the head alone, with a timer made and dropped for every request. Here a connection has one timer for
//! reading, which is looked at only when it rings: a request that comes in one piece touches no timer at all.

use std::future::Future;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::config::Limits;

/// A client that takes this many bytes within the time-out for writing is not slow.
pub(super) const PACE_BYTES: usize = 64 * 1024;

/// Whose turn it is on a connection, told by the one who answers requests to the one who reads bytes.
#[derive(Debug)]
pub(super) struct Turn {
    accepted: Instant,
    /// Milliseconds after that at which the last answer was done.
    ended_ms: AtomicU64,
    requests: AtomicU64,
    answering: AtomicBool,
    upgraded: AtomicBool,
}

impl Turn {
    pub(super) fn new() -> Self {
        Self {
            accepted: Instant::now(),
            ended_ms: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            answering: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
        }
    }

    /// A request's head is there.
    pub(super) fn begin(&self) {
        self.answering.store(true, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Its answer has been handed over whole.
    pub(super) fn end(&self) {
        let ended = u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ended_ms.store(ended, Ordering::Relaxed);
        self.answering.store(false, Ordering::Relaxed);
    }

    fn ended(&self) -> Instant {
        self.accepted + Duration::from_millis(self.ended_ms.load(Ordering::Relaxed))
    }

    /// From now on another protocol is spoken, which has its own rules for silence.
    pub(super) fn upgrade(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }
}

/// See the module.
pub(super) struct PacedIo<T> {
    io: T,
    turn: Arc<Turn>,
    /// Requests seen when `since` was set.
    requests: u64,
    /// When the client began to be waited for.
    since: Option<Instant>,
    /// Whether a head has begun, so that not silence but its end is waited for.
    head: bool,
    reading: Pin<Box<Sleep>>,
    writing: Option<Pin<Box<Sleep>>>,
    /// Bytes taken since the timer for writing was set.
    taken: usize,
    header: Duration,
    idle: Duration,
    write: Duration,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Given back with the connection, even when another protocol has taken it over.
    _place: OwnedSemaphorePermit,
}

impl<T> PacedIo<T> {
    pub(super) fn new(
        io: T,
        turn: Arc<Turn>,
        limits: &Limits,
        cut: WaitForCancellationFutureOwned,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            io,
            turn,
            requests: 0,
            // The first head is due at once: who connects has something to say.
            since: Some(Instant::now()),
            head: true,
            reading: Box::pin(sleep(limits.header)),
            writing: None,
            taken: 0,
            header: limits.header,
            idle: limits.idle,
            write: limits.write,
            cut: Box::pin(cut),
            _place: place,
        }
    }

    /// Nothing has come. Is that all right?
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.turn.upgraded.load(Ordering::Relaxed) {
            return self.cut.as_mut().poll(cx).map(|()| Err(ErrorKind::ConnectionAborted.into()));
        }
        // While it works on an answer, hyper looks for bytes once, and then waits to be woken: so the timer has to be
        // set even though nothing is due.
        let due = !self.turn.answering.load(Ordering::Relaxed);
        let since = if due { *self.since.get_or_insert_with(|| self.turn.ended()) } else { Instant::now() };
        let deadline = since + if self.head { self.header } else { self.idle };
        if self.reading.deadline() > deadline {
            self.reading.as_mut().reset(deadline);
        }
        while self.reading.as_mut().poll(cx).is_ready() {
            if due && Instant::now() >= deadline {
                return Poll::Ready(Err(too_slow()));
            }
            self.reading.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn note_request(&mut self) {
        let requests = self.turn.requests.load(Ordering::Relaxed);
        if requests != self.requests {
            (self.requests, self.since, self.head) = (requests, None, false);
        }
    }

    fn note_bytes(&mut self) {
        if !self.head && !self.turn.answering.load(Ordering::Relaxed) {
            (self.since, self.head) = (Some(Instant::now()), true);
        }
    }

    /// The client takes nothing more for now. For how long?
    fn poll_blocked<R>(&mut self, cx: &mut Context<'_>) -> Poll<Result<R>> {
        let writing = self.writing.get_or_insert_with(|| Box::pin(sleep(self.write)));
        writing.as_mut().poll(cx).map(|()| Err(too_slow()))
    }

    fn written(&mut self, cx: &mut Context<'_>, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        match written {
            Poll::Pending => self.poll_blocked(cx),
            Poll::Ready(Ok(bytes)) if self.writing.is_some() => {
                self.taken += bytes;
                if self.taken >= PACE_BYTES {
                    (self.writing, self.taken) = (None, 0);
                }
                Poll::Ready(Ok(bytes))
            }
            ready => ready,
        }
    }
}

fn too_slow() -> Error {
    Error::new(ErrorKind::TimedOut, "the client is too slow")
}

impl<T: AsyncRead + Unpin> AsyncRead for PacedIo<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        self.note_request();
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_pending() {
            return self.poll_silence(cx);
        }
        if buf.filled().len() > before {
            self.note_bytes();
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for PacedIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if flushed.is_pending() {
            return self.poll_blocked(cx);
        }
        (self.writing, self.taken) = (None, 0);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match Pin::new(&mut self.io).poll_shutdown(cx) {
            Poll::Pending => self.poll_blocked(cx),
            ready => ready,
        }
    }
}
