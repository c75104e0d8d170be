//! Messages, cut into packets of 4 KiB with a header each, over a plain socket or over TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use native_tls::TlsStream;

use super::tls::{Certificate, Handshake};

/// Size of a packet with its header: what tiberius asks for.
const PACKET_BYTES: usize = 4_096;
pub(super) const HEADER_BYTES: usize = 8;
const END_OF_MESSAGE: u8 = 1;
const ANSWER: u8 = 4;

pub(super) const BATCH: u8 = 1;
pub(super) const RPC: u8 = 3;
pub(super) const ATTENTION: u8 = 6;
pub(super) const LOGIN: u8 = 16;
pub(super) const PRELOGIN: u8 = 18;

/// A message of the client.
pub(super) struct Message {
    /// Its type, one of the constants above.
    pub(super) kind: u8,
    pub(super) body: Vec<u8>,
}

/// The connection as far as packets.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<Handshake>>),
}

impl Wire {
    /// Shakes hands inside of PRELOGIN packets; from then on packets travel inside of TLS.
    pub(super) fn encrypt(&mut self, socket: &TcpStream, certificate: &Certificate) -> io::Result<()> {
        *self = Self::Tls(Box::new(certificate.accept(socket.try_clone()?)?));
        Ok(())
    }

    /// Reads a message of any number of packets.
    pub(super) fn read(&mut self) -> io::Result<Message> {
        let mut body = Vec::new();
        loop {
            let mut header = [0; HEADER_BYTES];
            self.stream().read_exact(&mut header)?;
            let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let begin = body.len();
            body.resize(begin + length.saturating_sub(HEADER_BYTES), 0);
            self.stream().read_exact(&mut body[begin..])?;
            if header[1] & END_OF_MESSAGE != 0 {
                return Ok(Message { kind: header[0], body });
            }
        }
    }

    /// Sends all of `body`; `last` says that the answer ends here.
    pub(super) fn write(&mut self, body: &[u8], last: bool) -> io::Result<()> {
        let mut chunks = body.chunks(PACKET_BYTES - HEADER_BYTES).peekable();
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next() {
            let status = if last && chunks.peek().is_none() { END_OF_MESSAGE } else { 0 };
            bytes.extend(header(status, chunk.len()));
            bytes.extend(chunk);
        }
        self.stream().write_all(&bytes)?;
        self.stream().flush()
    }

    /// Announces a packet of which only the first bytes come.
    pub(super) fn write_torn(&mut self) -> io::Result<()> {
        let mut bytes = header(END_OF_MESSAGE, 100).to_vec();
        bytes.extend([super::token::ROW, 0, 0]);
        self.stream().write_all(&bytes)?;
        self.stream().flush()
    }

    fn stream(&mut self) -> &mut dyn ReadWrite {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.as_mut(),
        }
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

fn header(status: u8, body_bytes: usize) -> [u8; HEADER_BYTES] {
    let [high, low] = u16::try_from(body_bytes + HEADER_BYTES).unwrap().to_be_bytes();
    [ANSWER, status, high, low, 0, 0, 1, 0]
}
