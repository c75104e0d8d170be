//! Dead letters as text for a terminal. Pure.

use millrace_projector::dead_letter::{DeadLetter, LetterGroup};

pub(super) fn counted(letters: u64) -> String {
    match letters {
        1 => "1 letter".to_owned(),
        count => format!("{count} letters"),
    }
}

pub(super) fn line(letter: &DeadLetter) -> String {
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

pub(super) fn group_line(group: &LetterGroup) -> String {
    let LetterGroup { reason, event_type, count, oldest, newest, example } = group;
    let event_type = if event_type.is_empty() { "-" } else { event_type };
    visible(&format!("{count:>8}  {reason:<24} {event_type:<20} {oldest} to {newest}  such as {example}"))
}

/// Escapes control characters: the fields of a broken record are arbitrary text, and a terminal would execute them.
fn visible(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// The same JSON value with all control characters escaped. JSON allows some of them in a string.
pub(super) fn visible_json(json: &str) -> String {
    let escaped = |c: char| match c {
        // Between two fields; within a string it is escaped already.
        '\n' => c.to_string(),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    json.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn json_of_a_letter_has_no_control_characters() {
        let text = "\u{7f}\u{9b}2J\u{1b}\n é";
        let json = super::visible_json(&serde_json::to_string_pretty(&[text]).unwrap());
        assert!(!json.contains(['\u{7f}', '\u{9b}', '\u{1b}']), "{json:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [text], "the same JSON");
    }

    #[test]
    fn a_line_of_a_letter_has_no_control_characters() {
        assert_eq!(super::visible("\u{1b}[2J\u{9b}a\r\né"), "\\u{1b}[2J\\u{9b}a\\r\\né");
    }
}
