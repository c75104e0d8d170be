//! The header of a packet: its size, and the types of messages.

pub(super) const HEADER_BYTES: usize = 8;

pub(super) const BATCH: u8 = 1;
pub(super) const RPC: u8 = 3;
pub(super) const ATTENTION: u8 = 6;
pub(super) const LOGIN: u8 = 16;
pub(super) const PRELOGIN: u8 = 18;
