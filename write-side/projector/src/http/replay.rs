//! Dead letters over HTTP: sent through the log again, by id, by filter, by time; or only counted, in a dry run.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use millrace_domain::record::PAYLOAD_BYTES_MAX;
use millrace_domain::{Position, Timestamp};
use millrace_platform::http::openapi::CommonProblems;
use millrace_platform::http::{detached, json, read_body};
use millrace_platform::problem::Problem;
use millrace_platform::telemetry::chain;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use utoipa::ToSchema;

use super::dead_letters::{count_open, letter_id, not_found};
use super::state::Admin;
use crate::dead_letter::{
    DeadLetter, LetterError, LetterFilter, LetterId, Redriven, redrive, redrive_matching,
};

/// Letters that one request redrives, at most. The same request again continues.
const REPLAY_MAX: u32 = 10_000;
const REPLAY_DEFAULT: u32 = 1_000;
/// Ids in one request, at most.
const IDS_MAX: usize = 1_000;
/// Letters that are held in memory at once.
const BATCH: usize = 16;

/// Which letters to redrive: by `ids` and `event_ids`, or by `filter`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Replay {
    /// Letters by position, `partition:offset`.
    #[serde(default)]
    ids: Vec<String>,
    /// Letters by the id of their event.
    #[serde(default)]
    event_ids: Vec<String>,
    /// Letters that match; `{}` matches all of them.
    filter: Option<LetterFilter>,
    #[serde(default)]
    dry_run: bool,
    /// 0 to 10000; 1000 by default.
    max_messages: Option<u32>,
}

/// Which letters to redrive: those that died in a range of time.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayBatch {
    #[schema(value_type = String, format = DateTime)]
    start_time: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    end_time: Timestamp,
    #[serde(default)]
    dry_run: bool,
    /// 0 to 10000; 1000 by default.
    max_messages: Option<u32>,
}

/// What was redriven, or would be.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Replayed {
    dry_run: bool,
    count: usize,
    /// Letters that still match.
    remaining: u64,
    redriven: Vec<ReplayedLetter>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReplayedLetter {
    /// `partition:offset` of the letter.
    #[schema(value_type = String)]
    id: Position,
    event_id: Option<String>,
    /// Where its record was appended; absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    position: Option<Position>,
}

impl ReplayedLetter {
    fn sent(redriven: Redriven) -> Self {
        let Redriven { id, event_id, position } = redriven;
        Self { id: id.position, event_id, position: Some(position) }
    }

    fn would_be_sent(position: Position, event_id: Option<String>) -> Self {
        Self { id: position, event_id, position: None }
    }
}

async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let body = read_body(request, PAYLOAD_BYTES_MAX).await?;
    serde_json::from_slice(&body).map_err(|error| match error.classify() {
        Category::Data => Problem::invalid(error.to_string()),
        _ => Problem::malformed(error.to_string()),
    })
}

/// Send dead letters through the log again
#[utoipa::path(post, path = "/api/v1/replay", tag = "dead letters", request_body = Replay,
    responses((status = 200, body = Replayed), CommonProblems))]
pub(super) async fn replay(State(admin): State<Arc<Admin>>, request: Request) -> Result<Response, Problem> {
    let Replay { ids, event_ids, filter, dry_run, max_messages } = read(request).await?;
    let max = bounded(max_messages)?;
    let has_ids = !ids.is_empty() || !event_ids.is_empty();
    match filter {
        Some(_) if has_ids => Err(Problem::invalid("give ids and event_ids, or a filter, not both")),
        Some(filter) => matching(admin, filter, max, dry_run).await,
        None if !has_ids => Err(Problem::invalid("give ids, event_ids or a filter")),
        None if ids.len() + event_ids.len() > IDS_MAX => {
            Err(Problem::invalid(format!("at most {IDS_MAX} ids in one request")))
        }
        None => by_id(admin, &ids, &event_ids, max, dry_run).await,
    }
}

/// Send the dead letters of a range of time through the log again
#[utoipa::path(post, path = "/api/v1/replay/batch", tag = "dead letters", request_body = ReplayBatch,
    responses((status = 200, body = Replayed), CommonProblems))]
pub(super) async fn replay_batch(
    State(admin): State<Arc<Admin>>,
    request: Request,
) -> Result<Response, Problem> {
    let ReplayBatch { start_time, end_time, dry_run, max_messages } = read(request).await?;
    let max = bounded(max_messages)?;
    if start_time >= end_time {
        return Err(Problem::invalid("start_time must be before end_time"));
    }
    let filter = LetterFilter { from: Some(start_time), to: Some(end_time), ..LetterFilter::default() };
    matching(admin, filter, max, dry_run).await
}

fn bounded(max: Option<u32>) -> Result<u32, Problem> {
    match max.unwrap_or(REPLAY_DEFAULT) {
        max if max <= REPLAY_MAX => Ok(max),
        max => Err(Problem::invalid(format!("max_messages is {max}; it must be from 0 to {REPLAY_MAX}"))),
    }
}

fn answer(dry_run: bool, redriven: Vec<ReplayedLetter>, remaining: u64) -> Response {
    json(StatusCode::OK, &Replayed { dry_run, count: redriven.len(), remaining, redriven })
}

/// Letters that were not redriven are still open, so the same request again continues where this one stopped.
fn interrupted(error: &LetterError, done: usize) -> Problem {
    tracing::warn!(target: "millrace::projector", "{}", chain(error));
    let part = if matches!(error, LetterError::Log(_)) { "event log" } else { "read model" };
    Problem::unavailable(format!(
        "{part} unavailable; {done} letters were redriven, the others are still open"
    ))
}

/// Letters that match and are dead by now.
async fn matching(
    admin: Arc<Admin>,
    filter: LetterFilter,
    max: u32,
    dry_run: bool,
) -> Result<Response, Problem> {
    let filter = filter.until(Timestamp::now());
    if dry_run {
        let letters = would_be_sent(&admin, &filter, max).await?;
        let depth = admin.letters.depth(&filter).await?;
        return Ok(answer(true, letters, depth));
    }
    detached(async move {
        let mut sent = Vec::new();
        let note = |batch: Vec<Redriven>| sent.extend(batch.into_iter().map(ReplayedLetter::sent));
        let result = redrive_matching(&admin.letters, &admin.log, &filter, max, note).await;
        count_open(&admin).await;
        result.map_err(|error| interrupted(&error, sent.len()))?;
        let depth = admin.letters.depth(&filter).await?;
        Ok(answer(false, sent, depth))
    })
    .await?
}

async fn would_be_sent(
    admin: &Admin,
    filter: &LetterFilter,
    max: u32,
) -> Result<Vec<ReplayedLetter>, LetterError> {
    let mut letters: Vec<ReplayedLetter> = Vec::new();
    loop {
        let offset = u32::try_from(letters.len()).unwrap_or(u32::MAX);
        let page = admin.letters.page(filter, max.saturating_sub(offset).min(100), offset).await?;
        if page.is_empty() {
            return Ok(letters);
        }
        letters.extend(
            page.into_iter().map(|letter| ReplayedLetter::would_be_sent(letter.position, letter.event_id)),
        );
    }
}

/// Letters that the request names, each once.
async fn by_id(
    admin: Arc<Admin>,
    ids: &[String],
    event_ids: &[String],
    max: u32,
    dry_run: bool,
) -> Result<Response, Problem> {
    let chosen = choose(&admin, ids, event_ids, max as usize).await?;
    if dry_run {
        let remaining = chosen.len() as u64;
        let letters =
            chosen.into_iter().map(|(id, event_id)| ReplayedLetter::would_be_sent(id.position, event_id));
        return Ok(answer(true, letters.collect(), remaining));
    }
    detached(async move {
        let mut sent = Vec::with_capacity(chosen.len());
        let result = send(&admin, &chosen, &mut sent).await;
        count_open(&admin).await;
        result.map_err(|error| interrupted(&error, sent.len()))?;
        let remaining = (chosen.len() - sent.len()) as u64;
        Ok(answer(false, sent, remaining))
    })
    .await?
}

type Chosen = (LetterId, Option<String>);

async fn send(admin: &Admin, chosen: &[Chosen], sent: &mut Vec<ReplayedLetter>) -> Result<(), LetterError> {
    for batch in chosen.chunks(BATCH) {
        let mut letters = Vec::with_capacity(batch.len());
        for (id, _) in batch {
            // A letter that another request has redriven meanwhile is closed.
            letters.extend(admin.letters.get(id).await?);
        }
        let redriven = redrive(&admin.letters, &admin.log, &letters).await?;
        sent.extend(redriven.into_iter().map(ReplayedLetter::sent));
    }
    Ok(())
}

async fn choose(
    admin: &Admin,
    ids: &[String],
    event_ids: &[String],
    max: usize,
) -> Result<Vec<Chosen>, Problem> {
    let mut letters: Vec<DeadLetter> = Vec::new();
    for id in ids {
        let letter = admin.letters.get(&letter_id(admin, id)?).await?;
        letters.push(letter.ok_or_else(|| not_found(id))?);
    }
    for event_id in event_ids {
        letters.extend(admin.letters.page(&LetterFilter::of_event(event_id), REPLAY_MAX, 0).await?);
    }
    let mut seen = BTreeSet::new();
    let chosen = letters.into_iter().map(|letter| (letter.id(), letter.event_id));
    Ok(chosen.filter(|(id, _)| seen.insert(id.clone())).take(max).collect())
}
