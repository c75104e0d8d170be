//! What the mirror needs of the store, on SQLite.

use rusqlite::{Connection, OptionalExtension, Rows, TransactionBehavior, params};
use shared::sql;

use super::{SqliteLetters, letter, place, store_error};
use crate::dead_letter::mirror::{MirrorPoint, MirrorWork, Shown};
use crate::dead_letter::{DeadLetter, LetterError, Place};

/// Bytes of payloads, keys and headers that are pushed at once; the last letter may exceed it.
const PUSH_BYTES_MAX: usize = 1024 * 1024;

impl SqliteLetters {
    pub(in crate::dead_letter) fn mirror_point(&self) -> Result<MirrorPoint, LetterError> {
        point(&self.connection()).map_err(store_error)
    }

    pub(in crate::dead_letter) fn mirror_restart(&self, generation: &str) -> Result<(), LetterError> {
        let mut connection = self.connection();
        let mut restart = || -> rusqlite::Result<()> {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.execute(sql!("sqlite/dead_letter/mirror_restart.sql"), [generation])?;
            tx.execute(sql!("sqlite/dead_letter/mirror_forget.sql"), [])?;
            tx.commit()
        };
        restart().map_err(store_error)
    }

    pub(in crate::dead_letter) fn mirror_work(&self) -> Result<MirrorWork, LetterError> {
        let connection = self.connection();
        let work = || -> rusqlite::Result<_> {
            let waiting: i64 =
                connection.query_row(sql!("sqlite/dead_letter/mirror_waiting.sql"), [], |row| row.get(0))?;
            if waiting == 0 {
                return Ok(MirrorWork::default());
            }
            let mut remove = connection.prepare_cached(sql!("sqlite/dead_letter/mirror_to_remove.sql"))?;
            let remove = remove.query_map([], place)?.collect::<rusqlite::Result<_>>()?;
            let mut push = connection.prepare_cached(sql!("sqlite/dead_letter/mirror_to_push.sql"))?;
            let push = bounded(push.query([])?)?;
            Ok(MirrorWork { remove, push, waiting: waiting.unsigned_abs() })
        };
        work().map_err(store_error)
    }

    pub(in crate::dead_letter) fn mirrored(
        &self,
        places: &[Place],
        shown: Shown,
        at: &MirrorPoint,
    ) -> Result<bool, LetterError> {
        let mut connection = self.connection();
        let mut note = || -> rusqlite::Result<bool> {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if point(&tx)?.generation != at.generation {
                return Ok(false);
            }
            for Place { topic, position } in places {
                let mut statement = tx.prepare_cached(sql!("sqlite/dead_letter/mirrored.sql"))?;
                statement.execute(params![position.partition, position.offset, topic, shown as i64])?;
            }
            tx.execute(sql!("sqlite/dead_letter/mirror_version.sql"), [at.version])?;
            tx.commit()?;
            Ok(true)
        };
        note().map_err(store_error)
    }
}

fn point(connection: &Connection) -> rusqlite::Result<MirrorPoint> {
    let mut statement = connection.prepare_cached(sql!("sqlite/dead_letter/mirror_point.sql"))?;
    let point =
        statement.query_row([], |row| Ok(MirrorPoint { generation: row.get(0)?, version: row.get(1)? }));
    Ok(point.optional()?.unwrap_or_default())
}

/// Letters up to the one with which they hold [`PUSH_BYTES_MAX`].
fn bounded(mut rows: Rows<'_>) -> rusqlite::Result<Vec<DeadLetter>> {
    let (mut letters, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let letter = letter(row)?;
        bytes += letter.byte_len();
        letters.push(letter);
        if bytes >= PUSH_BYTES_MAX {
            break;
        }
    }
    Ok(letters)
}
