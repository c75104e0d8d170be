//! The vocabulary of Millrace: events and their fields, the formats they are read from, records and positions.
//!
//! Everything here is pure: no IO and no runtime. The crate has no dependency that would allow either.

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
