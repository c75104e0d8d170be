//! The vocabulary of Millrace: what an event is made of, how it is read from the wire, where it is in a log.
//!
//! Everything here is pure: no IO, no clock, no runtime. The crate's dependencies keep it so.

pub mod amount;
pub mod change;
pub mod consistency;
pub mod envelope;
pub mod event;
pub mod id;
pub mod record;
pub mod text;
pub mod timestamp;

pub use amount::Amount;
pub use envelope::{DecodeError, Envelope, decode};
pub use event::{Event, EventType};
pub use record::{NewRecord, Position, Record, RecordBatch};
pub use timestamp::Timestamp;
