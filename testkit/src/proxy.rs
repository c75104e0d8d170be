//! A TCP proxy that can cut, stall and delay connections.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The fault that the proxy injects, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Closes all connections, and new ones at once.
    Cut,
    /// Keeps connections open and forwards nothing.
    Stall,
    /// Delays each chunk.
    Delay(Duration),
    /// Forwards this many more bytes from the server, then closes all connections once.
    CutAfter(usize),
}

/// Listens on [`Proxy::address`] and connects to a server.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    server: Option<String>,
    fault: Fault,
    connections: Vec<TcpStream>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(state: &mut State) {
        for stream in state.connections.drain(..) {
            // Fails if it is closed already.
            let _closed = stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits while the proxy is stalled. Returns how many of `count` bytes to forward.
    fn admit(&self, count: usize, from_server: bool) -> usize {
        let mut state = self.state();
        loop {
            match state.fault {
                Fault::Stall => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Fault::Cut => return 0,
                Fault::Delay(time) => {
                    drop(state);
                    thread::sleep(time);
                    return count;
                }
                Fault::CutAfter(left) if from_server => {
                    state.fault = if left > count { Fault::CutAfter(left - count) } else { Fault::None };
                    return left.min(count);
                }
                Fault::None | Fault::CutAfter(_) => return count,
            }
        }
    }
}

impl Proxy {
    /// A proxy without a server, for servers that must know the address of the proxy when they start.
    pub fn without_server() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { server: None, fault: Fault::None, connections: Vec::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                connect(&accepting, client);
            }
        });
        Self { address, shared }
    }

    /// A proxy for the server at `host:port`.
    pub fn to(server: &str) -> Self {
        let proxy = Self::without_server();
        proxy.connect_to(server);
        proxy
    }

    /// Sets the server, as `host:port`.
    pub fn connect_to(&self, server: &str) {
        self.shared.state().server = Some(server.to_owned());
    }

    /// `host:port` of the proxy.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Sets or ends a fault.
    pub fn set(&self, fault: Fault) {
        let mut state = self.shared.state();
        state.fault = fault;
        if fault == Fault::Cut {
            Shared::cut(&mut state);
        }
        self.shared.changed.notify_all();
    }
}

/// Connects to the server. If that fails, the connection of the client is closed.
fn connect(shared: &Arc<Shared>, client: TcpStream) {
    let server = shared.state().server.clone();
    let Some(server) = server.and_then(|server| TcpStream::connect(server).ok()) else { return };
    let mut state = shared.state();
    if state.fault == Fault::Cut {
        return;
    }
    for (from, to, from_server) in [(&client, &server, false), (&server, &client, true)] {
        let (from, to, shared) = (from.try_clone().unwrap(), to.try_clone().unwrap(), shared.clone());
        thread::spawn(move || copy(&shared, from, to, from_server));
    }
    state.connections.extend([client, server]);
}

fn copy(shared: &Shared, mut from: TcpStream, mut to: TcpStream, from_server: bool) {
    let mut chunk = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        let admitted = shared.admit(count, from_server);
        if to.write_all(&chunk[..admitted]).is_err() {
            break;
        }
        if admitted < count {
            Shared::cut(&mut shared.state());
        }
    }
    for stream in [from, to] {
        // Fails if the other direction has closed it.
        let _closed = stream.shutdown(Shutdown::Both);
    }
}
