//! What the mirror needs of the store, on SQLite.

use millrace_platform::sql;
use rusqlite::{Connection, OptionalExtension, Rows, TransactionBehavior, params};

use super::{SqliteLetters, letter, letter_id};
use crate::dead_letter::letter::{DeadLetter, LetterId};
use crate::dead_letter::mirror_state::{MirrorPoint, MirrorWork, Shown};
use crate::dead_letter::review::LetterError;

/// Bytes of payloads, keys and headers that are pushed at once; the last letter may exceed it.
const PUSH_BYTES_MAX: usize = 1024 * 1024;

impl SqliteLetters {
    pub(in crate::dead_letter) async fn mirror_point(&self) -> Result<MirrorPoint, LetterError> {
        self.run(|connection| point(connection)).await
    }

    pub(in crate::dead_letter) async fn mirror_restart(&self, generation: &str) -> Result<(), LetterError> {
        let generation = generation.to_owned();
        self.run(move |connection| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.execute(sql!("sqlite/dead_letter/mirror_restart.sql"), [generation])?;
            tx.execute(sql!("sqlite/dead_letter/mirror_forget.sql"), [])?;
            tx.commit()
        })
        .await
    }

    pub(in crate::dead_letter) async fn mirror_work(&self) -> Result<MirrorWork, LetterError> {
        self.run(|connection| {
            let waiting: i64 =
                connection.query_row(sql!("sqlite/dead_letter/mirror_waiting.sql"), [], |row| row.get(0))?;
            if waiting == 0 {
                return Ok(MirrorWork::default());
            }
            let mut remove = connection.prepare_cached(sql!("sqlite/dead_letter/mirror_to_remove.sql"))?;
            let remove = remove.query_map([], letter_id)?.collect::<rusqlite::Result<_>>()?;
            let mut push = connection.prepare_cached(sql!("sqlite/dead_letter/mirror_to_push.sql"))?;
            let push = bounded(push.query([])?)?;
            Ok(MirrorWork { remove, push, waiting: waiting.unsigned_abs() })
        })
        .await
    }

    pub(in crate::dead_letter) async fn mirrored(
        &self,
        ids: &[LetterId],
        shown: Shown,
        at: &MirrorPoint,
    ) -> Result<bool, LetterError> {
        let (ids, at) = (ids.to_vec(), at.clone());
        self.run(move |connection| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if point(&tx)?.generation != at.generation {
                return Ok(false);
            }
            for LetterId { topic, position } in &ids {
                let mut statement = tx.prepare_cached(sql!("sqlite/dead_letter/mirrored.sql"))?;
                statement.execute(params![position.partition, position.offset, topic, shown as i64])?;
            }
            tx.execute(sql!("sqlite/dead_letter/mirror_version.sql"), [at.version])?;
            tx.commit()?;
            Ok(true)
        })
        .await
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
