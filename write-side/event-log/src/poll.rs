//! The limits and the result of a poll. Below both adapters.

/// How much one poll may return.
#[derive(Debug, Clone, Copy)]
pub struct PollLimits {
    pub events_max: usize,
    /// Bytes of keys, payloads and headers. The last record may exceed it, so that every record can be read.
    pub bytes_max: usize,
}

/// The result of a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// The batch was filled. It is empty when no record arrived in time.
    Records,
    /// These partitions were assigned to this consumer. No record of them is returned before
    /// `Consumer::start`. The list is empty when other consumers have all partitions.
    Assigned(Vec<i32>),
    /// These partitions were revoked: another consumer may read them now.
    Revoked(Vec<i32>),
}
