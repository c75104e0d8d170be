//! A wire between two parts that can be cut, stalled and delayed.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What the wire does to bytes, in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: they pass.
    None,
    /// Connections are closed, new ones as soon as they are made.
    Cut,
    /// Connections stay open, and nothing passes.
    Stall,
    /// Every piece takes this much longer.
    Delay(Duration),
    /// That many bytes still come back from the far end, then every connection is cut, once.
    CutAfter(usize),
}

/// The wire: connect to [`Proxy::address`], and it connects to the far end.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    far_end: Option<String>,
    fault: Fault,
    connections: Vec<TcpStream>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(state: &mut State) {
        for stream in state.connections.drain(..) {
            // It may have been closed already.
            let _closed = stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits while the wire is stalled; says how many of `count` bytes pass.
    fn pass(&self, count: usize, comes_back: bool) -> usize {
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
                Fault::CutAfter(left) if comes_back => {
                    state.fault = if left > count { Fault::CutAfter(left - count) } else { Fault::None };
                    return left.min(count);
                }
                Fault::None | Fault::CutAfter(_) => return count,
            }
        }
    }
}

impl Proxy {
    /// A wire whose far end is told later, for parts that must know the wire's address first.
    pub fn unconnected() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { far_end: None, fault: Fault::None, connections: Vec::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = shared.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                connect(&accepting, near);
            }
        });
        Self { address, shared }
    }

    /// A wire to `far_end`, `host:port`.
    pub fn to(far_end: &str) -> Self {
        let proxy = Self::unconnected();
        proxy.connect_to(far_end);
        proxy
    }

    /// Names the far end.
    pub fn connect_to(&self, far_end: &str) {
        self.shared.state().far_end = Some(far_end.to_owned());
    }

    /// Where to connect to, `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Breaks the wire, or mends it.
    pub fn set(&self, fault: Fault) {
        let mut state = self.shared.state();
        state.fault = fault;
        if fault == Fault::Cut {
            Shared::cut(&mut state);
        }
        self.shared.changed.notify_all();
    }
}

/// A connection that cannot be made to the far end is closed, as a dead far end would.
fn connect(shared: &Arc<Shared>, near: TcpStream) {
    let far_end = shared.state().far_end.clone();
    let Some(far) = far_end.and_then(|far_end| TcpStream::connect(far_end).ok()) else { return };
    let mut state = shared.state();
    if state.fault == Fault::Cut {
        return;
    }
    for (from, to, comes_back) in [(&near, &far, false), (&far, &near, true)] {
        let (from, to, shared) = (from.try_clone().unwrap(), to.try_clone().unwrap(), shared.clone());
        thread::spawn(move || copy(&shared, from, to, comes_back));
    }
    state.connections.extend([near, far]);
}

fn copy(shared: &Shared, mut from: TcpStream, mut to: TcpStream, comes_back: bool) {
    let mut piece = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        let passes = shared.pass(count, comes_back);
        if to.write_all(&piece[..passes]).is_err() {
            break;
        }
        if passes < count {
            Shared::cut(&mut shared.state());
        }
    }
    for stream in [from, to] {
        // The other direction may have closed it already.
        let _closed = stream.shutdown(Shutdown::Both);
    }
}
