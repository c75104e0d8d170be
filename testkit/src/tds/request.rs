//! Reading what the client sends inside of messages: its wish for encryption, its login, batches and RPCs.

use super::script::Login;
use super::value::{Cell, read_parameter};

const SP_EXECUTESQL: u16 = 10;
const ENCRYPTION_OPTION: u8 = 1;
const NO_MORE_OPTIONS: u8 = 0xFF;

/// What a client says about TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    /// For the login only.
    Login = 0,
    /// For everything.
    All = 1,
    /// Not at all.
    Unsupported = 2,
}

/// The wish that stands in a PRELOGIN message.
pub(super) fn encryption(prelogin: &[u8]) -> Encryption {
    let mut options = Reader(prelogin);
    loop {
        let option = options.u8();
        assert_ne!(option, NO_MORE_OPTIONS, "PRELOGIN says nothing about encryption");
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

/// The answer to PRELOGIN: version 16 (SQL Server 2022) and what becomes of encryption.
pub(super) fn prelogin_answer(encryption: Encryption) -> Vec<u8> {
    let mut body = vec![0, 0, 11, 0, 6, ENCRYPTION_OPTION, 0, 17, 0, 1, NO_MORE_OPTIONS];
    body.extend([16, 0, 0x10, 0x59, 0, 0, encryption as u8]);
    body
}

/// LOGIN7: a table of offsets and lengths, then the texts.
pub(super) fn login(body: &[u8], connection: usize, encrypted: bool) -> Login {
    let field = |at: usize| {
        let mut place = Reader(&body[at..]);
        let (offset, units) = (usize::from(place.u16()), usize::from(place.u16()));
        &body[offset..offset + units * 2]
    };
    // Nibbles swapped, then XOR 0xA5: TDS calls that obfuscation.
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
    utf16(after_headers(body).0)
}

/// Text and parameters of an `sp_executesql`.
///
/// # Panics
/// On any other procedure.
pub(super) fn rpc(body: &[u8]) -> (String, Vec<Cell>) {
    let mut from = after_headers(body);
    assert_eq!(from.u16(), u16::MAX, "a procedure called by its name");
    assert_eq!(from.u16(), SP_EXECUTESQL, "the number of the procedure");
    from.u16();
    let mut values = Vec::new();
    while !from.0.is_empty() {
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
    let mut from = Reader(body);
    let all = usize::try_from(from.u32()).unwrap();
    from.bytes(all - 4);
    from
}

pub(super) fn utf16(bytes: &[u8]) -> String {
    let units: Vec<_> = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    String::from_utf16(&units).unwrap()
}

/// Takes values off the front of a message. What ends too early is the driver's bug or ours: a panic.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    pub(super) fn u8(&mut self) -> u8 {
        self.bytes(1)[0]
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes(2).try_into().unwrap())
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes(4).try_into().unwrap())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes(8).try_into().unwrap())
    }
}
