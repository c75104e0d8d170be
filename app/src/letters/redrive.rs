//! `millrace dead-letters redrive`: appends to the event log, or, while another process uses an embedded one, sends a
//! request to the admin API of that process.

use anyhow::Context;
use indicatif::ProgressBar;
use millrace_domain::Timestamp;
use millrace_event_log::EventLog;
use millrace_projector::dead_letter::{DeadLetters, LetterFilter, redrive, redrive_matching};
use serde_json::{Value, json};

use super::lookup::find;
use super::text::{counted, line};
use crate::cli::Settings;
use crate::cli::letters::RedriveArgs;
use crate::output::print_line;
use crate::usage;

/// Letters in one request to the admin API.
const REQUEST_LETTERS_MAX: u32 = 500;

pub(super) async fn run(
    settings: &Settings,
    letters: &DeadLetters,
    topic: &str,
    arguments: &RedriveArgs,
) -> anyhow::Result<()> {
    // A redriven letter may fail and open again. Without a limit by time the loop would redrive it for ever.
    let filter = arguments.filter.clone();
    let is_filtered = !filter.is_all() || arguments.all;
    let filter = filter.until(Timestamp::now());
    let max = arguments.max.unwrap_or(u32::MAX);
    match (arguments.ids.is_empty(), is_filtered) {
        (true, false) => {
            Err(usage("dead-letters redrive: requires ids, a filter such as --reason, or --all"))
        }
        (false, true) => Err(usage("dead-letters redrive: accepts ids or a filter, not both")),
        (false, false) => by_id(settings, letters, topic, &arguments.ids, arguments.dry_run).await,
        (true, true) if arguments.dry_run => dry_run(letters, &filter, max).await,
        (true, true) => by_filter(settings, letters, &filter, max).await,
    }
}

async fn by_id(
    settings: &Settings,
    letters: &DeadLetters,
    topic: &str,
    ids: &[String],
    dry_run: bool,
) -> anyhow::Result<()> {
    // All letters are read first: after a mistyped id nothing is redriven.
    let mut selected = Vec::with_capacity(ids.len());
    for id in ids {
        selected.push(find(letters, topic, id).await?);
    }
    if dry_run {
        return Ok(selected.iter().try_for_each(|letter| print_line(line(letter)))?);
    }
    match open_log(settings) {
        Ok(log) => {
            for redriven in redrive(letters, &log, &selected).await? {
                print_line(format_args!("{} redriven to {}", redriven.id.position, redriven.position))?;
            }
        }
        Err(error) => {
            let api = AdminApi::new(settings, error)?;
            for ids in ids.chunks(REQUEST_LETTERS_MAX as usize) {
                let request = json!({ "ids": ids, "max_messages": REQUEST_LETTERS_MAX });
                let response = api.replay(&request).await?;
                for letter in response["redriven"].as_array().into_iter().flatten() {
                    let text = |name: &str| letter[name].as_str().unwrap_or_default();
                    print_line(format_args!("{} redriven to {}", text("id"), text("position")))?;
                }
            }
        }
    }
    Ok(())
}

async fn dry_run(letters: &DeadLetters, filter: &LetterFilter, max: u32) -> anyhow::Result<()> {
    let mut count = 0;
    loop {
        let page = letters.page(filter, (max - count).min(100), count).await?;
        page.iter().try_for_each(|letter| print_line(line(letter)))?;
        count += u32::try_from(page.len())?;
        if page.is_empty() {
            return Ok(print_line(format_args!("{} would be redriven", counted(count.into())))?);
        }
    }
}

async fn by_filter(
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
        Err(error) => through_api(&AdminApi::new(settings, error)?, filter, max, &bar).await,
    };
    let sent = bar.position();
    bar.finish_and_clear();
    print_line(format_args!("{} redriven", counted(sent)))?;
    result
}

fn open_log(settings: &Settings) -> Result<EventLog, millrace_event_log::LogError> {
    EventLog::open(&settings.event_log(), &settings.log.settings())
}

async fn through_api(
    api: &AdminApi,
    filter: &LetterFilter,
    max: u32,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let mut left = max;
    while left > 0 {
        let body = json!({ "filter": filter, "max_messages": left.min(REQUEST_LETTERS_MAX) });
        let response = api.replay(&body).await?;
        let count = response["count"].as_u64().unwrap_or_default();
        bar.inc(count);
        left = left.saturating_sub(u32::try_from(count)?);
        if count == 0 || response["remaining"] == 0 {
            break;
        }
    }
    Ok(())
}

/// The admin API of the process that uses the log.
struct AdminApi {
    client: reqwest::Client,
    url: String,
    token: Option<millrace_platform::secret::Secret>,
    /// Why this process cannot open the log.
    log_error: String,
}

impl AdminApi {
    fn new(settings: &Settings, log_error: impl std::fmt::Display) -> anyhow::Result<Self> {
        let url = settings.admin_url("/api/v1/replay").with_context(|| log_error.to_string())?;
        Ok(Self {
            // The URL is local: a proxy from the environment does not apply.
            client: reqwest::Client::builder().no_proxy().build()?,
            url,
            token: settings.admin.admin_token.clone(),
            log_error: log_error.to_string(),
        })
    }

    async fn replay(&self, body: &Value) -> anyhow::Result<Value> {
        let Self { url, log_error, .. } = self;
        let mut request = self.client.post(url).json(body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.reveal());
        }
        let response = request.send().await;
        let response = response.with_context(|| format!("{log_error}; no admin API at {url}"))?;
        let (status, body) = (response.status(), response.text().await?);
        anyhow::ensure!(status.is_success(), "{url}: {status}: {body}");
        serde_json::from_str(&body).with_context(|| format!("{url}: response is not JSON"))
    }
}
