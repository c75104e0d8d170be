//! `millrace dead-letters`: reviews, redrives and discards dead letters.

mod lookup;
mod redrive;
mod text;

use std::time::Duration;

use indicatif::ProgressBar;
use millrace_mssql::ReadModelUrl;
use millrace_platform::metrics::MetricsRegistry;
use millrace_platform::telemetry::chain;
use millrace_projector::dead_letter::mirror::Mirror;
use millrace_projector::dead_letter::{DeadLetters, LetterFilter, Resolution};
use millrace_projector::metrics::MirrorMetrics;

use crate::cli::Settings;
use crate::cli::letters::LettersCommand;
use crate::output::print_line;
use crate::produce::progress_bar;
use crate::usage;
use lookup::find;
use text::{counted, group_line, line, visible_json};

/// Letters discarded in one transaction.
const DISCARD_SLICE: u32 = 1_000;
const NONE: &str = "no open dead letters";
/// Time between two updates of the progress display.
const TICK: Duration = Duration::from_millis(100);

/// # Errors
/// The read model, the event log or Redis is unavailable, or a letter is not found.
pub async fn run(settings: &Settings, command: LettersCommand) -> anyhow::Result<()> {
    let letters = open(&settings.read_model()).await?;
    let topic = settings.event_log().topic().to_owned();
    let closes = matches!(
        command,
        LettersCommand::Redrive(_) | LettersCommand::Discard { .. } | LettersCommand::Clear { .. }
    );
    let result = match command {
        LettersCommand::List { filter, limit, offset, json } => {
            list(&letters, &filter, limit, offset, json).await
        }
        LettersCommand::Stats { filter, json } => stats(&letters, &filter, json).await,
        LettersCommand::Show { id } => {
            Ok(print_line(visible_json(&serde_json::to_string_pretty(&find(&letters, &topic, &id).await?)?))?)
        }
        LettersCommand::Redrive(arguments) => redrive::run(settings, &letters, &topic, &arguments).await,
        LettersCommand::Discard { ids, filter } => discard(&letters, &topic, &ids, &filter).await,
        LettersCommand::Clear { yes: _ } => discard_matching(&letters, &LetterFilter::default()).await,
        LettersCommand::Mirror { rebuild } => return mirror(settings, letters, rebuild).await,
    };
    if closes {
        remove_closed(settings, letters).await;
    }
    result
}

/// Removes closed letters from the list in Redis. A running projector does so as well, so an error is only a hint.
async fn remove_closed(settings: &Settings, letters: DeadLetters) {
    let Some(url) = settings.redis_url.clone() else { return };
    if let Err(error) =
        Mirror::new(letters, url, &settings.dlq_list, MirrorMetrics::register(&MetricsRegistry::new()))
            .tidy()
            .await
    {
        let cause = chain(&error);
        hint(&format!("Redis unavailable; the list {} is updated later: {cause}", settings.dlq_list));
    }
}

async fn list(
    letters: &DeadLetters,
    filter: &LetterFilter,
    limit: u32,
    offset: u32,
    json: bool,
) -> anyhow::Result<()> {
    let page = letters.page(filter, limit, offset).await?;
    for letter in &page {
        print_line(if json { visible_json(&serde_json::to_string(letter)?) } else { line(letter) })?;
    }
    if json {
        return Ok(());
    }
    let (end, total) = (u64::from(offset) + page.len() as u64, letters.depth(filter).await?);
    match page.len() {
        0 if total == 0 => print_line(NONE)?,
        _ if end < total => {
            hint(&format!("{total} open letters; --offset {end} shows more, stats counts them"));
        }
        _ => {}
    }
    Ok(())
}

/// Writes to stderr: stdout may go into a file.
#[expect(clippy::print_stderr, reason = "a message to a person, not part of the result")]
fn hint(text: &str) {
    eprintln!("{text}");
}

async fn stats(letters: &DeadLetters, filter: &LetterFilter, json: bool) -> anyhow::Result<()> {
    let groups = letters.groups(filter).await?;
    for group in &groups {
        print_line(if json { visible_json(&serde_json::to_string(group)?) } else { group_line(group) })?;
    }
    if groups.is_empty() && !json {
        print_line(NONE)?;
    }
    Ok(())
}

async fn discard(
    letters: &DeadLetters,
    topic: &str,
    ids: &[String],
    filter: &LetterFilter,
) -> anyhow::Result<()> {
    match (ids.is_empty(), filter.is_all()) {
        (true, true) => Err(usage(
            "dead-letters discard: requires ids or a filter such as --reason; clear --yes discards all letters",
        )),
        (false, false) => Err(usage("dead-letters discard: accepts ids or a filter, not both")),
        (true, false) => discard_matching(letters, filter).await,
        (false, true) => {
            for id in ids {
                let letter = find(letters, topic, id).await?;
                letters.close(&[letter.id()], Resolution::Discarded).await?;
                print_line(format_args!("{id} discarded"))?;
            }
            Ok(())
        }
    }
}

async fn discard_matching(letters: &DeadLetters, filter: &LetterFilter) -> anyhow::Result<()> {
    let bar = progress_bar(Some(letters.depth(filter).await?), "{wide_bar} {pos}/{len} letters {per_sec}");
    let result = letters.discard_all_matching(filter, DISCARD_SLICE, |discarded| bar.inc(discarded)).await;
    bar.finish_and_clear();
    print_line(format_args!("{} discarded", counted(bar.position())))?;
    Ok(result?)
}

async fn mirror(settings: &Settings, letters: DeadLetters, rebuild: bool) -> anyhow::Result<()> {
    let url = settings.redis_url.clone();
    let url = url.ok_or_else(|| usage("dead-letters mirror: requires REDIS_URL"))?;
    let metrics = MirrorMetrics::register(&MetricsRegistry::new());
    let mut mirror = Mirror::new(letters, url, &settings.dlq_list, metrics.clone());
    let bar = ProgressBar::new_spinner();
    let work = async { if rebuild { mirror.rebuild().await } else { mirror.catch_up().await } };
    let display = async {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            bar.set_message(format!("{} letters left", metrics.pending.get()));
        }
    };
    let result = tokio::select! {
        result = work => result,
        () = display => unreachable!("an endless loop"),
    };
    bar.finish_and_clear();
    let count = result.map_err(|error| anyhow::anyhow!("{}", chain(&error)))?;
    Ok(print_line(format_args!("list {}: {}", settings.dlq_list, counted(count)))?)
}

async fn open(url: &ReadModelUrl) -> anyhow::Result<DeadLetters> {
    let letters = DeadLetters::at(url);
    letters.check().await.map_err(|error| usage(chain(&error)))?;
    Ok(letters)
}
