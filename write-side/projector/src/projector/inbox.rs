//! Pruning of the inbox, a slice at a time, only while no record waits to be projected.

use std::time::{Duration, Instant};

use millrace_domain::Timestamp;

use super::{Projector, ProjectorError};
use crate::projection::{ApplyError, Pruned};

/// Rows of one slice: few, so that a record that arrives does not wait.
const SLICE: u32 = 1_000;
/// Between two rounds through the whole inbox.
const PAUSE: Duration = Duration::from_secs(600);

impl Projector {
    pub(super) fn prune_inbox(&mut self) -> Result<(), ProjectorError> {
        let Some(retention) = self.settings.inbox_retention.filter(|_| Instant::now() >= self.prune_at)
        else {
            return Ok(());
        };
        let retention = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
        let older_than = Timestamp::now().micros().saturating_sub(retention);
        // A retention that reaches before the year 1 prunes nothing.
        let Some(older_than) = Timestamp::from_micros(older_than) else { return Ok(()) };
        match self.projection.prune_inbox(older_than, SLICE) {
            Ok(Pruned { more: true, .. }) => {}
            Ok(Pruned { more: false, .. }) => self.prune_at = Instant::now() + PAUSE,
            Err(error @ ApplyError::Fatal(_)) => return Err(ProjectorError::Projection(error)),
            Err(error) => {
                tracing::debug!(
                    target: "millrace::projector", "inbox not pruned, retrying later: {}",
                    millrace_platform::telemetry::chain(&error)
                );
                self.prune_at = Instant::now() + PAUSE;
            }
        }
        Ok(())
    }
}
