//! A connection with time-outs for the client: for the head of a request, for the idle time between two requests, and
//! for reading a response.
//!
//! hyper has a time-out for the head only, and creates a timer for each request. Here each connection has one timer for
//! reading, whose deadline is checked only when it fires: a request that arrives in one piece never touches a timer.

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

/// A client that reads this many bytes within the write time-out is fast enough.
pub(super) const PACE_BYTES: usize = 64 * 1024;

/// Whether the client or the server is to act next. The service updates it, and [`PacedIo`] applies the time-outs.
#[derive(Debug)]
pub(super) struct ConnectionState {
    accepted: Instant,
    /// End of the last response, in milliseconds after `accepted`.
    ended_ms: AtomicU64,
    requests: AtomicU64,
    responding: AtomicBool,
    upgraded: AtomicBool,
}

impl ConnectionState {
    pub(super) fn new() -> Self {
        Self {
            accepted: Instant::now(),
            ended_ms: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            responding: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
        }
    }

    /// The head of a request has arrived.
    pub(super) fn begin_response(&self) {
        self.responding.store(true, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// The response was written completely, or its connection failed.
    pub(super) fn end_response(&self) {
        let ended = u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ended_ms.store(ended, Ordering::Relaxed);
        self.responding.store(false, Ordering::Relaxed);
    }

    fn response_ended(&self) -> Instant {
        self.accepted + Duration::from_millis(self.ended_ms.load(Ordering::Relaxed))
    }

    /// The connection has switched to another protocol, which has its own time-outs.
    pub(super) fn upgrade(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }
}

pub(super) struct PacedIo<T> {
    io: T,
    state: Arc<ConnectionState>,
    /// The number of requests when `waiting_since` was set.
    requests: u64,
    /// When the server began to wait for the client.
    waiting_since: Option<Instant>,
    /// Whether a part of a head has arrived. If so, the header time-out applies instead of the idle time-out.
    in_head: bool,
    read_timer: Pin<Box<Sleep>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    /// Bytes written since `write_timer` was set.
    written: usize,
    header: Duration,
    idle: Duration,
    write: Duration,
    abort: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Released with the connection, also when it has switched to another protocol.
    _permit: OwnedSemaphorePermit,
}

impl<T> PacedIo<T> {
    pub(super) fn new(
        io: T,
        state: Arc<ConnectionState>,
        limits: &Limits,
        abort: WaitForCancellationFutureOwned,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            io,
            state,
            requests: 0,
            // The header time-out applies from the start: a client connects in order to send a request.
            waiting_since: Some(Instant::now()),
            in_head: true,
            read_timer: Box::pin(sleep(limits.header)),
            write_timer: None,
            written: 0,
            header: limits.header,
            idle: limits.idle,
            write: limits.write,
            abort: Box::pin(abort),
            _permit: permit,
        }
    }

    /// Called when no bytes have arrived: checks the time-out for reading.
    fn poll_read_timeout(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.state.upgraded.load(Ordering::Relaxed) {
            return self.abort.as_mut().poll(cx).map(|()| Err(ErrorKind::ConnectionAborted.into()));
        }
        // During a response the client does not have to send anything, but the timer must be armed all the same: hyper
        // polls for bytes only once and then waits to be woken.
        let waiting = !self.state.responding.load(Ordering::Relaxed);
        let since = if waiting {
            *self.waiting_since.get_or_insert_with(|| self.state.response_ended())
        } else {
            Instant::now()
        };
        let deadline = since + if self.in_head { self.header } else { self.idle };
        if self.read_timer.deadline() > deadline {
            self.read_timer.as_mut().reset(deadline);
        }
        while self.read_timer.as_mut().poll(cx).is_ready() {
            if waiting && Instant::now() >= deadline {
                return Poll::Ready(Err(too_slow()));
            }
            self.read_timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn note_request(&mut self) {
        let requests = self.state.requests.load(Ordering::Relaxed);
        if requests != self.requests {
            (self.requests, self.waiting_since, self.in_head) = (requests, None, false);
        }
    }

    fn note_bytes(&mut self) {
        if !self.in_head && !self.state.responding.load(Ordering::Relaxed) {
            (self.waiting_since, self.in_head) = (Some(Instant::now()), true);
        }
    }

    /// Called when no bytes can be written: checks the time-out for writing.
    fn poll_write_timeout<R>(&mut self, cx: &mut Context<'_>) -> Poll<Result<R>> {
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(sleep(self.write)));
        timer.as_mut().poll(cx).map(|()| Err(too_slow()))
    }

    fn after_write(&mut self, cx: &mut Context<'_>, result: Poll<Result<usize>>) -> Poll<Result<usize>> {
        match result {
            Poll::Pending => self.poll_write_timeout(cx),
            Poll::Ready(Ok(bytes)) if self.write_timer.is_some() => {
                self.written += bytes;
                if self.written >= PACE_BYTES {
                    (self.write_timer, self.written) = (None, 0);
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
            return self.poll_read_timeout(cx);
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
        self.after_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.after_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if flushed.is_pending() {
            return self.poll_write_timeout(cx);
        }
        (self.write_timer, self.written) = (None, 0);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match Pin::new(&mut self.io).poll_shutdown(cx) {
            Poll::Pending => self.poll_write_timeout(cx),
            ready => ready,
        }
    }
}
