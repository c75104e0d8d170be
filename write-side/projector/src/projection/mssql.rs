//! The projection into SQL Server: one request a batch, which is one transaction (`sql/mssql/projection/apply.sql`).
//!
//! The answer to a commit can be lost. Then the fence shows whether the batch was projected: it was, when the same batch
//! is tried again and the fence is already behind it.

pub mod document;

use std::collections::BTreeMap;

use millrace_domain::{EventType, Timestamp};
use millrace_mssql::{FENCED, Migration, MssqlError, MssqlUrl, Param, Pool, Row};
use millrace_platform::{ErrorClass, sql};
use tokio::runtime::Handle;

use super::batch::{Applied, Batch, Pruned, Span};
use super::changes::Changes;
use super::error::ApplyError;
use document::Document;

/// Tries of a batch that collides with other transactions, before it waits as for any failure.
const COLLISIONS_MAX: u32 = 3;
/// One projector sends one batch at a time.
const CONNECTIONS: u32 = 1;

/// The store.
#[derive(Debug)]
pub struct MssqlProjection {
    pool: Pool,
    /// Runs the requests while the projector's thread blocks.
    runtime: Handle,
    /// Bytes of the last document: an estimate for the next one.
    expected: usize,
    /// The spans of a batch whose answer was lost.
    in_doubt: Vec<Span>,
}

impl MssqlProjection {
    /// Connects and migrates the schema.
    ///
    /// # Errors
    /// [`ApplyError`] with SQL Server's error.
    pub fn open(url: &MssqlUrl) -> Result<(Self, Migration), ApplyError> {
        let runtime = Handle::try_current().map_err(|error| ApplyError::Fatal(error.into()))?;
        let migrated =
            millrace_mssql::wait_for(&runtime, millrace_mssql::migrate(url)).map_err(open_error)?;
        Ok((Self::over(url, runtime), migrated))
    }

    /// Connects and checks the schema, which another process has migrated.
    ///
    /// # Errors
    /// [`ApplyError`] with SQL Server's error.
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

    /// Over tables that are checked already.
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
        // By age, not by id: the oldest rows are at the beginning of their index.
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
                // Adjustments of a lost answer are counted as new, also the duplicates among them. Only the metric differs.
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

    /// Sends a batch, and sends it again at once after a collision. Returns how many adjustments were counted.
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
            // The first duplicate key may be a race; the second one is the batch's own.
            let again =
                (error.is_conflict() && tried < COLLISIONS_MAX) || (error.is_duplicate_key() && tried == 1);
            if !again {
                return Err(error);
            }
            tracing::debug!(target: "millrace::projector", tried, %error, "retrying the batch");
        }
    }

    /// Whether a batch that the fence refuses is the one whose answer was lost, and was projected by it.
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
    rows.first().map_or_else(|| Err(MssqlError::Driver("the batch returned no count".to_owned())), Row::count)
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
