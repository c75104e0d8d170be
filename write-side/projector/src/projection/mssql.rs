//! The projection into SQL Server: one request a batch, which is one transaction (`sql/mssql/projection/apply.sql`).
//!
//! The answer to a commit can be lost. Then nobody knows whether the batch was projected, but the fence does: when the
//! same batch is tried again and the fence stands behind it, it was.

pub mod document;

use std::collections::BTreeMap;

use millrace_domain::{EventType, Timestamp};
use millrace_mssql::{FENCED, Migration, MssqlError, MssqlUrl, Param, Pool, Row};
use millrace_platform::{ErrorClass, sql};
use tokio::runtime::Handle;

use super::changes::Changes;
use super::{Applied, ApplyError, Batch, Pruned, Span};
use document::Document;

/// Tries of one batch that meets others on the same rows, before it waits like for any failure.
const COLLISIONS_MAX: u32 = 3;
/// One projector sends one batch at a time.
const CONNECTIONS: u32 = 1;

/// The store.
#[derive(Debug)]
pub struct MssqlProjection {
    pool: Pool,
    /// Runs the requests, while the projector's thread waits.
    runtime: Handle,
    /// Bytes of the last document: about what the next one takes.
    expected: usize,
    /// Where a batch wanted to move the fences, of which nobody knows whether it did.
    in_doubt: Vec<Span>,
}

impl MssqlProjection {
    /// Brings the schema up to date and returns what that took.
    ///
    /// # Errors
    /// [`ApplyError`] with what SQL Server says.
    pub fn open(url: &MssqlUrl) -> Result<(Self, Migration), ApplyError> {
        let runtime = Handle::try_current().map_err(|error| ApplyError::Fatal(error.into()))?;
        let migrated =
            millrace_mssql::wait_for(&runtime, millrace_mssql::migrate(url)).map_err(open_error)?;
        Ok((Self::over(url, runtime), migrated))
    }

    /// Opens the store as another process has migrated it.
    ///
    /// # Errors
    /// [`ApplyError`] with what SQL Server reports.
    pub fn open_migrated(url: &MssqlUrl) -> Result<Self, ApplyError> {
        let runtime = Handle::try_current().map_err(|error| ApplyError::Fatal(error.into()))?;
        let projection = Self::over(url, runtime);
        let checked = millrace_mssql::wait_for(&projection.runtime, async {
            Pool::probe(url).await?;
            millrace_mssql::check_schema(&projection.pool).await
        });
        checked.map_err(open_error)?;
        Ok(projection)
    }

    /// Over tables that are there already.
    pub fn over(url: &MssqlUrl, runtime: Handle) -> Self {
        let entered = runtime.enter();
        let pool = Pool::new(url, CONNECTIONS);
        drop(entered);
        Self { pool, runtime, expected: 0, in_doubt: Vec::new() }
    }

    pub(super) fn checkpoints(&mut self, topic: &str) -> Result<BTreeMap<i32, i64>, ApplyError> {
        let read = sql!("mssql/projection/checkpoints.sql");
        let query = self.pool.query(read, vec![Param::Text(topic.to_owned())]);
        let rows = self.runtime.block_on(query).map_err(sorted)?;
        let checkpoint = |row: &Row| Ok((row.get("partition_id")?, row.get("next_offset")?));
        rows.iter().map(checkpoint).collect::<Result<_, _>>().map_err(sorted)
    }

    pub(super) fn prune_inbox(&mut self, older_than: Timestamp, slice: u32) -> Result<Pruned, ApplyError> {
        let slice = slice.min(i32::MAX.cast_unsigned());
        let params = vec![Param::Text(older_than.to_string()), Param::Int(slice.cast_signed())];
        let query = self.pool.query(sql!("mssql/projection/prune_inbox.sql"), params);
        let removed = self.runtime.block_on(query).and_then(|rows| counted(&rows)).map_err(sorted)?;
        // By age, not by id: whatever is old stands at the beginning of its index.
        Ok(Pruned { removed, more: removed == u64::from(slice) })
    }

    pub(super) fn apply(&mut self, batch: &Batch<'_>) -> Result<Applied, ApplyError> {
        let changes = Changes::of(&batch.events);
        let mut applied = Applied::count(&batch.events);
        let adjustments = changes.adjustments.len() as u64;
        let document = Document::of(batch, &changes, self.expected + self.expected / 8);
        self.expected = document.json.len();
        match self.send(document, batch.topic) {
            Ok(counted) => {
                self.in_doubt.clear();
                let repeated = adjustments.saturating_sub(counted);
                applied.duplicate(EventType::InventoryAdjusted, repeated + changes.duplicate_adjustments);
                Ok(applied)
            }
            Err(MssqlError::Server { number: FENCED, .. }) => {
                // Counted as new what the lost answer would have told apart: the rows are right either way.
                if self.was_committed(batch)? { Ok(applied) } else { Err(fenced(batch.spans)) }
            }
            Err(error) => {
                if error.may_have_committed() {
                    self.in_doubt = batch.spans.to_vec();
                }
                Err(sorted(error))
            }
        }
    }

    /// Sends a batch, again at once when it only met others on its way. Returns how many adjustments it counted.
    fn send(&self, document: Document, topic: &str) -> Result<u64, MssqlError> {
        let Document { json, bytes } = document;
        let params = vec![Param::Text(json), Param::Bytes(bytes), Param::Text(topic.to_owned())];
        let mut tried = 0;
        loop {
            tried += 1;
            let query = self.pool.query(sql!("mssql/projection/apply.sql"), params.clone());
            let error = match self.runtime.block_on(query) {
                Ok(rows) => return counted(&rows),
                Err(error) => error,
            };
            // A duplicate key is a race once; twice it is the batch's own fault.
            let again =
                (error.is_conflict() && tried < COLLISIONS_MAX) || (error.is_duplicate_key() && tried == 1);
            if !again {
                return Err(error);
            }
            tracing::debug!(tried, %error, "trying the batch again");
        }
    }

    /// Whether a batch that the fence refuses is the one whose answer was lost, and was projected.
    fn was_committed(&mut self, batch: &Batch<'_>) -> Result<bool, ApplyError> {
        let in_doubt = std::mem::take(&mut self.in_doubt);
        if in_doubt != batch.spans {
            return Ok(false);
        }
        let checkpoints = self.checkpoints(batch.topic)?;
        Ok(batch.spans.iter().all(|span| checkpoints.get(&span.partition) == Some(&span.next)))
    }
}

fn counted(rows: &[Row]) -> Result<u64, MssqlError> {
    rows.first().map_or_else(|| Err(MssqlError::Driver("the batch gave no count".to_owned())), Row::count)
}

fn fenced(spans: &[Span]) -> ApplyError {
    ApplyError::Fenced { partition: spans.first().map_or(-1, |span| span.partition) }
}

/// At start a refused login is a wrong setting, which no waiting mends; later it may be an administrator at work.
fn open_error(error: MssqlError) -> ApplyError {
    if error.is_login_failure() { ApplyError::Fatal(error.into()) } else { sorted(error) }
}

fn sorted(error: MssqlError) -> ApplyError {
    match error.class() {
        ErrorClass::Transient => ApplyError::Transient(error.into()),
        ErrorClass::Poison => ApplyError::Poison(error.into()),
        ErrorClass::Fatal => ApplyError::Fatal(error.into()),
    }
}
