//! Starting partitions: at their checkpoints in the tables, which are set before anything is read for the first time.

use std::collections::BTreeMap;

use super::{Halt, Projector, Step};
use crate::projection::{ApplyError, Batch, Span};

impl Projector {
    /// Starts the assigned partitions at their checkpoints.
    pub(super) fn start_partitions(&mut self) -> Result<Step, Halt> {
        let checkpoints = self.projection.checkpoints(&self.topic);
        let mut checkpoints = checkpoints.map_err(|error| self.store_failed(error))?;
        if checkpoints.is_empty() {
            checkpoints = self.begin()?;
        }
        // A partition without a checkpoint was added later, so it is read from its first record.
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

    /// Sets the first checkpoint of every partition of the topic, also of those that another projector reads, to where
    /// the partition begins now. When it begins later than that one day, retention has deleted records that were never
    /// projected; without the checkpoint it would look like a new partition. Returns the checkpoints.
    fn begin(&mut self) -> Result<BTreeMap<i32, i64>, Halt> {
        let beginnings = self.consumer.beginnings().map_err(|error| self.log_failed(error))?;
        let span = |(partition, next): (i32, i64)| Span { partition, from: None, next };
        let spans: Vec<_> = beginnings.iter().copied().map(span).collect();
        let nothing = Batch { topic: &self.topic, spans: &spans, events: Vec::new(), letters: Vec::new() };
        match self.projection.apply(&nothing) {
            Ok(_) => Ok(beginnings.into_iter().collect()),
            // Another projector has just set them; they are read in the next step.
            Err(ApplyError::Fenced { .. }) => Err(Halt::Step(Step::Rebalanced)),
            Err(error) => Err(self.store_failed(error)),
        }
    }
}
