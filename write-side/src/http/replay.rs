//! Dead letters over HTTP: sent through the log again, by name, by filter, by time; or only counted, when asked to.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::{Value, json};
use shared::problem::Problem;
use shared::record::PAYLOAD_BYTES_MAX;
use shared::{Position, Timestamp};

use super::WriteSide;
use super::commands::{JSON, expect_type};
use super::dead_letters::{count_open, place, store_problem};
use crate::dead_letter::{LetterError, LetterFilter, Place, Redriven, redrive, redrive_matching};

/// Letters that one request redrives, at most. The same request again goes on.
const REPLAY_MAX: u32 = 10_000;
const REPLAY_DEFAULT: u32 = 1_000;
/// Names in one request, at most.
const NAMES_MAX: usize = 1_000;
/// Letters that are held at once.
const BATCH: usize = 16;

type Shared = State<Arc<WriteSide>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    /// Letters by position, `partition:offset`.
    #[serde(default)]
    ids: Vec<String>,
    /// Letters by the id of their event.
    #[serde(default)]
    event_ids: Vec<String>,
    /// Letters by what they have in common; `{}` is all of them.
    filter: Option<Filter>,
    #[serde(default)]
    dry_run: bool,
    max_messages: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    r#type: Option<String>,
    reason: Option<String>,
    event_id: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayTime {
    start_time: Timestamp,
    end_time: Timestamp,
    #[serde(default)]
    dry_run: bool,
    max_messages: Option<u32>,
}

async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    expect_type(request.headers(), &[JSON])?;
    let body = shared::http::read_body(request, PAYLOAD_BYTES_MAX).await?;
    serde_json::from_slice(&body).map_err(|error| match error.classify() {
        Category::Data => Problem::invalid(error.to_string()),
        _ => Problem::malformed(error.to_string()),
    })
}

/// `POST /api/v1/replay`
pub(super) async fn replay(State(write_side): Shared, request: Request) -> Result<Response, Problem> {
    let Replay { ids, event_ids, filter, dry_run, max_messages } = read(request).await?;
    let max = bounded(max_messages)?;
    let is_named = !ids.is_empty() || !event_ids.is_empty();
    match filter {
        Some(_) if is_named => {
            Err(Problem::invalid("name letters by ids and event_ids, or by a filter, not both"))
        }
        Some(Filter { r#type, reason, event_id, from, to }) => {
            let filter = LetterFilter { event_type: r#type, reason, event_id, from, to };
            matching(write_side, filter, max, dry_run).await
        }
        None if !is_named => Err(Problem::invalid("name letters by ids, event_ids or filter")),
        None if ids.len() + event_ids.len() > NAMES_MAX => {
            Err(Problem::invalid(format!("at most {NAMES_MAX} names at once")))
        }
        None => named(write_side, &ids, &event_ids, max, dry_run).await,
    }
}

/// `POST /api/v1/replay/batch`
pub(super) async fn replay_batch(State(write_side): Shared, request: Request) -> Result<Response, Problem> {
    let ReplayTime { start_time, end_time, dry_run, max_messages } = read(request).await?;
    let max = bounded(max_messages)?;
    if start_time >= end_time {
        return Err(Problem::invalid("start_time must lie before end_time"));
    }
    let filter = LetterFilter { from: Some(start_time), to: Some(end_time), ..LetterFilter::default() };
    matching(write_side, filter, max, dry_run).await
}

fn bounded(max: Option<u32>) -> Result<u32, Problem> {
    match max.unwrap_or(REPLAY_DEFAULT) {
        max if max <= REPLAY_MAX => Ok(max),
        _ => Err(Problem::invalid(format!("max_messages must lie between 0 and {REPLAY_MAX}"))),
    }
}

/// A letter that is or would be sent again.
fn item(position: Position, event_id: Option<&str>, sent_to: Option<Position>) -> Value {
    let mut item = json!({ "id": position, "eventId": event_id });
    if let Some(position) = sent_to {
        item["position"] = json!(position);
    }
    item
}

fn sent(redriven: &Redriven) -> Value {
    item(redriven.place.position, redriven.event_id.as_deref(), Some(redriven.position))
}

/// The whole answer. `remaining` says how many letters match still.
fn answer(dry_run: bool, items: &[Value], remaining: u64) -> Response {
    let answer =
        json!({ "dryRun": dry_run, "count": items.len(), "remaining": remaining, "redriven": items });
    shared::http::json(StatusCode::OK, &answer)
}

/// What was not redriven is open still, so the same request goes on where this one stopped.
fn stopped(error: &LetterError, done: usize) -> Problem {
    tracing::warn!("{}", shared::telemetry::chain(error));
    let away = if matches!(error, LetterError::Log(_)) { "the event log" } else { "the read model" };
    Problem::unavailable(format!("{away} is away; {done} letters were redriven, the others are open still"))
}

/// Letters that match and are dead by now.
async fn matching(
    write_side: Arc<WriteSide>,
    filter: LetterFilter,
    max: u32,
    dry_run: bool,
) -> Result<Response, Problem> {
    let filter = filter.until(Timestamp::now());
    if dry_run {
        let items = would_be_sent(&write_side, &filter, max).await.map_err(|error| store_problem(&error))?;
        let depth = write_side.letters.depth(&filter).await.map_err(|error| store_problem(&error))?;
        return Ok(answer(true, &items, depth));
    }
    shared::http::detached(async move {
        let mut items = Vec::new();
        let note = |batch: Vec<Redriven>| items.extend(batch.iter().map(sent));
        let result = redrive_matching(&write_side.letters, &write_side.log, &filter, max, note).await;
        count_open(&write_side).await;
        result.map_err(|error| stopped(&error, items.len()))?;
        let depth = write_side.letters.depth(&filter).await.map_err(|error| store_problem(&error))?;
        Ok(answer(false, &items, depth))
    })
    .await?
}

async fn would_be_sent(
    write_side: &WriteSide,
    filter: &LetterFilter,
    max: u32,
) -> Result<Vec<Value>, LetterError> {
    let mut items: Vec<Value> = Vec::new();
    loop {
        let have = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let page = write_side.letters.page(filter, max.saturating_sub(have).min(100), have).await?;
        if page.is_empty() {
            return Ok(items);
        }
        items.extend(page.iter().map(|letter| item(letter.position, letter.event_id.as_deref(), None)));
    }
}

/// Letters that are named, each once.
async fn named(
    write_side: Arc<WriteSide>,
    ids: &[String],
    event_ids: &[String],
    max: u32,
    dry_run: bool,
) -> Result<Response, Problem> {
    let chosen = choose(&write_side, ids, event_ids, max as usize).await?;
    if dry_run {
        let items: Vec<_> =
            chosen.iter().map(|(place, event_id)| item(place.position, event_id.as_deref(), None)).collect();
        return Ok(answer(true, &items, items.len() as u64));
    }
    shared::http::detached(async move {
        let mut items = Vec::with_capacity(chosen.len());
        let result = send(&write_side, &chosen, &mut items).await;
        count_open(&write_side).await;
        result.map_err(|error| stopped(&error, items.len()))?;
        Ok(answer(false, &items, (chosen.len() - items.len()) as u64))
    })
    .await?
}

type Chosen = (Place, Option<String>);

async fn send(write_side: &WriteSide, chosen: &[Chosen], items: &mut Vec<Value>) -> Result<(), LetterError> {
    for batch in chosen.chunks(BATCH) {
        let mut letters = Vec::with_capacity(batch.len());
        for (place, _) in batch {
            // One that another request has sent meanwhile is closed.
            letters.extend(write_side.letters.get(place).await?);
        }
        let redriven = redrive(&write_side.letters, &write_side.log, &letters).await?;
        items.extend(redriven.iter().map(sent));
    }
    Ok(())
}

async fn choose(
    write_side: &WriteSide,
    ids: &[String],
    event_ids: &[String],
    max: usize,
) -> Result<Vec<Chosen>, Problem> {
    let letters = &write_side.letters;
    let mut chosen = Vec::new();
    for id in ids {
        let place = place(write_side, id)?;
        let letter = letters.get(&place).await.map_err(|error| store_problem(&error))?;
        let letter = letter.ok_or_else(|| Problem::not_found(format!("no open dead letter {id}")))?;
        chosen.push((place, letter.event_id));
    }
    for id in event_ids {
        let filter = LetterFilter { event_id: Some(id.clone()), ..LetterFilter::default() };
        let page = letters.page(&filter, REPLAY_MAX, 0).await.map_err(|error| store_problem(&error))?;
        chosen.extend(page.into_iter().map(|letter| (letter.place(), letter.event_id)));
    }
    let mut seen = BTreeSet::new();
    chosen.retain(|(place, _)| seen.insert(place.clone()));
    chosen.truncate(max);
    Ok(chosen)
}
