//! Reads and writes messages as packets of up to 4 KiB, on a plain socket or with TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use native_tls::TlsStream;

use super::header::HEADER_BYTES;
use super::tls::{Certificate, Handshake};

/// Size of a packet with its header, as tiberius requests it.
const PACKET_BYTES: usize = 4_096;
const END_OF_MESSAGE: u8 = 1;
const RESPONSE: u8 = 4;

/// A message of the client.
pub(super) struct Message {
    /// The type of the message, see [`super::header`].
    pub(super) kind: u8,
    pub(super) body: Vec<u8>,
}

/// The packets of a connection.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<Handshake>>),
}

impl Wire {
    /// Performs the TLS handshake in PRELOGIN packets. From then on packets are inside of TLS.
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

    /// Sends `body`. `last` marks the end of the response.
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

    /// Sends the header of a packet and only the first bytes of its body.
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
    [RESPONSE, status, high, low, 0, 0, 1, 0]
}
