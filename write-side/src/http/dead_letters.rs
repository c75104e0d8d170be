//! Dead letters over HTTP: list, show, count, give up. Sending them through the log again is `replay.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::problem::Problem;
use shared::{Position, Timestamp};

use super::WriteSide;
use crate::dead_letter::{Closed, DeadLetter, LetterError, LetterFilter, LetterGroup, Place};

const PAGE_MAX: u32 = 1_000;
/// Letters that are discarded in one transaction.
const DISCARD_SLICE: u32 = 1_000;

type Shared = State<Arc<WriteSide>>;

pub(super) fn store_problem(error: &LetterError) -> Problem {
    tracing::warn!("{}", shared::telemetry::chain(error));
    Problem::unavailable("the dead letters cannot be read")
}

/// The place that a text such as `3:1027` names.
pub(super) fn place(write_side: &WriteSide, id: &str) -> Result<Place, Problem> {
    let position: Position = id.parse().map_err(|error| Problem::invalid(format!("{id:?}: {error}")))?;
    Ok(Place { topic: write_side.log.topic().to_owned(), position })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    #[serde(default = "Page::default_limit")]
    limit: u32,
    #[serde(default)]
    offset: u32,
    r#type: Option<String>,
    reason: Option<String>,
    event_id: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Page {
    fn default_limit() -> u32 {
        50
    }
}

/// A page, its letters written as they are, field by field.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    messages: Vec<DeadLetter>,
    total: u64,
    next_offset: Option<u64>,
}

/// `GET /api/v1/dlq/messages?limit=&offset=&type=&reason=&event_id=&from=&to=`
pub(super) async fn messages(
    State(write_side): Shared,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Page { limit, offset, r#type, reason, event_id, from, to }) =
        page.map_err(|error| Problem::invalid(error.body_text()))?;
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::invalid(format!("limit must lie between 1 and {PAGE_MAX}")));
    }
    let filter = LetterFilter { event_type: r#type, reason, event_id, from, to };
    let letters = &write_side.letters;
    let messages = letters.page(&filter, limit, offset).await.map_err(|error| store_problem(&error))?;
    let total = letters.depth(&filter).await.map_err(|error| store_problem(&error))?;
    let next = u64::from(offset) + messages.len() as u64;
    let next_offset = (next < total && !messages.is_empty()).then_some(next);
    Ok(shared::http::json(StatusCode::OK, &Listed { messages, total, next_offset }))
}

/// `GET /api/v1/dlq/messages/{id}`
pub(super) async fn message(State(write_side): Shared, Path(id): Path<String>) -> Result<Response, Problem> {
    let place = place(&write_side, &id)?;
    let letter = write_side.letters.get(&place).await.map_err(|error| store_problem(&error))?;
    let letter = letter.ok_or_else(|| Problem::not_found(format!("no open dead letter {id}")))?;
    Ok(shared::http::json(StatusCode::OK, &letter))
}

/// `DELETE /api/v1/dlq/messages/{id}`: gives one letter up.
pub(super) async fn discard(State(write_side): Shared, Path(id): Path<String>) -> Result<Response, Problem> {
    let place = place(&write_side, &id)?;
    let discarded = shared::http::detached(async move {
        let discarded = write_side.letters.close(&[place], Closed::Discarded).await;
        count_open(&write_side).await;
        discarded
    });
    match discarded.await?.map_err(|error| store_problem(&error))? {
        0 => Err(Problem::not_found(format!("no open dead letter {id}"))),
        discarded => {
            tracing::info!(id, "a dead letter was discarded over HTTP");
            Ok(shared::http::json(StatusCode::OK, &json!({ "discarded": discarded })))
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats<'a> {
    total: u64,
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
    by_type: BTreeMap<&'a str, u64>,
    by_reason: BTreeMap<&'a str, u64>,
    groups: &'a [LetterGroup],
}

/// `GET /api/v1/dlq/stats`
pub(super) async fn stats(State(write_side): Shared) -> Result<Response, Problem> {
    let groups = write_side.letters.groups(&LetterFilter::default()).await;
    let groups = groups.map_err(|error| store_problem(&error))?;
    let stats = Stats {
        total: groups.iter().map(|group| group.count).sum(),
        oldest: groups.iter().map(|group| group.oldest).min(),
        newest: groups.iter().map(|group| group.newest).max(),
        by_type: counts(&groups, |group| &group.event_type),
        by_reason: counts(&groups, |group| &group.reason),
        groups: &groups,
    };
    Ok(shared::http::json(StatusCode::OK, &stats))
}

fn counts(groups: &[LetterGroup], of: impl Fn(&LetterGroup) -> &str) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for group in groups {
        *counts.entry(of(group)).or_default() += group.count;
    }
    counts
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clear {
    #[serde(default)]
    confirm: bool,
}

/// `DELETE /api/v1/dlq/clear?confirm=true`: discards every letter that is open now.
pub(super) async fn clear(
    State(write_side): Shared,
    clear: Result<Query<Clear>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(clear) = clear.map_err(|error| Problem::invalid(error.body_text()))?;
    if !clear.confirm {
        return Err(Problem::invalid("this discards all dead letters; say confirm=true"));
    }
    let discarded = shared::http::detached(async move {
        let mut discarded = 0;
        let all = LetterFilter::default();
        let result = write_side
            .letters
            .discard_all_matching(&all, DISCARD_SLICE, |letters| discarded += letters)
            .await;
        count_open(&write_side).await;
        result.map(|()| discarded)
    });
    let discarded = discarded.await?.map_err(|error| store_problem(&error))?;
    tracing::info!(discarded, "all dead letters were discarded over HTTP");
    Ok(shared::http::json(StatusCode::OK, &json!({ "discarded": discarded })))
}

/// Sets the metric anew after letters were closed. It is counted every ten seconds as well, so failing is no matter.
pub(super) async fn count_open(write_side: &WriteSide) {
    if let Ok(depth) = write_side.letters.depth(&LetterFilter::default()).await {
        write_side.metrics.dlq_depth.set(depth.cast_signed());
    }
}
