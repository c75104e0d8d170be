//! Why a batch was not projected, sorted by what the projector does about it.

/// Why a batch was not projected. Nothing of it was, in every case.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The fence is not where this projector left it, so another projector has the partition.
    #[error("partition {partition} is projected by another process: its fence has moved")]
    Fenced { partition: i32 },
    /// The store is unavailable, busy or full: wait, then retry.
    #[error("read model unavailable")]
    Transient(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An event in the batch cannot be stored.
    #[error("read model refused the event")]
    Poison(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A bug of ours, or a damaged store.
    #[error("projection failed")]
    Fatal(#[source] Box<dyn std::error::Error + Send + Sync>),
}
