//! Dead letters over HTTP: list, show, count, discard. Sending them through the log again is `replay.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use millrace_domain::{Position, Timestamp};
use millrace_platform::http::openapi::CommonProblems;
use millrace_platform::http::{detached, json};
use millrace_platform::problem::Problem;
use millrace_platform::telemetry::chain;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::state::Admin;
use crate::dead_letter::{
    DeadLetter, LetterError, LetterFilter, LetterGroup, LetterId, LetterJson, Resolution,
};

const PAGE_MAX: u32 = 1_000;
const PAGE_DEFAULT: u32 = 50;
/// Letters that are discarded in one transaction.
const DISCARD_SLICE: u32 = 1_000;

impl From<LetterError> for Problem {
    /// Logs the cause and hides it from the client.
    fn from(error: LetterError) -> Self {
        tracing::warn!(target: "millrace::projector", "{}", chain(&error));
        Self::unavailable(match error {
            LetterError::Store(_) => "dead letters unavailable; retry after a second",
            LetterError::Log(_) => "event log unavailable; retry after a second",
        })
    }
}

/// The letter that a text such as `3:1027` names.
pub(super) fn letter_id(admin: &Admin, id: &str) -> Result<LetterId, Problem> {
    let position: Position = id.parse().map_err(|error| Problem::invalid(format!("{id:?}: {error}")))?;
    Ok(LetterId { topic: admin.log.topic().to_owned(), position })
}

pub(super) fn not_found(id: &str) -> Problem {
    Problem::not_found(format!("open dead letter {id} not found"))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// 1 to 1000; 50 by default
    #[serde(default)]
    limit: Option<u32>,
    /// Newer letters to leave out
    #[serde(default)]
    offset: Option<u32>,
}

impl Page {
    fn limit(&self) -> Result<u32, Problem> {
        match self.limit.unwrap_or(PAGE_DEFAULT) {
            limit if (1..=PAGE_MAX).contains(&limit) => Ok(limit),
            limit => Err(Problem::invalid(format!("limit is {limit}; it must be from 1 to {PAGE_MAX}"))),
        }
    }
}

/// A page of dead letters.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Letters {
    #[schema(value_type = Vec<LetterJson<'_>>)]
    messages: Vec<DeadLetter>,
    /// Letters that match in all.
    total: u64,
    /// The offset of the next page; null at the end.
    next_offset: Option<u64>,
}

/// Open dead letters, newest first
#[utoipa::path(get, path = "/api/v1/dlq/messages", tag = "dead letters", params(Page, LetterFilter),
    responses((status = 200, body = Letters), CommonProblems))]
pub(super) async fn messages(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::invalid(error.body_text()))?;
    let (page, filter) = page_and_filter(query)?;
    let (limit, offset) = (page.limit()?, page.offset.unwrap_or_default());
    let messages = admin.letters.page(&filter, limit, offset).await?;
    let total = admin.letters.depth(&filter).await?;
    let next = u64::from(offset) + messages.len() as u64;
    let next_offset = (next < total && !messages.is_empty()).then_some(next);
    Ok(json(StatusCode::OK, &Letters { messages, total, next_offset }))
}

/// Splits the parameters of a query: serde cannot flatten a filter into the page and refuse unknown names as well.
fn page_and_filter(query: Vec<(String, String)>) -> Result<(Page, LetterFilter), Problem> {
    let is_page = |(name, _): &(String, String)| matches!(name.as_str(), "limit" | "offset");
    let (page, filter): (Vec<_>, Vec<_>) = query.into_iter().partition(is_page);
    let numbers = page.into_iter().map(|(name, text)| {
        let number: u32 =
            text.parse().map_err(|_| Problem::invalid(format!("{name} must be a number, not {text:?}")))?;
        Ok((name, Value::from(number)))
    });
    let page: Map<String, Value> = numbers.collect::<Result<_, Problem>>()?;
    let filter: Map<String, Value> =
        filter.into_iter().map(|(name, text)| (name, Value::from(text))).collect();
    let invalid = |error: serde_json::Error| Problem::invalid(error.to_string());
    let page = serde_json::from_value(page.into()).map_err(invalid)?;
    Ok((page, serde_json::from_value(filter.into()).map_err(invalid)?))
}

/// A dead letter with its payload, its reason and its causes
#[utoipa::path(get, path = "/api/v1/dlq/messages/{id}", tag = "dead letters",
    params(("id" = String, Path, description = "partition:offset")),
    responses((status = 200, body = LetterJson<'_>), CommonProblems))]
pub(super) async fn message(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let letter = admin.letters.get(&letter_id(&admin, &id)?).await?;
    Ok(json(StatusCode::OK, &letter.ok_or_else(|| not_found(&id))?))
}

/// How many letters were discarded.
#[derive(Serialize, ToSchema)]
struct Discarded {
    discarded: u64,
}

/// Discard a dead letter
#[utoipa::path(delete, path = "/api/v1/dlq/messages/{id}", tag = "dead letters",
    params(("id" = String, Path, description = "partition:offset")),
    responses((status = 200, body = Discarded), CommonProblems))]
pub(super) async fn discard(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let letter = letter_id(&admin, &id)?;
    let discarded = detached(async move {
        let discarded = admin.letters.close(&[letter], Resolution::Discarded).await;
        count_open(&admin).await;
        discarded
    });
    match discarded.await?? {
        0 => Err(not_found(&id)),
        discarded => {
            tracing::info!(target: "millrace::projector", id, "dead letter discarded over HTTP");
            Ok(json(StatusCode::OK, &Discarded { discarded }))
        }
    }
}

/// Open dead letters, counted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Stats<'a> {
    total: u64,
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    newest: Option<Timestamp>,
    by_type: BTreeMap<&'a str, u64>,
    by_reason: BTreeMap<&'a str, u64>,
    groups: &'a [LetterGroup],
}

/// Open dead letters, counted by reason and type
#[utoipa::path(get, path = "/api/v1/dlq/stats", tag = "dead letters",
    responses((status = 200, body = Stats<'_>), CommonProblems))]
pub(super) async fn stats(State(admin): State<Arc<Admin>>) -> Result<Response, Problem> {
    let groups = admin.letters.groups(&LetterFilter::default()).await?;
    let stats = Stats {
        total: groups.iter().map(|group| group.count).sum(),
        oldest: groups.iter().map(|group| group.oldest).min(),
        newest: groups.iter().map(|group| group.newest).max(),
        by_type: counts(&groups, |group| &group.event_type),
        by_reason: counts(&groups, |group| &group.reason),
        groups: &groups,
    };
    Ok(json(StatusCode::OK, &stats))
}

fn counts(groups: &[LetterGroup], key: impl Fn(&LetterGroup) -> &str) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for group in groups {
        *counts.entry(key(group)).or_default() += group.count;
    }
    counts
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Clear {
    /// Must be true
    #[serde(default)]
    confirm: bool,
}

/// Discard every dead letter that is open now
#[utoipa::path(delete, path = "/api/v1/dlq/clear", tag = "dead letters", params(Clear),
    responses((status = 200, body = Discarded), CommonProblems))]
pub(super) async fn clear(
    State(admin): State<Arc<Admin>>,
    clear: Result<Query<Clear>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(clear) = clear.map_err(|error| Problem::invalid(error.body_text()))?;
    if !clear.confirm {
        return Err(Problem::invalid("this discards all dead letters; add confirm=true"));
    }
    let discarded = detached(async move {
        let mut discarded = 0;
        let all = LetterFilter::default();
        let result =
            admin.letters.discard_all_matching(&all, DISCARD_SLICE, |letters| discarded += letters).await;
        count_open(&admin).await;
        result.map(|()| discarded)
    });
    let discarded = discarded.await??;
    tracing::info!(target: "millrace::projector", discarded, "all dead letters discarded over HTTP");
    Ok(json(StatusCode::OK, &Discarded { discarded }))
}

/// Updates the metric after letters were closed. Every ten seconds it is counted as well, so a failure does not matter.
pub(super) async fn count_open(admin: &Admin) {
    if let Ok(depth) = admin.letters.depth(&LetterFilter::default()).await {
        admin.metrics.dead_letters_open.set(depth.cast_signed());
    }
}
