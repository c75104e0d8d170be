//! Sending letters through the log again.
//!
//! The record is appended first and the letter closed afterwards. When the process dies between the two, the letter
//! stays open and may be sent once more, which changes nothing (promise 2).

use millrace_domain::{Position, Timestamp};
use millrace_event_log::EventLog;

use super::{DeadLetter, DeadLetters, LetterError, LetterFilter, LetterId, Resolution};

/// Letters that share an append and a transaction.
const BATCH: u32 = 100;

/// A letter that stands in the log again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redriven {
    /// Its id.
    pub id: LetterId,
    /// The id of its event, as far as it can be told.
    pub event_id: Option<String>,
    /// Where it is now.
    pub position: Position,
}

/// Sends letters through the log again and closes them.
///
/// # Errors
/// [`LetterError`]; the letters are open still.
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

/// Sends the letters that match and are dead by now through the log again, the newest first, at most `max` of them;
/// tells `sent` after each batch. Those that come back meanwhile are left alone.
///
/// # Errors
/// [`LetterError`]; what `sent` was not told of is open still.
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
        // What was sent is closed, so the next ones stand at the beginning.
        let batch = letters.page(&filter, left.min(BATCH), 0).await?;
        if batch.is_empty() {
            break;
        }
        left = left.saturating_sub(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        sent(redrive(letters, log, &batch).await?);
    }
    Ok(())
}
