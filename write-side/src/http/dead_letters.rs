//! Dead letters over HTTP: list, count, send through the log again. For this machine only.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::json;
use shared::Position;
use shared::problem::Problem;
use shared::record::PAYLOAD_BYTES_MAX;

use super::WriteSide;
use super::commands::{JSON, expect_type};
use crate::dead_letter::{DeadLetter, DeadLetters, LetterError, LetterFilter, Place, redrive};

const PAGE_MAX: u32 = 1_000;
/// Letters looked through for event ids, at most.
const SEARCH_MAX: u32 = 100_000;

type Shared = State<Arc<WriteSide>>;
type Peer = ConnectInfo<SocketAddr>;

/// Letters hold other people's data, and replaying changes things: only a caller on this machine may.
fn only_local(ConnectInfo(peer): Peer) -> Result<(), Problem> {
    if peer.ip().is_loopback() {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "Not from there")
        .detail("only callers on the same machine may ask this"))
}

fn store_problem(error: &LetterError) -> Problem {
    tracing::warn!("{}", shared::telemetry::chain(error));
    Problem::unavailable("the dead letters cannot be read")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    #[serde(default = "Page::default_limit")]
    limit: u32,
    #[serde(default)]
    offset: u32,
}

impl Page {
    fn default_limit() -> u32 {
        50
    }
}

type PageQuery = Result<Query<Page>, axum::extract::rejection::QueryRejection>;

/// `GET /api/v1/dlq/messages?limit=&offset=`
pub(super) async fn messages(
    State(write_side): Shared,
    peer: Peer,
    page: PageQuery,
) -> Result<Response, Problem> {
    only_local(peer)?;
    let Query(page) = page.map_err(|error| Problem::invalid(error.body_text()))?;
    if !(1..=PAGE_MAX).contains(&page.limit) {
        return Err(Problem::invalid(format!("limit must lie between 1 and {PAGE_MAX}")));
    }
    let page = write_side.letters.page(&LetterFilter::default(), page.limit, page.offset).await;
    let letters = page.map_err(|error| store_problem(&error))?;
    Ok(shared::http::json(StatusCode::OK, &json!({ "messages": letters })))
}

/// `GET /api/v1/dlq/stats`
pub(super) async fn stats(State(write_side): Shared, peer: Peer) -> Result<Response, Problem> {
    only_local(peer)?;
    let groups =
        write_side.letters.groups(&LetterFilter::default()).await.map_err(|error| store_problem(&error))?;
    let total: u64 = groups.iter().map(|group| group.count).sum();
    let oldest = groups.iter().map(|group| group.oldest).min();
    let newest = groups.iter().map(|group| group.newest).max();
    let answer = json!({ "total": total, "oldest": oldest, "newest": newest, "groups": groups });
    Ok(shared::http::json(StatusCode::OK, &answer))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    /// Letters by position, `partition:offset`.
    #[serde(default)]
    ids: Vec<String>,
    /// Letters by the id of their event.
    #[serde(default)]
    event_ids: Vec<String>,
    #[serde(default)]
    dry_run: bool,
    max_messages: Option<usize>,
}

/// `POST /api/v1/replay`
pub(super) async fn replay(
    State(write_side): Shared,
    peer: Peer,
    request: Request,
) -> Result<Response, Problem> {
    only_local(peer)?;
    expect_type(request.headers(), &[JSON])?;
    let body = shared::http::read_body(request, PAYLOAD_BYTES_MAX).await?;
    let replay: Replay = serde_json::from_slice(&body).map_err(|error| match error.classify() {
        Category::Data => Problem::invalid(error.to_string()),
        _ => Problem::malformed(error.to_string()),
    })?;
    let letters = &write_side.letters;
    let mut chosen = choose(letters, write_side.log.topic(), &replay).await?;
    chosen.truncate(replay.max_messages.unwrap_or(usize::MAX));
    let mut redriven = Vec::with_capacity(chosen.len());
    for letter in &chosen {
        let mut item = json!({ "id": letter.position.to_string(), "eventId": letter.event_id });
        if !replay.dry_run {
            let sent = redrive(letters, &write_side.log, std::slice::from_ref(letter)).await;
            let sent = sent.map_err(|error| stopped(&error, redriven.len(), chosen.len()))?;
            item["position"] = sent[0].position.to_string().into();
        }
        redriven.push(item);
    }
    let depth = letters.depth(&LetterFilter::default()).await.map_err(|error| store_problem(&error))?;
    write_side.metrics.dlq_depth.set(depth.cast_signed());
    let answer = json!({ "dryRun": replay.dry_run, "count": redriven.len(), "redriven": redriven });
    Ok(shared::http::json(StatusCode::OK, &answer))
}

/// What was not redriven is open still, so the same request goes on where this one stopped.
fn stopped(error: &LetterError, done: usize, of: usize) -> Problem {
    tracing::warn!("{}", shared::telemetry::chain(error));
    let away = if matches!(error, LetterError::Log(_)) { "the event log" } else { "the read model" };
    Problem::unavailable(format!(
        "{away} is away; {done} of {of} letters were redriven, the others are open still"
    ))
}

/// The open letters that are named, each once.
async fn choose(letters: &DeadLetters, topic: &str, replay: &Replay) -> Result<Vec<DeadLetter>, Problem> {
    if replay.ids.is_empty() && replay.event_ids.is_empty() {
        return Err(Problem::invalid("name letters by ids or event_ids"));
    }
    let mut chosen = Vec::new();
    for id in &replay.ids {
        let position: Position = id.parse().map_err(|error| Problem::invalid(format!("{id:?}: {error}")))?;
        let letter = letters
            .get(&Place { topic: topic.to_owned(), position })
            .await
            .map_err(|error| store_problem(&error))?;
        chosen.push(letter.ok_or_else(|| Problem::not_found(format!("no open dead letter {id}")))?);
    }
    if !replay.event_ids.is_empty() {
        for id in &replay.event_ids {
            let filter = LetterFilter { event_id: Some(id.clone()), ..LetterFilter::default() };
            chosen.extend(letters.page(&filter, SEARCH_MAX, 0).await.map_err(|error| store_problem(&error))?);
        }
    }
    let mut seen = BTreeSet::new();
    chosen.retain(|letter| seen.insert(letter.position));
    Ok(chosen)
}
