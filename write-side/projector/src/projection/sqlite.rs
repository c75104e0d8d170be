//! The projection into a SQLite file: one transaction a batch, one run of a prepared statement a row.
//!
//! Commits are not forced to disk one by one (`synchronous=NORMAL`). After a power loss the checkpoint is as old as the
//! rows beside it, and the log, which is forced to disk, has the rest.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use millrace_domain::event::{InventoryAdjusted, OrderPlaced};
use millrace_domain::id::PaymentId;
use millrace_domain::{Envelope, EventType, Timestamp};
use millrace_platform::sql;
use millrace_platform::sqlite::{self, ErrorClass, MigrateError, Synchronous};
use rusqlite::{Connection, Statement, Transaction, TransactionBehavior, params};

use super::batch::{Applied, Batch, Pruned, Span};
use super::changes::{Changes, Payment};
use super::error::ApplyError;
use crate::dead_letter::DeadLetter;

/// Holds the right edges and the inner pages of all tables of a few million rows.
const CACHE_BYTES: u32 = 64 * 1024 * 1024;
/// 64 MiB: pages that are written often between two checkpoints are copied back once.
const WAL_PAGES: u32 = 16 * 1024;

/// Short, because the projector itself waits, and checks the stop signal meanwhile.
const BUSY_TIMEOUT: Duration = Duration::from_millis(100);

/// The store.
#[derive(Debug)]
pub struct SqliteProjection {
    connection: Connection,
    /// Buffer for the JSON of an order's items.
    items: Vec<u8>,
    /// The last id of the inbox that pruning has read; empty at the start of a round.
    pruned_to: String,
}

impl SqliteProjection {
    /// Opens or creates the file and migrates its schema. Returns how many migration steps were run.
    ///
    /// # Errors
    /// [`ApplyError`] with SQLite's error.
    pub fn open(path: &Path) -> Result<(Self, usize), ApplyError> {
        Self::open_with(path, Synchronous::Normal)
    }

    /// As [`SqliteProjection::open`], with a choice of what a commit survives.
    ///
    /// # Errors
    /// [`ApplyError`] with SQLite's error.
    pub fn open_with(path: &Path, synchronous: Synchronous) -> Result<(Self, usize), ApplyError> {
        if let Some(folder) = path.parent() {
            // Should this fail, opening the file reports it.
            let _created = std::fs::create_dir_all(folder);
        }
        let mut connection = open_writer(path, synchronous)?;
        let steps = sqlite::migrate(&mut connection, sqlite::READ_MODEL_SCHEMA).map_err(migrate_error)?;
        Ok((Self::over(connection)?, steps))
    }

    /// Opens the file and checks its schema, which another process has migrated.
    ///
    /// # Errors
    /// [`ApplyError`] with SQLite's error.
    pub fn open_migrated(path: &Path) -> Result<Self, ApplyError> {
        if !path.exists() {
            return Err(ApplyError::Transient("not found; run `millrace migrate`".into()));
        }
        let connection = open_writer(path, Synchronous::Normal)?;
        sqlite::check_schema(&connection, sqlite::READ_MODEL_SCHEMA).map_err(migrate_error)?;
        Self::over(connection)
    }

    fn over(connection: Connection) -> Result<Self, ApplyError> {
        connection.busy_timeout(BUSY_TIMEOUT).map_err(sorted)?;
        Ok(Self { connection, items: Vec::new(), pruned_to: String::new() })
    }

    pub(super) fn checkpoints(&mut self, topic: &str) -> Result<BTreeMap<i32, i64>, ApplyError> {
        let read = |connection: &Connection| -> rusqlite::Result<BTreeMap<i32, i64>> {
            let mut statement = connection.prepare_cached(sql!("sqlite/projection/checkpoints.sql"))?;
            statement.query_map([topic], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        read(&self.connection).map_err(sorted)
    }

    /// Walks the inbox in the order of its ids, which needs no index of times: a slice costs the same for any number of
    /// rows and any share of old ones.
    pub(super) fn prune_inbox(&mut self, older_than: Timestamp, slice: u32) -> Result<Pruned, ApplyError> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sorted)?;
        let (looked_at, last) = look(&tx, &self.pruned_to, slice).map_err(sorted)?;
        let removed = match &last {
            Some(last) => prune(&tx, &self.pruned_to, last, older_than).map_err(sorted)?,
            None => 0,
        };
        tx.commit().map_err(sorted)?;
        let more = looked_at == i64::from(slice);
        self.pruned_to = last.filter(|_| more).unwrap_or_default();
        Ok(Pruned { removed, more })
    }

    pub(super) fn apply(&mut self, batch: &Batch<'_>) -> Result<Applied, ApplyError> {
        let changes = Changes::of(&batch.events);
        let mut applied = Applied::count(&batch.events);
        let duplicates = self.write(batch.topic, batch.spans, &changes, &batch.letters)?;
        applied.duplicate(EventType::InventoryAdjusted, duplicates + changes.duplicate_adjustments);
        Ok(applied)
    }

    /// Writes changes and dead letters and moves the fence, in one transaction. Returns how many adjustments had been
    /// counted before. Public for benchmarks, which measure the store alone.
    ///
    /// # Errors
    /// [`ApplyError`]; then nothing was changed.
    pub fn write(
        &mut self,
        topic: &str,
        spans: &[Span],
        changes: &Changes<'_>,
        letters: &[&DeadLetter],
    ) -> Result<u64, ApplyError> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sorted)?;
        for span in spans {
            if !move_fence(&tx, topic, *span).map_err(sorted)? {
                return Err(ApplyError::Fenced { partition: span.partition });
            }
        }
        let duplicates = write_all(&tx, changes, letters, &mut self.items).map_err(sorted)?;
        tx.commit().map_err(sorted)?;
        Ok(duplicates)
    }
}

fn open_writer(path: &Path, synchronous: Synchronous) -> Result<Connection, ApplyError> {
    sqlite::open_writer(path, synchronous, CACHE_BYTES, WAL_PAGES).map_err(sorted)
}

fn migrate_error(error: MigrateError) -> ApplyError {
    match error.class() {
        ErrorClass::Transient => ApplyError::Transient(error.into()),
        ErrorClass::Poison | ErrorClass::Fatal => ApplyError::Fatal(error.into()),
    }
}

fn sorted(error: rusqlite::Error) -> ApplyError {
    match sqlite::classify(&error) {
        ErrorClass::Transient => ApplyError::Transient(error.into()),
        ErrorClass::Poison => ApplyError::Poison(error.into()),
        ErrorClass::Fatal => ApplyError::Fatal(error.into()),
    }
}

/// How many ids follow `after`, up to `slice`, and the last of these.
fn look(tx: &Transaction<'_>, after: &str, slice: u32) -> rusqlite::Result<(i64, Option<String>)> {
    tx.prepare_cached(sql!("sqlite/projection/inbox_slice.sql"))?
        .query_row(params![after, slice], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn prune(tx: &Transaction<'_>, after: &str, last: &str, older_than: Timestamp) -> rusqlite::Result<u64> {
    let removed = tx.prepare_cached(sql!("sqlite/projection/inbox_prune.sql"))?.execute(params![
        after,
        last,
        older_than.micros()
    ])?;
    Ok(removed as u64)
}

/// Moves a fence; false when it is not where the span begins.
fn move_fence(tx: &Transaction<'_>, topic: &str, span: Span) -> rusqlite::Result<bool> {
    let Span { partition, from, next } = span;
    let moved = match from {
        None => tx
            .prepare_cached(sql!("sqlite/projection/fence_first.sql"))?
            .execute(params![topic, partition, next])?,
        Some(from) => tx
            .prepare_cached(sql!("sqlite/projection/fence_move.sql"))?
            .execute(params![topic, partition, from, next])?,
    };
    Ok(moved == 1)
}

/// Writes everything but the fence; returns how many adjustments had been counted before.
fn write_all(
    tx: &Transaction<'_>,
    changes: &Changes<'_>,
    letters: &[&DeadLetter],
    items: &mut Vec<u8>,
) -> rusqlite::Result<u64> {
    write_users(tx, changes)?;
    write_orders(tx, changes, items)?;
    let duplicates = write_inventory(tx, &changes.adjustments)?;
    write_letters(tx, letters)?;
    Ok(duplicates)
}

fn write_users(tx: &Transaction<'_>, changes: &Changes<'_>) -> rusqlite::Result<()> {
    let mut statement = tx.prepare_cached(sql!("sqlite/projection/user.sql"))?;
    for (envelope, user) in &changes.users {
        statement.execute(params![
            user.user_id.as_str(),
            user.email.as_str(),
            user.name.as_str(),
            envelope.occurred_at.micros(),
            envelope.event_id.as_str(),
        ])?;
    }
    Ok(())
}

/// Orders and payments share rows and are sorted by them. Nearly every order is new and comes with the payment that it
/// opens, so both are written by one statement.
fn write_orders(tx: &Transaction<'_>, changes: &Changes<'_>, items: &mut Vec<u8>) -> rusqlite::Result<()> {
    let mut whole = tx.prepare_cached(sql!("sqlite/projection/order_with_payment.sql"))?;
    let mut alone = tx.prepare_cached(sql!("sqlite/projection/order.sql"))?;
    let mut payment_alone = tx.prepare_cached(sql!("sqlite/projection/payment.sql"))?;
    let mut payments = changes.payments.iter().peekable();
    for (envelope, order) in &changes.orders {
        while let Some(payment) = payments.next_if(|payment| *payment.order_id < order.order_id) {
            write_payment(&mut payment_alone, payment)?;
        }
        let payment = payments.next_if(|payment| *payment.order_id == order.order_id);
        items.clear();
        serde_json::to_writer(&mut *items, &order.items).expect("items always serialise");
        let items = std::str::from_utf8(items).expect("JSON is UTF-8");
        if let Some(payment) = payment {
            bind_order(&mut whole, envelope, order, items)?;
            bind_payment(&mut whole, ORDER_COLUMNS + 1, payment)?;
            if whole.raw_execute()? == 1 {
                continue;
            }
        }
        bind_order(&mut alone, envelope, order, items)?;
        alone.raw_execute()?;
        if let Some(payment) = payment {
            write_payment(&mut payment_alone, payment)?;
        }
    }
    payments.try_for_each(|payment| write_payment(&mut payment_alone, payment))
}

fn write_payment(statement: &mut Statement<'_>, payment: &Payment<'_>) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(1, payment.order_id.as_str())?;
    bind_payment(statement, 2, payment)?;
    statement.raw_execute().map(drop)
}

/// The parameters of an order, its id the first of them.
const ORDER_COLUMNS: usize = 9;

fn bind_order(
    statement: &mut Statement<'_>,
    envelope: &Envelope,
    order: &OrderPlaced,
    items: &str,
) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(1, order.order_id.as_str())?;
    statement.raw_bind_parameter(2, order.user_id.as_str())?;
    statement.raw_bind_parameter(3, order.amount.units())?;
    statement.raw_bind_parameter(4, order.currency.as_str())?;
    statement.raw_bind_parameter(5, order.status.as_str())?;
    statement.raw_bind_parameter(6, order.placed_at.micros())?;
    statement.raw_bind_parameter(7, items)?;
    statement.raw_bind_parameter(8, envelope.occurred_at.micros())?;
    statement.raw_bind_parameter(ORDER_COLUMNS, envelope.event_id.as_str())
}

/// The parameters of a payment from `first` on, without the order's id.
fn bind_payment(statement: &mut Statement<'_>, first: usize, payment: &Payment<'_>) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(first, payment.payment_id.map(PaymentId::as_str))?;
    statement.raw_bind_parameter(first + 1, payment.amount.units())?;
    statement.raw_bind_parameter(first + 2, payment.currency.as_str())?;
    statement.raw_bind_parameter(first + 3, payment.method.map(|method| method.as_str()))?;
    statement.raw_bind_parameter(first + 4, payment.status.as_str())?;
    statement.raw_bind_parameter(first + 5, payment.settled_at.map(Timestamp::micros))?;
    statement.raw_bind_parameter(first + 6, payment.occurred_at.micros())?;
    statement.raw_bind_parameter(first + 7, payment.event_id.as_str())
}

/// The sum of the new adjustments of one SKU.
#[derive(Default)]
struct Stock<'a> {
    delta: i64,
    updated_at: Option<Timestamp>,
    /// The newest reported quantity: time, event, quantity.
    report: Option<(Timestamp, &'a str, i64)>,
}

/// Counts each event that is not in the inbox; returns how many were.
fn write_inventory(
    tx: &Transaction<'_>,
    adjustments: &[(&Envelope, &InventoryAdjusted)],
) -> rusqlite::Result<u64> {
    if adjustments.is_empty() {
        return Ok(0);
    }
    let now = Timestamp::now().micros();
    let mut inbox = tx.prepare_cached(sql!("sqlite/projection/inbox.sql"))?;
    let mut stocks: BTreeMap<&str, Stock<'_>> = BTreeMap::new();
    let mut duplicates = 0;
    for (envelope, adjustment) in adjustments {
        if inbox.execute(params![envelope.event_id.as_str(), now])? == 0 {
            duplicates += 1;
            continue;
        }
        let stock = stocks.entry(adjustment.sku.as_str()).or_default();
        stock.delta += adjustment.delta;
        stock.updated_at = stock.updated_at.max(Some(envelope.occurred_at));
        let report =
            adjustment.reported_quantity.map(|q| (envelope.occurred_at, envelope.event_id.as_str(), q));
        stock.report = stock.report.max(report);
    }
    let mut add = tx.prepare_cached(sql!("sqlite/projection/inventory.sql"))?;
    for (sku, stock) in stocks {
        add.execute(params![
            sku,
            stock.delta,
            stock.report.map(|(_, _, quantity)| quantity),
            stock.report.map(|(at, _, _)| at.micros()),
            stock.report.map(|(_, by, _)| by),
            stock.updated_at.map(Timestamp::micros),
        ])?;
    }
    Ok(duplicates)
}

fn write_letters(tx: &Transaction<'_>, letters: &[&DeadLetter]) -> rusqlite::Result<()> {
    let mut statement = tx.prepare_cached(sql!("sqlite/projection/dead_letter.sql"))?;
    for letter in letters {
        statement.execute(params![
            letter.topic,
            letter.position.partition,
            letter.position.offset,
            letter.reason,
            letter.error,
            serde_json::to_string(&letter.causes).expect("strings always serialise"),
            letter.event_id,
            letter.event_type,
            letter.key,
            letter.payload,
            letter.headers.as_bytes(),
            letter.attempts,
            letter.appended_at.micros(),
            letter.dead_at.micros(),
        ])?;
    }
    Ok(())
}
