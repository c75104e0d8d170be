//! `millrace dead-letters`: review what could not be projected.

mod redrive;

use anyhow::Context;
use shared::metrics::Metrics;
use shared::settings::ReadModelUrl;
use shared::{Position, Timestamp};
use write_side::dead_letter::mirror::Mirror;
use write_side::dead_letter::{Closed, DeadLetter, DeadLetters, LetterFilter, Place};
use write_side::event_log::EventLogUrl;

use crate::cli::Settings;
use crate::cli::letters::LettersCommand;
use crate::usage;

/// Letters that are discarded in one transaction.
const DISCARD_SLICE: u32 = 1_000;

/// Runs one of the commands.
///
/// # Errors
/// When the store, the log or Redis is away, or there is no such letter.
pub async fn run(settings: &Settings, command: LettersCommand) -> anyhow::Result<()> {
    let letters = open(&settings.read_model())?;
    let topic = topic(settings);
    match command {
        LettersCommand::List { filter, limit, offset, json } => {
            list(&letters, &filter.filter(), limit, offset, json).await
        }
        LettersCommand::Stats => stats(&letters).await,
        LettersCommand::Show { id } => {
            say(&serde_json::to_string_pretty(&find(&letters, &topic, &id).await?)?);
            Ok(())
        }
        LettersCommand::Redrive(arguments) => redrive::run(settings, &letters, &topic, &arguments).await,
        LettersCommand::Discard { ids, filter } => discard(&letters, &topic, &ids, &filter.filter()).await,
        LettersCommand::Clear { yes: _ } => {
            // Letters that die meanwhile have been seen by nobody.
            let filter = LetterFilter::default().until(Timestamp::now());
            let discarded = letters.discard_all_matching(&filter, DISCARD_SLICE).await?;
            say(&format!("{discarded} letters discarded"));
            Ok(())
        }
        LettersCommand::Mirror { rebuild } => mirror(settings, letters, rebuild).await,
    }
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn say(text: &str) {
    println!("{text}");
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
        say(&if json { serde_json::to_string(letter)? } else { line(letter) });
    }
    if page.is_empty() && !json {
        say("no open dead letters");
    }
    Ok(())
}

async fn stats(letters: &DeadLetters) -> anyhow::Result<()> {
    for group in letters.groups(&LetterFilter::default()).await? {
        say(&format!(
            "{:>8}  {:<24} {:<20} {} to {}  such as {}",
            group.count, group.reason, group.event_type, group.oldest, group.newest, group.example
        ));
    }
    Ok(())
}

async fn discard(
    letters: &DeadLetters,
    topic: &str,
    ids: &[String],
    filter: &LetterFilter,
) -> anyhow::Result<()> {
    match (ids.is_empty(), *filter == LetterFilter::default()) {
        (true, true) => Err(usage(
            "dead-letters discard: name ids or a filter such as --reason; for all, say clear --yes",
        )),
        (false, false) => Err(usage("dead-letters discard: name ids or a filter, not both")),
        (true, false) => {
            let discarded = letters.discard_all_matching(filter, DISCARD_SLICE).await?;
            say(&format!("{discarded} letters discarded"));
            Ok(())
        }
        (false, true) => {
            for id in ids {
                let letter = find(letters, topic, id).await?;
                letters.close(&[letter.place()], Closed::Discarded).await?;
                say(&format!("{id} discarded"));
            }
            Ok(())
        }
    }
}

async fn mirror(settings: &Settings, letters: DeadLetters, rebuild: bool) -> anyhow::Result<()> {
    let url = settings.redis_url.clone();
    let url = url.ok_or_else(|| usage("dead-letters mirror: REDIS_URL says where Redis is"))?;
    let mut mirror = Mirror::new(letters, url, &settings.dlq_list, Metrics::new());
    let shown = if rebuild { mirror.rebuild().await } else { mirror.catch_up().await };
    let shown = shown.map_err(|error| anyhow::anyhow!("{}", shared::telemetry::chain(&error)))?;
    say(&format!("the list {} shows {shown} letters", settings.dlq_list));
    Ok(())
}

fn open(url: &ReadModelUrl) -> anyhow::Result<DeadLetters> {
    DeadLetters::open(url).map_err(|error| usage(shared::telemetry::chain(&error)))
}

fn topic(settings: &Settings) -> String {
    match settings.event_log() {
        EventLogUrl::Embedded(_) => "events".to_owned(),
        EventLogUrl::Kafka { topic, .. } => topic,
    }
}

async fn find(letters: &DeadLetters, topic: &str, id: &str) -> anyhow::Result<DeadLetter> {
    let position: Position = id.parse().map_err(|error| usage(format!("{id:?}: {error}")))?;
    let letter = letters.get(&Place { topic: topic.to_owned(), position }).await?;
    letter.with_context(|| {
        format!("no open dead letter {id}; `millrace dead-letters list` tells which there are")
    })
}

fn line(letter: &DeadLetter) -> String {
    format!(
        "{:<10} {}  {:<20} {:<18} {:<38} {}",
        letter.position.to_string(),
        letter.dead_at,
        letter.reason,
        letter.event_type.as_deref().unwrap_or("-"),
        letter.event_id.as_deref().unwrap_or("-"),
        std::iter::once(&letter.error).chain(&letter.causes).cloned().collect::<Vec<_>>().join(": ")
    )
}
