//! Decodes the messages of the client: requested encryption, login, batches and RPCs.

use super::reader::{Reader, utf16};
use super::script::Login;
use super::value::{Cell, read_parameter};

const SP_EXECUTESQL: u16 = 10;
const ENCRYPTION_OPTION: u8 = 1;
const NO_MORE_OPTIONS: u8 = 0xFF;

/// The encryption that a client requests, and the server confirms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    /// For the login only.
    Login = 0,
    /// For everything.
    All = 1,
    Unsupported = 2,
}

/// The requested encryption in a PRELOGIN message.
pub(super) fn encryption(prelogin: &[u8]) -> Encryption {
    let mut options = Reader::new(prelogin);
    loop {
        let option = options.u8();
        assert_ne!(option, NO_MORE_OPTIONS, "PRELOGIN without an encryption option");
        let at = usize::from(u16::from_be_bytes(options.bytes(2).try_into().unwrap()));
        options.bytes(2);
        if option == ENCRYPTION_OPTION {
            return match prelogin[at] {
                0 => Encryption::Login,
                2 => Encryption::Unsupported,
                _ => Encryption::All,
            };
        }
    }
}

/// The response to PRELOGIN: version 16 (SQL Server 2022) and the encryption.
pub(super) fn prelogin_response(encryption: Encryption) -> Vec<u8> {
    let mut body = vec![0, 0, 11, 0, 6, ENCRYPTION_OPTION, 0, 17, 0, 1, NO_MORE_OPTIONS];
    body.extend([16, 0, 0x10, 0x59, 0, 0, encryption as u8]);
    body
}

/// LOGIN7: a table of offsets and lengths, then the texts.
pub(super) fn login(body: &[u8], connection: usize, encrypted: bool) -> Login {
    let field = |at: usize| {
        let mut entry = Reader::new(&body[at..]);
        let (offset, units) = (usize::from(entry.u16()), usize::from(entry.u16()));
        &body[offset..offset + units * 2]
    };
    // TDS obfuscates the password: nibbles swapped, then XOR 0xA5.
    let password: Vec<_> = field(44).iter().map(|byte| (byte ^ 0xA5).rotate_left(4)).collect();
    Login {
        connection,
        user: utf16(field(40)),
        password: utf16(&password),
        application: utf16(field(48)),
        database: utf16(field(68)),
        encrypted,
    }
}

/// The text of a SQL batch.
pub(super) fn batch(body: &[u8]) -> String {
    utf16(after_headers(body).rest())
}

/// Text and parameters of an `sp_executesql`.
///
/// # Panics
/// On any other procedure.
pub(super) fn rpc(body: &[u8]) -> (String, Vec<Cell>) {
    let mut from = after_headers(body);
    assert_eq!(from.u16(), u16::MAX, "procedures are called by number");
    assert_eq!(from.u16(), SP_EXECUTESQL, "only sp_executesql is supported");
    from.u16();
    let mut values = Vec::new();
    while !from.is_empty() {
        let name_units = usize::from(from.u8());
        from.bytes(name_units * 2);
        from.u8();
        values.push(read_parameter(&mut from));
    }
    // The second parameter declares those that follow.
    let params = values.split_off(2);
    let Some(Cell::NVarChar(sql)) = values.into_iter().next() else { panic!("sp_executesql without a text") };
    (sql, params)
}

fn after_headers(body: &[u8]) -> Reader<'_> {
    let mut from = Reader::new(body);
    let all = usize::try_from(from.u32()).unwrap();
    from.bytes(all - 4);
    from
}
