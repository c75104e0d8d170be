//! The vocabulary both sides of Millrace speak. Depends on neither side and knows nothing of them.
//!
//! Pure modules (`event`, `envelope`, `id`, `amount`, `timestamp`, `text`, `record`) do no IO.

pub mod amount;
pub mod change;
pub mod change_feed;
pub mod envelope;
pub mod event;
pub mod http;
pub mod id;
pub mod metrics;
pub mod problem;
pub mod record;
pub mod redis;
pub mod secret;
pub mod settings;
pub mod shutdown;
pub mod sql;
pub mod sqlite;
pub mod telemetry;
pub mod text;
pub mod timestamp;

pub use amount::Amount;
pub use envelope::{DecodeError, Envelope, decode};
pub use event::{Event, EventType};
pub use record::{NewRecord, Position, Record, RecordBatch};
pub use timestamp::Timestamp;
