//! Tokens: the elements of a response.

use super::value::{Cell, Kind, Layout};

pub(super) const ROW: u8 = 0xD1;
const RETURN_STATUS: u8 = 0x79;
const COLUMNS: u8 = 0x81;
const ERROR: u8 = 0xAA;
const LOGIN_ACK: u8 = 0xAD;
const ENV_CHANGE: u8 = 0xE3;
const DONE: u8 = 0xFD;
const DONE_PROC: u8 = 0xFE;
const DONE_IN_PROC: u8 = 0xFF;

const DONE_MORE: u16 = 1;
const DONE_ERROR: u16 = 2;
const DONE_COUNT: u16 = 16;
const DONE_ATTENTION: u16 = 32;

const ENV_BEGIN: u8 = 8;
const ENV_COMMIT: u8 = 9;
const ENV_ROLLBACK: u8 = 10;
const NULLABLE: u16 = 1;
/// TDS 7.4. This number is big-endian, unlike all others.
const VERSION: [u8; 4] = [0x74, 0, 0, 4];

/// The tokens of a response that are not sent yet.
pub(super) struct Tokens {
    bytes: Vec<u8>,
    /// Whether this is the response to an RPC, which ends differently from that to a batch.
    rpc: bool,
    failed: bool,
    /// The number of rows of a result set that is not complete yet.
    open_rows: Option<u64>,
}

impl Tokens {
    pub(super) fn new(rpc: bool) -> Self {
        Self { bytes: Vec::new(), rpc, failed: false, open_rows: None }
    }

    /// Removes and returns the bytes so far.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    pub(super) fn rows(&mut self, columns: &[(String, Kind)], rows: &[Vec<Cell>]) {
        self.end_rows();
        self.bytes.push(COLUMNS);
        self.bytes.extend(u16::try_from(columns.len()).unwrap().to_le_bytes());
        let mut layouts = Vec::new();
        for (at, (name, kind)) in columns.iter().enumerate() {
            let layout = Layout::of(*kind, rows.iter().map(|row| &row[at]));
            self.bytes.extend([0; 4]);
            self.bytes.extend(NULLABLE.to_le_bytes());
            layout.describe(&mut self.bytes);
            self.short_text(name);
            layouts.push(layout);
        }
        for row in rows {
            self.bytes.push(ROW);
            for (layout, cell) in layouts.iter().zip(row) {
                layout.write(cell, &mut self.bytes);
            }
        }
        self.open_rows = Some(rows.len() as u64);
    }

    pub(super) fn done(&mut self, affected: u64) {
        self.end_rows();
        let token = if self.rpc { DONE_IN_PROC } else { DONE };
        self.put_done(token, DONE_MORE | DONE_COUNT, affected);
    }

    pub(super) fn error(&mut self, number: u32, class: u8, state: u8, message: &str) {
        self.open_rows = None;
        self.failed = true;
        self.sized(ERROR, |tokens| {
            tokens.bytes.extend(number.to_le_bytes());
            tokens.bytes.extend([state, class]);
            tokens.bytes.extend(u16::try_from(message.encode_utf16().count()).unwrap().to_le_bytes());
            tokens.bytes.extend(message.encode_utf16().flat_map(u16::to_le_bytes));
            tokens.short_text("peer");
            tokens.short_text("");
            tokens.bytes.extend(1_u32.to_le_bytes());
        });
    }

    /// `descriptor` identifies the transaction.
    pub(super) fn begin(&mut self, descriptor: u64) {
        self.change(ENV_BEGIN, &[&[8], &descriptor.to_le_bytes()[..], &[0]].concat());
    }

    pub(super) fn commit(&mut self, descriptor: u64) {
        self.change(ENV_COMMIT, &[&[0, 8], &descriptor.to_le_bytes()[..]].concat());
    }

    pub(super) fn rollback(&mut self, descriptor: u64) {
        self.change(ENV_ROLLBACK, &[&[0, 8], &descriptor.to_le_bytes()[..]].concat());
    }

    pub(super) fn login_accepted(&mut self) {
        self.sized(LOGIN_ACK, |tokens| {
            tokens.bytes.push(1);
            tokens.bytes.extend(VERSION);
            tokens.short_text("Microsoft SQL Server");
            tokens.bytes.extend([16, 0, 0x10, 0x59]);
        });
    }

    /// The end of the response.
    pub(super) fn end(&mut self) {
        self.end_rows();
        let status = if self.failed { DONE_ERROR } else { 0 };
        if self.rpc {
            self.bytes.push(RETURN_STATUS);
            self.bytes.extend(0_i32.to_le_bytes());
            self.put_done(DONE_PROC, status, 0);
        } else {
            self.put_done(DONE, status, 0);
        }
    }

    /// The end of a response that the client has cancelled.
    pub(super) fn cancelled(&mut self) {
        self.put_done(DONE, DONE_ATTENTION, 0);
    }

    fn end_rows(&mut self) {
        if let Some(count) = self.open_rows.take() {
            self.done(count);
        }
    }

    fn put_done(&mut self, token: u8, status: u16, count: u64) {
        self.bytes.push(token);
        self.bytes.extend(status.to_le_bytes());
        self.bytes.extend([0; 2]);
        self.bytes.extend(count.to_le_bytes());
    }

    fn change(&mut self, kind: u8, body: &[u8]) {
        self.end_rows();
        self.sized(ENV_CHANGE, |tokens| {
            tokens.bytes.push(kind);
            tokens.bytes.extend(body);
        });
    }

    /// A token with a length before its body.
    fn sized(&mut self, token: u8, body: impl FnOnce(&mut Self)) {
        self.bytes.extend([token, 0, 0]);
        let begin = self.bytes.len();
        body(self);
        let length = u16::try_from(self.bytes.len() - begin).unwrap();
        self.bytes[begin - 2..begin].copy_from_slice(&length.to_le_bytes());
    }

    fn short_text(&mut self, text: &str) {
        self.bytes.push(u8::try_from(text.encode_utf16().count()).unwrap());
        self.bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    }
}
