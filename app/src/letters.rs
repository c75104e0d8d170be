//! `millrace dead-letters`: review what could not be projected.

use anyhow::Context;
use shared::Position;
use shared::settings::ReadModelUrl;
use write_side::dead_letter::{Closed, DeadLetter, DeadLetters, LetterFilter, Place, redrive};
use write_side::event_log::{EventLog, EventLogUrl};

use crate::cli::{LettersCommand, Settings};
use crate::usage;

/// Runs one of the commands.
///
/// # Errors
/// When the store or the log is away, or there is no such letter.
#[expect(clippy::print_stdout, reason = "the answer of a command")]
pub async fn run(settings: &Settings, command: LettersCommand) -> anyhow::Result<()> {
    let letters = open(&settings.read_model())?;
    let topic = topic(settings);
    match command {
        LettersCommand::List { limit, offset, json } => {
            let page = letters.page(&LetterFilter::default(), limit, offset).await?;
            for letter in &page {
                println!("{}", if json { serde_json::to_string(letter)? } else { line(letter) });
            }
            if page.is_empty() && !json {
                println!("no open dead letters");
            }
        }
        LettersCommand::Stats => {
            for group in letters.groups(&LetterFilter::default()).await? {
                println!(
                    "{:>8}  {:<24} {:<20} {} to {}",
                    group.count, group.reason, group.event_type, group.oldest, group.newest
                );
            }
        }
        LettersCommand::Show { id } => {
            println!("{}", serde_json::to_string_pretty(&find(&letters, &topic, &id).await?)?);
        }
        LettersCommand::Redrive { ids } => redrive_all(settings, &letters, &topic, &ids).await?,
        LettersCommand::Discard { ids } => {
            for id in ids {
                let letter = find(&letters, &topic, &id).await?;
                letters.close(&[letter.place()], Closed::Discarded).await?;
                println!("{id} discarded");
            }
        }
    }
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

/// Straight into the log, or, while another process owns the embedded log, through that process.
#[expect(clippy::print_stdout, reason = "the answer of a command")]
async fn redrive_all(
    settings: &Settings,
    letters: &DeadLetters,
    topic: &str,
    ids: &[String],
) -> anyhow::Result<()> {
    // All or nothing, as far as typing mistakes go.
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.push(find(letters, topic, id).await?);
    }
    let log_settings = settings.log.settings();
    match EventLog::open(&settings.event_log(), &log_settings) {
        Ok(log) => {
            for redriven in redrive(letters, &log, &found).await? {
                println!("{} redriven to {}", redriven.place.position, redriven.position);
            }
            Ok(())
        }
        Err(owned) => {
            let url = format!("http://{}/api/v1/replay", settings.commands.command_addr);
            let request = reqwest::Client::new().post(&url).json(&serde_json::json!({ "ids": ids }));
            let answer = request
                .send()
                .await
                .with_context(|| format!("{owned}; and no write side answers at {url}"))?;
            let (status, body) = (answer.status(), answer.text().await?);
            anyhow::ensure!(status.is_success(), "{url}: {status}: {body}");
            println!("{body}");
            Ok(())
        }
    }
}
