//! Sending letters through the log again.
//!
//! The record is appended first and the letter closed afterwards. If the process dies in between, the letter stays open
//! and may be sent again, which changes nothing: an event counts once.

use millrace_domain::{Position, Timestamp};
use millrace_event_log::EventLog;

use super::{DeadLetter, DeadLetters, LetterError, LetterFilter, LetterId, Resolution};

/// Letters that share an append and a transaction.
const BATCH: u32 = 100;

/// A letter whose record was appended to the log again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redriven {
    pub id: LetterId,
    /// The id of its event, if it is known.
    pub event_id: Option<String>,
    /// The position of the new record.
    pub position: Position,
}

/// Sends letters through the log again and closes them.
///
/// # Errors
/// [`LetterError`]; then the letters are still open.
pub async fn redrive(
    letters: &DeadLetters,
    log: &EventLog,
    chosen: &[DeadLetter],
) -> Result<Vec<Redriven>, LetterError> {
    let positions = log.append(chosen.iter().map(DeadLetter::to_record).collect()).await?;
    let ids: Vec<_> = chosen.iter().map(DeadLetter::id).collect();
    letters.close(&ids, Resolution::Redriven).await?;
    let event_ids = chosen.iter().map(|letter| letter.event_id.clone());
    let redriven = ids.into_iter().zip(event_ids).zip(positions);
    Ok(redriven.map(|((id, event_id), position)| Redriven { id, event_id, position }).collect())
}

/// Sends the letters that match and have died by now through the log again, newest first, at most `max`, and calls `sent`
/// after each batch. Letters that come back meanwhile are left alone.
///
/// # Errors
/// [`LetterError`]; the letters that `sent` was not called with are still open.
pub async fn redrive_matching(
    letters: &DeadLetters,
    log: &EventLog,
    filter: &LetterFilter,
    max: u32,
    mut sent: impl FnMut(Vec<Redriven>),
) -> Result<(), LetterError> {
    let filter = filter.clone().until(Timestamp::now());
    let mut left = max;
    while left > 0 {
        // The letters of the last batch are closed, so the next ones are at the beginning.
        let batch = letters.page(&filter, left.min(BATCH), 0).await?;
        if batch.is_empty() {
            break;
        }
        left = left.saturating_sub(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        sent(redrive(letters, log, &batch).await?);
    }
    Ok(())
}
