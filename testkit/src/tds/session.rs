//! One connection, from PRELOGIN to its end.

use std::io;
use std::net::TcpStream;

use super::packet::{ATTENTION, BATCH, LOGIN, Message, PRELOGIN, RPC, Wire};
use super::request::{self, Encryption};
use super::script::{Reply, Request};
use super::token::Tokens;
use super::{Shared, hold};

/// From this class on an error ends the connection.
const FATAL_CLASS: u8 = 20;

/// Serves a client until one of both sides ends it.
///
/// # Errors
/// The connection broke.
///
/// # Panics
/// When the script does, or the client sends what the peer does not understand.
pub(super) fn serve(shared: &Shared, socket: &TcpStream, connection: usize) -> io::Result<()> {
    let mut session = Connection { wire: Wire::Plain(socket.try_clone()?), transaction: None, connection };
    if !session.log_in(shared, socket)? {
        return Ok(());
    }
    loop {
        let message = session.wire.read()?;
        let rpc = message.kind == RPC;
        let replies = session.ask(shared, &message);
        match session.answer(replies, rpc)? {
            Outcome::Answered => {}
            Outcome::Closed => return Ok(()),
            Outcome::Stalled => {
                session.read(ATTENTION)?;
                let mut tokens = Tokens::new(false);
                tokens.cancelled();
                session.wire.write(&tokens.take(), true)?;
            }
        }
    }
}

/// What has become of an answer.
enum Outcome {
    Answered,
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
    /// Whether the client is in.
    fn log_in(&mut self, shared: &Shared, socket: &TcpStream) -> io::Result<bool> {
        let prelogin = self.read(PRELOGIN)?;
        let wish = request::encryption(&prelogin);
        let encryption = if shared.tls { wish } else { Encryption::Unsupported };
        self.wire.write(&request::prelogin_answer(encryption), true)?;
        let encrypted = encryption != Encryption::Unsupported;
        if encrypted {
            self.wire.encrypt(socket, &shared.certificate)?;
        }
        let login = request::login(&self.read(LOGIN)?, self.connection, encrypted);
        if encryption == Encryption::Login {
            self.wire = Wire::Plain(socket.try_clone()?);
        }
        hold(&shared.seen).logins += 1;
        let replies = (hold(&shared.logins))(&login);
        let refused = replies.iter().any(|reply| matches!(reply, Reply::Error { .. }));
        if refused {
            self.answer(replies, false)?;
            return Ok(false);
        }
        match self.say(&mut Tokens::new(false), replies)? {
            Some(Outcome::Answered) | None => {}
            Some(Outcome::Stalled) => {
                self.wire.read()?;
                return Ok(false);
            }
            Some(Outcome::Closed) => return Ok(false),
        }
        let mut tokens = Tokens::new(false);
        tokens.login_accepted();
        tokens.end();
        self.wire.write(&tokens.take(), true)?;
        Ok(true)
    }

    /// Another message than the one that is due ends the connection.
    fn read(&mut self, kind: u8) -> io::Result<Vec<u8>> {
        let message = self.wire.read()?;
        if message.kind == kind { Ok(message.body) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Notes the request and asks the script.
    fn ask(&self, shared: &Shared, message: &Message) -> Vec<Reply> {
        let (sql, params) = match message.kind {
            BATCH => (request::batch(&message.body), Vec::new()),
            RPC => request::rpc(&message.body),
            other => panic!("a message of type {other}: teach it to the TDS peer"),
        };
        // Held while a number is given, so that scripts see requests in the order of their numbers.
        let mut script = hold(&shared.script);
        let request = {
            let mut seen = hold(&shared.seen);
            seen.requested += 1;
            let request = Request {
                number: seen.requested,
                connection: self.connection,
                sql,
                params,
                in_transaction: self.transaction.is_some(),
            };
            if shared.keeps {
                seen.requests.push(request.clone());
            }
            request
        };
        script(&request)
    }

    /// Sends an answer to its end, if the script lets it.
    fn answer(&mut self, replies: Vec<Reply>, rpc: bool) -> io::Result<Outcome> {
        let fatal =
            replies.iter().any(|reply| matches!(reply, Reply::Error { class, .. } if *class >= FATAL_CLASS));
        let mut tokens = Tokens::new(rpc);
        if let Some(outcome) = self.say(&mut tokens, replies)? {
            return Ok(outcome);
        }
        tokens.end();
        self.wire.write(&tokens.take(), true)?;
        Ok(if fatal { Outcome::Closed } else { Outcome::Answered })
    }

    /// Says one part after the other; tells when that was all there is to say.
    fn say(&mut self, tokens: &mut Tokens, replies: Vec<Reply>) -> io::Result<Option<Outcome>> {
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
                    return Ok(Some(Outcome::Stalled));
                }
                Reply::Close => {
                    self.wire.write(&tokens.take(), false)?;
                    self.wire.write_torn()?;
                    return Ok(Some(Outcome::Closed));
                }
            }
        }
        Ok(None)
    }

    fn end_transaction(&mut self) -> u64 {
        self.transaction.take().expect("the script ends a transaction that it has begun")
    }
}
