//! Finds a letter by the id that a user has typed.

use anyhow::Context;
use millrace_domain::Position;
use millrace_projector::dead_letter::{DeadLetter, DeadLetters, LetterId};

use crate::usage;

pub(super) async fn find(letters: &DeadLetters, topic: &str, id: &str) -> anyhow::Result<DeadLetter> {
    let position: Position = id.parse().map_err(|error| usage(format!("{id:?}: {error}")))?;
    let letter = letters.get(&LetterId { topic: topic.to_owned(), position }).await?;
    letter.with_context(|| {
        format!("open dead letter {id} not found; `millrace dead-letters list` lists the open ones")
    })
}
