//! The state that the acceptor, the sessions and the test share.

use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::script::{Login, Reply, Request};
use super::tls::Certificate;

pub(super) type Script = Box<dyn FnMut(&Request) -> Vec<Reply> + Send>;
pub(super) type LoginScript = Box<dyn FnMut(&Login) -> Vec<Reply> + Send>;

pub(super) struct Shared {
    pub(super) script: Mutex<Script>,
    pub(super) logins: Mutex<LoginScript>,
    pub(super) certificate: Certificate,
    pub(super) tls: bool,
    pub(super) keep_requests: bool,
    pub(super) history: Mutex<History>,
    pub(super) sessions: Mutex<Vec<Session>>,
    pub(super) stopping: AtomicBool,
}

/// The requests and logins so far.
#[derive(Default)]
pub(super) struct History {
    pub(super) requests: Vec<Request>,
    pub(super) requested: usize,
    pub(super) connections: usize,
    pub(super) logins: usize,
}

pub(super) struct Session {
    pub(super) socket: TcpStream,
    pub(super) thread: JoinHandle<()>,
}

/// Locks a mutex, poisoned or not. A panic of a script is reported by its thread.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
