//! Where to read on: at the checkpoints in the tables, which are set before anything is read for the first time.

use std::collections::BTreeMap;

use super::{Halt, Projector, Step};
use crate::projection::{ApplyError, Batch, Span};

impl Projector {
    /// Reads on in the unstarted partitions from where the tables are projected up to.
    pub(super) fn start_partitions(&mut self) -> Result<Step, Halt> {
        let checkpoints = self.projection.checkpoints(&self.topic);
        let mut checkpoints = checkpoints.map_err(|error| self.store_failed(error))?;
        if checkpoints.is_empty() {
            checkpoints = self.begin()?;
        }
        // A partition without a checkpoint is younger than the others' and is read from its very first record.
        let checkpoint =
            |partition: &i32| (*partition, Some(checkpoints.get(partition).copied().unwrap_or(0)));
        let starts: Vec<_> = self.unstarted.iter().map(checkpoint).collect();
        self.consumer.start(&starts).map_err(|error| self.log_failed(error))?;
        self.breaker.lock().success();
        self.unstarted.clear();
        self.progress.started(&starts);
        let fence = |(partition, _): (i32, _)| (partition, checkpoints.get(&partition).copied());
        self.fences.extend(starts.into_iter().map(fence));
        Ok(Step::Rebalanced)
    }

    /// Sets the first checkpoint of every partition of the topic, also of those that another projector reads: where it
    /// begins today. From here on a partition that begins later has lost records that were never projected, whether or
    /// not any of its records ever were, and is never taken for a new one. Returns these checkpoints.
    fn begin(&mut self) -> Result<BTreeMap<i32, i64>, Halt> {
        let beginnings = self.consumer.beginnings().map_err(|error| self.log_failed(error))?;
        let span = |(partition, next): (i32, i64)| Span { partition, from: None, next };
        let spans: Vec<_> = beginnings.iter().copied().map(span).collect();
        let nothing = Batch { topic: &self.topic, spans: &spans, events: Vec::new(), letters: Vec::new() };
        match self.projection.apply(&nothing) {
            Ok(_) => Ok(beginnings.into_iter().collect()),
            // Another projector has begun at this very moment, and its checkpoints are read next.
            Err(ApplyError::Fenced { .. }) => Err(Halt::Instead(Step::Rebalanced)),
            Err(error) => Err(self.store_failed(error)),
        }
    }
}
