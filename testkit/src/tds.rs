//! A scripted peer that speaks the server's side of TDS: it fails on purpose where a SQL Server would fail by chance.
//!
//! It understands what tiberius 0.12 sends (PRELOGIN, LOGIN7, SQL batches, `sp_executesql`, ATTENTION; TLS as SQL Server
//! does it) and knows no SQL. A script sees each request and says what to answer:
//!
//! ```
//! use millrace_testkit::tds::{Kind, Reply, TdsPeer};
//!
//! let peer = TdsPeer::start(|request| match request.number {
//!     1 => vec![Reply::error(1205, "chosen as the deadlock victim")],
//!     _ => vec![Reply::rows([("applied", Kind::Int)], [vec![3.into()]])],
//! });
//! assert_eq!(peer.requests().len(), 0);
//! ```
//!
//! The peer runs on threads of its own and never blocks a test's runtime. A script that panics, because an assertion in
//! it failed, ends the connection and makes the test panic when the peer is stopped or dropped.

mod packet;
mod request;
mod script;
mod session;
mod tls;
mod token;
mod value;

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub use script::{Login, Reply, Request};
pub use value::{Cell, Kind};

type Script = Box<dyn FnMut(&Request) -> Vec<Reply> + Send>;
type LoginScript = Box<dyn FnMut(&Login) -> Vec<Reply> + Send>;

/// What a peer does beside answering requests. Made by [`TdsPeer::setup`].
pub struct Setup {
    logins: LoginScript,
    tls: bool,
    keeps: bool,
}

impl Setup {
    /// Decides about each login: no reply accepts it, an [`Reply::Error`] refuses it (18456 is a wrong password, 4060 an
    /// unknown database), [`Reply::Delay`], [`Reply::Stall`] and [`Reply::Close`] work as for requests.
    pub fn logins(mut self, script: impl FnMut(&Login) -> Vec<Reply> + Send + 'static) -> Self {
        self.logins = Box::new(script);
        self
    }

    /// A server that has no TLS: it says so whatever the client wishes.
    pub fn without_tls(mut self) -> Self {
        self.tls = false;
        self
    }

    /// Requests are counted but not kept: for benchmarks, whose batches would fill the memory.
    pub fn keeping_no_requests(mut self) -> Self {
        self.keeps = false;
        self
    }

    /// Starts the peer on a free port of 127.0.0.1.
    pub fn start(self, script: impl FnMut(&Request) -> Vec<Reply> + Send + 'static) -> TdsPeer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let peer = TdsPeer {
            addr: listener.local_addr().unwrap(),
            acceptor: Mutex::new(None),
            shared: Arc::new(Shared {
                script: Mutex::new(Box::new(script)),
                logins: Mutex::new(self.logins),
                certificate: tls::Certificate::self_signed(),
                tls: self.tls,
                keeps: self.keeps,
                seen: Mutex::default(),
                sessions: Mutex::default(),
                stopping: AtomicBool::new(false),
            }),
        };
        peer.accept_on(listener);
        peer
    }
}

/// A running peer. Dropping it cuts all connections.
pub struct TdsPeer {
    addr: SocketAddr,
    acceptor: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
}

/// What acceptor, sessions and the test's handle have in common.
struct Shared {
    script: Mutex<Script>,
    logins: Mutex<LoginScript>,
    certificate: tls::Certificate,
    tls: bool,
    keeps: bool,
    seen: Mutex<Seen>,
    sessions: Mutex<Vec<Session>>,
    stopping: AtomicBool,
}

#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    requested: usize,
    connections: usize,
    logins: usize,
}

struct Session {
    socket: TcpStream,
    thread: JoinHandle<()>,
}

/// A script that panicked shall not hide behind a poisoned lock: its panic is reported by its thread.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TdsPeer {
    /// A peer that accepts every login, with TLS when the client wants it.
    pub fn start(script: impl FnMut(&Request) -> Vec<Reply> + Send + 'static) -> Self {
        Self::setup().start(script)
    }

    /// A peer with more to say than answers.
    pub fn setup() -> Setup {
        Setup { logins: Box::new(|_| Vec::new()), tls: true, keeps: true }
    }

    /// Where it listens; the same after [`Self::restart`].
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A file with the certificate that a client must trust, in PEM. It is made for `localhost` and `127.0.0.1`, and goes
    /// with the peer.
    pub fn ca_file(&self) -> PathBuf {
        self.shared.certificate.file().to_owned()
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        hold(&self.shared.seen).requests.clone()
    }

    /// The requests since the last call of this method. Numbers go on counting.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut hold(&self.shared.seen).requests)
    }

    /// How many requests came so far, whether kept and taken or not.
    pub fn requested(&self) -> usize {
        hold(&self.shared.seen).requested
    }

    /// How many TCP connections were opened.
    pub fn connections(&self) -> usize {
        hold(&self.shared.seen).connections
    }

    /// How many of these got as far as sending a login.
    pub fn logins(&self) -> usize {
        hold(&self.shared.seen).logins
    }

    /// How many connections are open now. A pool that drops an abandoned connection brings this down.
    pub fn open_connections(&self) -> usize {
        hold(&self.shared.sessions).iter().filter(|session| !session.thread.is_finished()).count()
    }

    /// The server is gone: all connections are cut, new ones are refused.
    ///
    /// # Panics
    /// When the script has panicked.
    pub fn stop(&self) {
        assert!(self.shut_down(), "the script of the TDS peer panicked, see above");
    }

    /// The server is there again, on the same port, with the same script.
    ///
    /// # Panics
    /// When another process has taken the port meanwhile.
    pub fn restart(&self) {
        self.stop();
        self.shared.stopping.store(false, Ordering::SeqCst);
        self.accept_on(TcpListener::bind(self.addr).unwrap());
    }

    fn accept_on(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        let acceptor = std::thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                if shared.stopping.load(Ordering::SeqCst) {
                    return;
                }
                shared.open(socket);
            }
        });
        *hold(&self.acceptor) = Some(acceptor);
    }

    /// Whether all scripts ended well.
    fn shut_down(&self) -> bool {
        if let Some(acceptor) = hold(&self.acceptor).take() {
            self.shared.stopping.store(true, Ordering::SeqCst);
            // Wakes the acceptor; it may also have woken by itself.
            drop(TcpStream::connect(self.addr));
            let _ = acceptor.join();
        }
        let sessions = std::mem::take(&mut *hold(&self.shared.sessions));
        for session in &sessions {
            // One that has ended already is no longer connected.
            let _ = session.socket.shutdown(Shutdown::Both);
        }
        // All are joined, also after one that panicked.
        let ends: Vec<_> = sessions.into_iter().map(|session| session.thread.join()).collect();
        ends.iter().all(Result::is_ok)
    }
}

impl Drop for TdsPeer {
    fn drop(&mut self) {
        let well = self.shut_down();
        assert!(well || std::thread::panicking(), "the script of the TDS peer panicked, see above");
    }
}

impl Shared {
    fn open(self: &Arc<Self>, socket: TcpStream) {
        let connection = {
            let mut seen = hold(&self.seen);
            seen.connections += 1;
            seen.connections
        };
        // Answers of two packets would otherwise wait for the client's delayed acknowledgement.
        socket.set_nodelay(true).unwrap();
        let shared = Arc::clone(self);
        let wire = socket.try_clone().unwrap();
        let thread = std::thread::spawn(move || {
            let wire = Cut(wire);
            // An error is a client that went away or the peer being stopped: the session is over either way.
            let _ = session::serve(&shared, &wire.0, connection);
        });
        hold(&self.sessions).push(Session { socket, thread });
    }
}

/// Cuts a connection when its session ends, be it by a panic: other handles of the socket would keep it open.
struct Cut(TcpStream);

impl Drop for Cut {
    fn drop(&mut self) {
        // The client may have been first.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
