//! What the mirror needs of the store, on SQL Server.

use millrace_mssql::Param;
use millrace_platform::sql;

use super::{MssqlLetters, ids_json, letter, letter_id};
use crate::dead_letter::letter::LetterId;
use crate::dead_letter::mirror_state::{MirrorPoint, MirrorWork, Shown};
use crate::dead_letter::review::LetterError;

/// Bytes of payloads, keys and headers that are pushed at once; the last letter may exceed it.
const PUSH_BYTES_MAX: i64 = 1024 * 1024;

impl MssqlLetters {
    pub(in crate::dead_letter) async fn mirror_point(&self) -> Result<MirrorPoint, LetterError> {
        let points = self.rows(sql!("mssql/dead_letter/mirror_point.sql"), Vec::new(), |row| {
            let generation: &str = row.get("generation")?;
            Ok(MirrorPoint { generation: generation.to_owned(), version: row.get("version")? })
        });
        Ok(points.await?.pop().unwrap_or_default())
    }

    pub(in crate::dead_letter) async fn mirror_restart(&self, generation: &str) -> Result<(), LetterError> {
        let params = vec![Param::Text(generation.to_owned())];
        self.number(sql!("mssql/dead_letter/mirror_restart.sql"), params).await.map(drop)
    }

    pub(in crate::dead_letter) async fn mirror_work(&self) -> Result<MirrorWork, LetterError> {
        let waiting = sql!("mssql/dead_letter/mirror_waiting.sql");
        let waiting = self.rows(waiting, Vec::new(), |row| row.get::<i64>("waiting")).await?;
        let waiting = waiting.first().copied().unwrap_or_default().unsigned_abs();
        if waiting == 0 {
            return Ok(MirrorWork::default());
        }
        let remove = self.rows(sql!("mssql/dead_letter/mirror_to_remove.sql"), Vec::new(), letter_id).await?;
        let params = vec![Param::BigInt(PUSH_BYTES_MAX)];
        let push = self.rows(sql!("mssql/dead_letter/mirror_to_push.sql"), params, letter).await?;
        Ok(MirrorWork { remove, push, waiting })
    }

    pub(in crate::dead_letter) async fn mirrored(
        &self,
        ids: &[LetterId],
        shown: Shown,
        at: &MirrorPoint,
    ) -> Result<bool, LetterError> {
        let params = vec![
            ids_json(ids),
            Param::Int(shown as i32),
            Param::Text(at.generation.clone()),
            Param::BigInt(at.version),
        ];
        Ok(self.number(sql!("mssql/dead_letter/mirrored.sql"), params).await? == 1)
    }
}
