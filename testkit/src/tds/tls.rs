//! TLS as in SQL Server: the handshake is in PRELOGIN packets, and everything after it is not.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use native_tls::{Identity, Protocol, TlsAcceptor, TlsStream};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};
use tempfile::NamedTempFile;

use super::header::{HEADER_BYTES, PRELOGIN};

/// A self-signed certificate for `localhost` and `127.0.0.1`, valid for a day.
pub(super) struct Certificate {
    acceptor: TlsAcceptor,
    file: NamedTempFile,
}

impl Certificate {
    pub(super) fn self_signed() -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_nid(Nid::COMMONNAME, "localhost").unwrap();
        let name = name.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        let context = builder.x509v3_context(None, None);
        let names = SubjectAlternativeName::new().dns("localhost").ip("127.0.0.1").build(&context).unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        let pem = builder.build().to_pem().unwrap();

        let identity = Identity::from_pkcs8(&pem, &key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        // TLS 1.3 sends tickets after the handshake, and TDS 7 does not define whether they are in PRELOGIN packets.
        let acceptor =
            TlsAcceptor::builder(identity).max_protocol_version(Some(Protocol::Tlsv12)).build().unwrap();
        // Drivers recognise the format by the file extension.
        let mut file = tempfile::Builder::new().suffix(".pem").tempfile().unwrap();
        file.write_all(&pem).unwrap();
        Self { acceptor, file }
    }

    pub(super) fn file(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<Handshake>> {
        let wrapped = Handshake { socket, wrapping: true, left: 0 };
        let mut stream = self.acceptor.accept(wrapped).map_err(io::Error::other)?;
        stream.get_mut().wrapping = false;
        Ok(stream)
    }
}

/// A socket that wraps everything in PRELOGIN packets until the handshake is complete.
#[derive(Debug)]
pub(super) struct Handshake {
    socket: TcpStream,
    wrapping: bool,
    /// Unread bytes of the current packet.
    left: usize,
}

impl Read for Handshake {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.wrapping {
            return self.socket.read(into);
        }
        if self.left == 0 {
            let mut header = [0; HEADER_BYTES];
            self.socket.read_exact(&mut header)?;
            self.left = usize::from(u16::from_be_bytes([header[2], header[3]])).saturating_sub(HEADER_BYTES);
        }
        let most = into.len().min(self.left);
        let count = self.socket.read(&mut into[..most])?;
        self.left -= count;
        Ok(count)
    }
}

impl Write for Handshake {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        if !self.wrapping {
            return self.socket.write(from);
        }
        let chunk = &from[..from.len().min(4_096 - HEADER_BYTES)];
        let [high, low] = u16::try_from(chunk.len() + HEADER_BYTES).unwrap().to_be_bytes();
        let mut packet = vec![PRELOGIN, 1, high, low, 0, 0, 1, 0];
        packet.extend(chunk);
        self.socket.write_all(&packet)?;
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}
