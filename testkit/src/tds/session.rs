//! Serves one connection: PRELOGIN, login, requests.

use std::io;
use std::net::TcpStream;

use super::header::{ATTENTION, BATCH, LOGIN, PRELOGIN, RPC};
use super::packet::{Message, Wire};
use super::request::{self, Encryption};
use super::script::{Reply, Request};
use super::shared::{Shared, lock};
use super::token::Tokens;

/// An error of this class or above closes the connection.
const FATAL_CLASS: u8 = 20;

/// Serves a client until one side closes the connection.
///
/// # Errors
/// The connection failed.
///
/// # Panics
/// When the script panics, or the client sends an unsupported message.
pub(super) fn serve(shared: &Shared, socket: &TcpStream, connection: usize) -> io::Result<()> {
    let mut session = Connection { wire: Wire::Plain(socket.try_clone()?), transaction: None, connection };
    if !session.log_in(shared, socket)? {
        return Ok(());
    }
    loop {
        let message = session.wire.read()?;
        let rpc = message.kind == RPC;
        let replies = session.run_script(shared, &message);
        match session.respond(replies, rpc)? {
            ResponseEnd::Complete => {}
            ResponseEnd::Closed => return Ok(()),
            ResponseEnd::Stalled => {
                session.read(ATTENTION)?;
                let mut tokens = Tokens::new(false);
                tokens.cancelled();
                session.wire.write(&tokens.take(), true)?;
            }
        }
    }
}

/// How a response ended.
enum ResponseEnd {
    Complete,
    Stalled,
    Closed,
}

struct Connection {
    wire: Wire,
    /// The descriptor of the open transaction.
    transaction: Option<u64>,
    connection: usize,
}

impl Connection {
    /// Returns whether the login succeeded.
    fn log_in(&mut self, shared: &Shared, socket: &TcpStream) -> io::Result<bool> {
        let prelogin = self.read(PRELOGIN)?;
        let requested = request::encryption(&prelogin);
        let encryption = if shared.tls { requested } else { Encryption::Unsupported };
        self.wire.write(&request::prelogin_response(encryption), true)?;
        let encrypted = encryption != Encryption::Unsupported;
        if encrypted {
            self.wire.encrypt(socket, &shared.certificate)?;
        }
        let login = request::login(&self.read(LOGIN)?, self.connection, encrypted);
        if encryption == Encryption::Login {
            self.wire = Wire::Plain(socket.try_clone()?);
        }
        lock(&shared.history).logins += 1;
        let replies = (lock(&shared.logins))(&login);
        let is_refused = replies.iter().any(|reply| matches!(reply, Reply::Error { .. }));
        if is_refused {
            self.respond(replies, false)?;
            return Ok(false);
        }
        match self.send(&mut Tokens::new(false), replies)? {
            Some(ResponseEnd::Complete) | None => {}
            Some(ResponseEnd::Stalled) => {
                self.wire.read()?;
                return Ok(false);
            }
            Some(ResponseEnd::Closed) => return Ok(false),
        }
        let mut tokens = Tokens::new(false);
        tokens.login_accepted();
        tokens.end();
        self.wire.write(&tokens.take(), true)?;
        Ok(true)
    }

    /// Reads a message of that type. Any other message closes the connection.
    fn read(&mut self, kind: u8) -> io::Result<Vec<u8>> {
        let message = self.wire.read()?;
        if message.kind == kind { Ok(message.body) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Records the request and calls the script.
    fn run_script(&self, shared: &Shared, message: &Message) -> Vec<Reply> {
        let (sql, params) = match message.kind {
            BATCH => (request::batch(&message.body), Vec::new()),
            RPC => request::rpc(&message.body),
            other => panic!("the TDS peer does not support messages of type {other}"),
        };
        // Locked before the request gets its number, so that the script sees the requests in the order of their
        // numbers.
        let mut script = lock(&shared.script);
        let request = {
            let mut history = lock(&shared.history);
            history.requested += 1;
            let request = Request {
                number: history.requested,
                connection: self.connection,
                sql,
                params,
                in_transaction: self.transaction.is_some(),
            };
            if shared.keep_requests {
                history.requests.push(request.clone());
            }
            request
        };
        script(&request)
    }

    /// Sends a response and, unless it stalls or closes, its end.
    fn respond(&mut self, replies: Vec<Reply>, rpc: bool) -> io::Result<ResponseEnd> {
        let fatal =
            replies.iter().any(|reply| matches!(reply, Reply::Error { class, .. } if *class >= FATAL_CLASS));
        let mut tokens = Tokens::new(rpc);
        if let Some(end) = self.send(&mut tokens, replies)? {
            return Ok(end);
        }
        tokens.end();
        self.wire.write(&tokens.take(), true)?;
        Ok(if fatal { ResponseEnd::Closed } else { ResponseEnd::Complete })
    }

    /// Adds or sends the parts; `None` when the response is not ended by a stall or a close.
    fn send(&mut self, tokens: &mut Tokens, replies: Vec<Reply>) -> io::Result<Option<ResponseEnd>> {
        for reply in replies {
            match reply {
                Reply::Rows { columns, rows } => tokens.rows(&columns, &rows),
                Reply::Done(affected) => tokens.done(affected),
                Reply::Error { number, class, state, message } => {
                    tokens.error(number, class, state, &message);
                }
                Reply::Begin => {
                    let descriptor = self.connection as u64;
                    self.transaction = Some(descriptor);
                    tokens.begin(descriptor);
                }
                Reply::Commit => tokens.commit(self.end_transaction()),
                Reply::Rollback => tokens.rollback(self.end_transaction()),
                Reply::Delay(time) => {
                    self.wire.write(&tokens.take(), false)?;
                    std::thread::sleep(time);
                }
                Reply::Stall => {
                    self.wire.write(&tokens.take(), false)?;
                    return Ok(Some(ResponseEnd::Stalled));
                }
                Reply::Close => {
                    self.wire.write(&tokens.take(), false)?;
                    self.wire.write_torn()?;
                    return Ok(Some(ResponseEnd::Closed));
                }
            }
        }
        Ok(None)
    }

    fn end_transaction(&mut self) -> u64 {
        self.transaction.take().expect("the script ends a transaction that it began")
    }
}
