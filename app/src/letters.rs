//! `millrace dead-letters`: review what could not be projected.

mod redrive;

use std::time::Duration;

use anyhow::Context;
use indicatif::ProgressBar;
use millrace_domain::Position;
use millrace_mssql::ReadModelUrl;
use millrace_platform::metrics::MetricsRegistry;
use millrace_platform::telemetry::chain;
use millrace_projector::dead_letter::mirror::Mirror;
use millrace_projector::dead_letter::{
    DeadLetter, DeadLetters, LetterFilter, LetterGroup, LetterId, Resolution,
};
use millrace_projector::metrics::MirrorMetrics;

use crate::cli::Settings;
use crate::cli::letters::LettersCommand;
use crate::output::print_line;
use crate::produce::progress_bar;
use crate::usage;

/// Letters that are discarded in one transaction.
const DISCARD_SLICE: u32 = 1_000;
/// What is said of nothing.
const NONE: &str = "no open dead letters";
/// How often the progress of the mirror is shown.
const TICK: Duration = Duration::from_millis(100);

/// Runs one of the commands.
///
/// # Errors
/// When the store, the log or Redis is away, or there is no such letter.
pub async fn run(settings: &Settings, command: LettersCommand) -> anyhow::Result<()> {
    let letters = open(&settings.read_model()).await?;
    let topic = settings.event_log().topic().to_owned();
    let closes = matches!(
        command,
        LettersCommand::Redrive(_) | LettersCommand::Discard { .. } | LettersCommand::Clear { .. }
    );
    let done = match command {
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
        tidy_list(settings, letters).await;
    }
    done
}

/// Takes what was closed off the list in Redis. A write side that runs does so too; Redis need not be there.
async fn tidy_list(settings: &Settings, letters: DeadLetters) {
    let Some(url) = settings.redis_url.clone() else { return };
    if let Err(error) =
        Mirror::new(letters, url, &settings.dlq_list, MirrorMetrics::register(&MetricsRegistry::new()))
            .tidy()
            .await
    {
        let cause = chain(&error);
        hint(&format!("the list {} shows it later, when Redis is there: {cause}", settings.dlq_list));
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
    let (shown, all) = (u64::from(offset) + page.len() as u64, letters.depth(filter).await?);
    match page.len() {
        0 if all == 0 => print_line(NONE)?,
        _ if shown < all => hint(&format!("{all} in all; --offset {shown} shows more, stats counts them")),
        _ => {}
    }
    Ok(())
}

/// What is not the answer itself.
#[expect(clippy::print_stderr, reason = "a word to a person beside the answer, which may go into a file")]
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
            "dead-letters discard: name ids or a filter such as --reason; for all, say clear --yes",
        )),
        (false, false) => Err(usage("dead-letters discard: name ids or a filter, not both")),
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
    print_line(format_args!("{} letters discarded", bar.position()))?;
    Ok(result?)
}

async fn mirror(settings: &Settings, letters: DeadLetters, rebuild: bool) -> anyhow::Result<()> {
    let url = settings.redis_url.clone();
    let url = url.ok_or_else(|| usage("dead-letters mirror: REDIS_URL says where Redis is"))?;
    let metrics = MirrorMetrics::register(&MetricsRegistry::new());
    let mut mirror = Mirror::new(letters, url, &settings.dlq_list, metrics.clone());
    let bar = ProgressBar::new_spinner();
    let work = async { if rebuild { mirror.rebuild().await } else { mirror.catch_up().await } };
    let watch = async {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            bar.set_message(format!("{} letters to go", metrics.pending.get()));
        }
    };
    let shown = tokio::select! { shown = work => shown, () = watch => unreachable!("it watches for ever") };
    bar.finish_and_clear();
    let shown = shown.map_err(|error| anyhow::anyhow!("{}", chain(&error)))?;
    Ok(print_line(format_args!("the list {} shows {shown} letters", settings.dlq_list))?)
}

async fn open(url: &ReadModelUrl) -> anyhow::Result<DeadLetters> {
    let letters = DeadLetters::at(url);
    letters.check().await.map_err(|error| usage(chain(&error)))?;
    Ok(letters)
}

async fn find(letters: &DeadLetters, topic: &str, id: &str) -> anyhow::Result<DeadLetter> {
    let position: Position = id.parse().map_err(|error| usage(format!("{id:?}: {error}")))?;
    let letter = letters.get(&LetterId { topic: topic.to_owned(), position }).await?;
    letter.with_context(|| {
        format!("no open dead letter {id}; `millrace dead-letters list` tells which there are")
    })
}

fn line(letter: &DeadLetter) -> String {
    visible(&format!(
        "{:<10} {}  {:<20} {:<18} {:<38} {}",
        letter.position.to_string(),
        letter.dead_at,
        letter.reason,
        letter.event_type.as_deref().unwrap_or("-"),
        letter.event_id.as_deref().unwrap_or("-"),
        std::iter::once(&letter.error).chain(&letter.causes).cloned().collect::<Vec<_>>().join(": ")
    ))
}

fn group_line(group: &LetterGroup) -> String {
    let LetterGroup { reason, event_type, count, oldest, newest, example } = group;
    let event_type = if event_type.is_empty() { "-" } else { event_type };
    visible(&format!("{count:>8}  {reason:<24} {event_type:<20} {oldest} to {newest}  such as {example}"))
}

/// Ids and types of broken records are whatever somebody sent; a terminal must not be told by them what to do.
fn visible(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// The same JSON: a few control characters may stand in a text of it as they are, and need not.
fn visible_json(json: &str) -> String {
    let shown = |c: char| match c {
        // Between the fields; in a text it is escaped already.
        '\n' => c.to_string(),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    json.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_letter_as_json_says_nothing_to_the_terminal() {
        let text = "\u{7f}\u{9b}2J\u{1b}\n é";
        let json = super::visible_json(&serde_json::to_string_pretty(&[text]).unwrap());
        assert!(!json.contains(['\u{7f}', '\u{9b}', '\u{1b}']), "{json:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [text], "the same JSON");
    }

    #[test]
    fn a_letter_says_nothing_to_the_terminal() {
        assert_eq!(super::visible("\u{1b}[2J\u{9b}a\r\né"), "\\u{1b}[2J\\u{9b}a\\r\\né");
    }
}
