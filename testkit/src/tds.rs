//! A scripted SQL Server for tests: it implements the server side of TDS and injects faults on purpose.
//!
//! It supports the messages of tiberius 0.12 (PRELOGIN, LOGIN7, SQL batches, `sp_executesql`, ATTENTION; TLS as in SQL
//! Server) and does not execute SQL. A script receives each request and returns the response:
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
//! The peer has its own threads and never blocks the runtime of a test. A script that panics, for example in an
//! assertion, closes the connection, and the test panics when the peer is stopped or dropped.

mod header;
mod packet;
mod reader;
mod request;
mod script;
mod session;
mod shared;
mod tls;
mod token;
mod value;

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use shared::{LoginScript, Session, Shared, lock};

pub use script::{Login, Reply, Request};
pub use value::{Cell, Kind};

/// The configuration of a peer; see [`TdsPeer::builder`].
pub struct TdsPeerBuilder {
    logins: LoginScript,
    tls: bool,
    keep_requests: bool,
}

impl TdsPeerBuilder {
    /// Sets the script for logins. An empty list accepts the login, and a [`Reply::Error`] refuses it (18456 is a wrong
    /// password, 4060 an unknown database). [`Reply::Delay`], [`Reply::Stall`] and [`Reply::Close`] work as for
    /// requests.
    pub fn logins(mut self, script: impl FnMut(&Login) -> Vec<Reply> + Send + 'static) -> Self {
        self.logins = Box::new(script);
        self
    }

    /// A server that does not support TLS.
    pub fn without_tls(mut self) -> Self {
        self.tls = false;
        self
    }

    /// Counts requests without keeping them, for benchmarks.
    pub fn without_requests(mut self) -> Self {
        self.keep_requests = false;
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
                keep_requests: self.keep_requests,
                history: Mutex::default(),
                sessions: Mutex::default(),
                stopping: AtomicBool::new(false),
            }),
        };
        peer.accept_on(listener);
        peer
    }
}

/// A running peer. Dropping it closes all connections.
pub struct TdsPeer {
    addr: SocketAddr,
    acceptor: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
}

impl TdsPeer {
    /// A peer that accepts every login, with TLS if the client requests it.
    pub fn start(script: impl FnMut(&Request) -> Vec<Reply> + Send + 'static) -> Self {
        Self::builder().start(script)
    }

    /// For a peer with other settings.
    pub fn builder() -> TdsPeerBuilder {
        TdsPeerBuilder { logins: Box::new(|_| Vec::new()), tls: true, keep_requests: true }
    }

    /// The address; it is the same after [`Self::restart`].
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A PEM file with the certificate that a client must trust, for `localhost` and `127.0.0.1`. It is deleted with
    /// the peer.
    pub fn ca_file(&self) -> PathBuf {
        self.shared.certificate.file().to_owned()
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.history).requests.clone()
    }

    /// The requests since the last call of this method.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut lock(&self.shared.history).requests)
    }

    /// The number of requests so far, including those that were not kept.
    pub fn requested(&self) -> usize {
        lock(&self.shared.history).requested
    }

    /// The number of TCP connections that were opened.
    pub fn connections(&self) -> usize {
        lock(&self.shared.history).connections
    }

    /// The number of connections that sent a login.
    pub fn logins(&self) -> usize {
        lock(&self.shared.history).logins
    }

    /// The number of open connections.
    pub fn open_connections(&self) -> usize {
        lock(&self.shared.sessions).iter().filter(|session| !session.thread.is_finished()).count()
    }

    /// Stops the server: closes all connections and refuses new ones.
    ///
    /// # Panics
    /// When the script has panicked.
    pub fn stop(&self) {
        assert!(self.shut_down(), "the script of the TDS peer panicked, see above");
    }

    /// Starts the server again, on the same port and with the same script.
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
                open(&shared, socket);
            }
        });
        *lock(&self.acceptor) = Some(acceptor);
    }

    /// Returns whether no script panicked.
    fn shut_down(&self) -> bool {
        if let Some(acceptor) = lock(&self.acceptor).take() {
            self.shared.stopping.store(true, Ordering::SeqCst);
            // Wakes the acceptor from its blocking call.
            drop(TcpStream::connect(self.addr));
            let _panicked = acceptor.join();
        }
        let sessions = std::mem::take(&mut *lock(&self.shared.sessions));
        for session in &sessions {
            // Fails if the session has ended already.
            let _closed = session.socket.shutdown(Shutdown::Both);
        }
        // Join all threads, also after one that panicked.
        let results: Vec<_> = sessions.into_iter().map(|session| session.thread.join()).collect();
        results.iter().all(Result::is_ok)
    }
}

impl Drop for TdsPeer {
    fn drop(&mut self) {
        let clean = self.shut_down();
        assert!(clean || std::thread::panicking(), "the script of the TDS peer panicked, see above");
    }
}

/// Starts the session of a new connection.
fn open(shared: &Arc<Shared>, socket: TcpStream) {
    let connection = {
        let mut history = lock(&shared.history);
        history.connections += 1;
        history.connections
    };
    // Otherwise a response of two packets waits for the delayed acknowledgement of the client.
    socket.set_nodelay(true).unwrap();
    let thread_shared = Arc::clone(shared);
    let wire = socket.try_clone().unwrap();
    let thread = std::thread::spawn(move || {
        let wire = ShutdownOnDrop(wire);
        // An error means that the client disconnected or the peer was stopped. The session is over either way.
        let _disconnected = session::serve(&thread_shared, &wire.0, connection);
    });
    lock(&shared.sessions).push(Session { socket, thread });
}

/// Closes a connection when its session ends or panics: the other handles of the socket would keep it open.
struct ShutdownOnDrop(TcpStream);

impl Drop for ShutdownOnDrop {
    fn drop(&mut self) {
        // Fails if the client has disconnected.
        let _closed = self.0.shutdown(Shutdown::Both);
    }
}
