//! Dead letters in SQL Server, on connections of their own.

mod mirror;

use millrace_domain::Timestamp;
use millrace_domain::record::{HeaderView, Position};
use millrace_mssql::{MssqlError, MssqlUrl, Param, Pool, Row};
use millrace_platform::sql;
use serde::Serialize;

use super::filter::LetterFilter;
use super::letter::{DeadLetter, LetterId};
use super::review::{LetterError, LetterGroup, Resolution};

/// For the routes, the mirror and the periodic count, which are rarely busy at the same time.
const CONNECTIONS: u32 = 4;
/// Bytes of payloads, keys and headers on a page; the last letter may exceed it.
const PAGE_BYTES_MAX: i64 = 16 * 1024 * 1024;

/// The store.
#[derive(Debug)]
pub struct MssqlLetters(Pool);

impl MssqlLetters {
    /// Checks that the server can be reached and the tables have the schema of this program.
    pub(super) async fn check(&self) -> Result<(), LetterError> {
        millrace_mssql::check_schema(&self.0).await.map_err(store_error)
    }

    /// Connects when it is first needed. Must be called within a runtime.
    pub fn over(url: &MssqlUrl) -> Self {
        Self(Pool::new(url, CONNECTIONS))
    }

    pub(super) async fn page(
        &self,
        filter: &LetterFilter,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<DeadLetter>, LetterError> {
        if limit == 0 {
            // To fetch no rows is an error in T-SQL.
            return Ok(Vec::new());
        }
        let mut params = bounds(filter);
        params.extend([limit, offset].map(|number| Param::BigInt(number.into())));
        params.push(Param::BigInt(PAGE_BYTES_MAX));
        self.rows(sql!("mssql/dead_letter/page.sql"), params, letter).await
    }

    pub(super) async fn get(&self, id: &LetterId) -> Result<Option<DeadLetter>, LetterError> {
        let LetterId { topic, position } = id;
        let params =
            vec![Param::Text(topic.clone()), Param::Int(position.partition), Param::BigInt(position.offset)];
        Ok(self.rows(sql!("mssql/dead_letter/get.sql"), params, letter).await?.pop())
    }

    pub(super) async fn groups(&self, filter: &LetterFilter) -> Result<Vec<LetterGroup>, LetterError> {
        self.rows(sql!("mssql/dead_letter/groups.sql"), bounds(filter), group).await
    }

    pub(super) async fn close(&self, ids: &[LetterId], resolution: Resolution) -> Result<u64, LetterError> {
        let params = vec![ids_json(ids), Param::Text(resolution.as_str().to_owned())];
        self.number(sql!("mssql/dead_letter/close.sql"), params).await
    }

    pub(super) async fn discard_matching(&self, filter: &LetterFilter, max: u32) -> Result<u64, LetterError> {
        let mut params = bounds(filter);
        params.push(Param::BigInt(max.into()));
        self.number(sql!("mssql/dead_letter/discard_matching.sql"), params).await
    }

    async fn rows<T>(
        &self,
        sql: &'static str,
        params: Vec<Param>,
        view: fn(&Row) -> Result<T, MssqlError>,
    ) -> Result<Vec<T>, LetterError> {
        let rows = self.0.read(sql, params).await.map_err(store_error)?;
        rows.iter().map(view).collect::<Result<_, _>>().map_err(store_error)
    }

    /// The one `INT` that a statement returns; 0 when it returns none.
    async fn number(&self, sql: &'static str, params: Vec<Param>) -> Result<u64, LetterError> {
        let rows = self.0.query(sql, params).await.map_err(store_error)?;
        rows.first().map_or(Ok(0), Row::count).map_err(store_error)
    }
}

/// A filter as parameters: type, reason, event id, from, to.
fn bounds(filter: &LetterFilter) -> Vec<Param> {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    [
        filter.event_type.clone(),
        filter.reason.clone(),
        filter.event_id.clone(),
        time(filter.from),
        time(filter.to),
    ]
    .map(Param::OptionalText)
    .into()
}

fn ids_json(ids: &[LetterId]) -> Param {
    #[derive(Serialize)]
    struct Row<'a> {
        topic: &'a str,
        partition: i32,
        offset: i64,
    }
    let rows: Vec<_> = ids
        .iter()
        .map(|id| Row { topic: &id.topic, partition: id.position.partition, offset: id.position.offset })
        .collect();
    Param::Text(serde_json::to_string(&rows).expect("ids always serialise"))
}

fn store_error(error: MssqlError) -> LetterError {
    LetterError::Store(error.into())
}

fn letter(row: &Row) -> Result<DeadLetter, MssqlError> {
    let text = |column| row.get::<&str>(column).map(str::to_owned);
    let maybe_text = |column| row.optional::<&str>(column).map(|text| text.map(str::to_owned));
    let bytes = |column| row.optional::<&[u8]>(column).map(|bytes| bytes.map(<[u8]>::to_vec));
    Ok(DeadLetter {
        topic: text("topic")?,
        position: position(row)?,
        reason: text("reason")?,
        error: text("error")?,
        causes: serde_json::from_str(row.get("causes")?).unwrap_or_default(),
        event_id: maybe_text("event_id")?,
        event_type: maybe_text("event_type")?,
        key: bytes("record_key")?,
        payload: bytes("payload")?,
        headers: HeaderView::from_bytes(row.get("headers")?).to_owned(),
        attempts: row.get::<i32>("attempts")?.unsigned_abs(),
        appended_at: row.get("appended_at")?,
        dead_at: row.get("dead_at")?,
    })
}

fn position(row: &Row) -> Result<Position, MssqlError> {
    Ok(Position { partition: row.get("partition_id")?, offset: row.get("record_offset")? })
}

fn letter_id(row: &Row) -> Result<LetterId, MssqlError> {
    Ok(LetterId { topic: row.get::<&str>("topic")?.to_owned(), position: position(row)? })
}

fn group(row: &Row) -> Result<LetterGroup, MssqlError> {
    Ok(LetterGroup {
        reason: row.get::<&str>("reason")?.to_owned(),
        event_type: row.get::<&str>("event_type")?.to_owned(),
        count: row.get::<i64>("letters")?.unsigned_abs(),
        oldest: row.get("oldest")?,
        newest: row.get("newest")?,
        example: position(row)?,
    })
}
