//! `millrace dead-letters redrive`: straight into the log, or, while another process owns it, through that process.

use anyhow::Context;
use indicatif::ProgressBar;
use millrace_domain::Timestamp;
use millrace_event_log::EventLog;
use millrace_projector::dead_letter::{DeadLetters, LetterFilter, redrive, redrive_matching};
use serde_json::{Value, json};

use super::{find, line};
use crate::cli::Settings;
use crate::cli::letters::RedriveArgs;
use crate::output::print_line;
use crate::usage;

/// Letters in one request to the write side, at most.
const REQUEST_LETTERS_MAX: u32 = 500;

/// Redrives what was asked for and says what became of it.
pub(super) async fn run(
    settings: &Settings,
    letters: &DeadLetters,
    topic: &str,
    arguments: &RedriveArgs,
) -> anyhow::Result<()> {
    // Letters that come back meanwhile are left alone, or this would never end.
    let filter = arguments.filter.clone();
    let is_filtered = !filter.is_all() || arguments.all;
    let filter = filter.until(Timestamp::now());
    let max = arguments.max.unwrap_or(u32::MAX);
    match (arguments.ids.is_empty(), is_filtered) {
        (true, false) => Err(usage("dead-letters redrive: name ids, or a filter such as --reason, or --all")),
        (false, true) => Err(usage("dead-letters redrive: name ids or a filter, not both")),
        (false, false) => named(settings, letters, topic, &arguments.ids, arguments.dry_run).await,
        (true, true) if arguments.dry_run => tell(letters, &filter, max).await,
        (true, true) => matching(settings, letters, &filter, max).await,
    }
}

async fn named(
    settings: &Settings,
    letters: &DeadLetters,
    topic: &str,
    ids: &[String],
    dry_run: bool,
) -> anyhow::Result<()> {
    // All or nothing, as far as typing mistakes go.
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.push(find(letters, topic, id).await?);
    }
    if dry_run {
        return Ok(found.iter().try_for_each(|letter| print_line(line(letter)))?);
    }
    match open_log(settings) {
        Ok(log) => {
            for redriven in redrive(letters, &log, &found).await? {
                print_line(format_args!("{} redriven to {}", redriven.id.position, redriven.position))?;
            }
        }
        Err(owned) => {
            let owner = Owner::new(settings, owned)?;
            for ids in ids.chunks(REQUEST_LETTERS_MAX as usize) {
                let answer =
                    owner.replay(&json!({ "ids": ids, "max_messages": REQUEST_LETTERS_MAX })).await?;
                for letter in answer["redriven"].as_array().into_iter().flatten() {
                    let text = |name: &str| letter[name].as_str().unwrap_or_default();
                    print_line(format_args!("{} redriven to {}", text("id"), text("position")))?;
                }
            }
        }
    }
    Ok(())
}

/// A dry run.
async fn tell(letters: &DeadLetters, filter: &LetterFilter, max: u32) -> anyhow::Result<()> {
    let mut told = 0;
    loop {
        let page = letters.page(filter, (max - told).min(100), told).await?;
        page.iter().try_for_each(|letter| print_line(line(letter)))?;
        told += u32::try_from(page.len())?;
        if page.is_empty() {
            return Ok(print_line(format_args!("{told} letters would be redriven"))?);
        }
    }
}

async fn matching(
    settings: &Settings,
    letters: &DeadLetters,
    filter: &LetterFilter,
    max: u32,
) -> anyhow::Result<()> {
    let depth = letters.depth(filter).await?.min(u64::from(max));
    let bar = crate::produce::progress_bar(Some(depth), "{wide_bar} {pos}/{len} letters {per_sec}");
    let result = match open_log(settings) {
        Ok(log) => {
            let sent = redrive_matching(letters, &log, filter, max, |batch| bar.inc(batch.len() as u64));
            sent.await.map_err(anyhow::Error::from)
        }
        Err(owned) => through_owner(&Owner::new(settings, owned)?, filter, max, &bar).await,
    };
    let sent = bar.position();
    bar.finish_and_clear();
    print_line(format_args!("{sent} letters redriven"))?;
    result
}

fn open_log(settings: &Settings) -> Result<EventLog, millrace_event_log::LogError> {
    EventLog::open(&settings.event_log(), &settings.log.settings())
}

async fn through_owner(
    owner: &Owner,
    filter: &LetterFilter,
    max: u32,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let mut left = max;
    while left > 0 {
        let body = json!({ "filter": filter, "max_messages": left.min(REQUEST_LETTERS_MAX) });
        let answer = owner.replay(&body).await?;
        let count = answer["count"].as_u64().unwrap_or_default();
        bar.inc(count);
        left = left.saturating_sub(u32::try_from(count)?);
        if count == 0 || answer["remaining"] == 0 {
            break;
        }
    }
    Ok(())
}

/// The process that owns the log.
struct Owner {
    client: reqwest::Client,
    url: String,
    token: Option<millrace_platform::secret::Secret>,
    /// Why the log is not ours.
    owned: String,
}

impl Owner {
    fn new(settings: &Settings, owned: impl std::fmt::Display) -> anyhow::Result<Self> {
        let url = settings.admin_url("/api/v1/replay").with_context(|| owned.to_string())?;
        Ok(Self {
            // A proxy that the environment names is for other machines.
            client: reqwest::Client::builder().no_proxy().build()?,
            url,
            token: settings.admin.admin_token.clone(),
            owned: owned.to_string(),
        })
    }

    async fn replay(&self, body: &Value) -> anyhow::Result<Value> {
        let Self { url, owned, .. } = self;
        let mut request = self.client.post(url).json(body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.reveal());
        }
        let answer =
            request.send().await.with_context(|| format!("{owned}; and no projector answers at {url}"))?;
        let (status, body) = (answer.status(), answer.text().await?);
        anyhow::ensure!(status.is_success(), "{url}: {status}: {body}");
        serde_json::from_str(&body).with_context(|| format!("{url}: the answer is not JSON"))
    }
}
