//! Limits the text of a document before it is parsed. Values nested some thousand levels deep (`{a:{a:{a:…`) would
//! exhaust the stack of the library's parser, which aborts the process.

use super::{BRACKETS_MAX, DocumentLimits, GuardError};

/// Counts tokens and the nesting of brackets, without those in strings and comments.
pub(in crate::graphql::execution) fn check_text(
    query: &str,
    limits: &DocumentLimits,
) -> Result<(), GuardError> {
    let mut rest = query.as_bytes();
    let mut open = 0_usize;
    let mut tokens = 0_usize;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        tokens += usize::from(!is_ignored(*byte));
        match byte {
            b'{' | b'[' | b'(' if open == BRACKETS_MAX => return Err(GuardError::TooManyBrackets),
            b'{' | b'[' | b'(' => open += 1,
            b'}' | b']' | b')' => open = open.saturating_sub(1),
            b'#' => rest = after_comment(after),
            b'"' => rest = after_string(after),
            b if is_word_byte(*b) => rest = after_word(after),
            _ => {}
        }
        if tokens > limits.tokens {
            return Err(GuardError::TooManyTokens(limits.tokens));
        }
    }
    Ok(())
}

fn is_ignored(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b',' | b'#')
}

/// Part of a name or a number.
fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn after_word(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !is_word_byte(*byte));
    &text[end.unwrap_or(text.len())..]
}

fn after_comment(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    &text[end.unwrap_or(text.len())..]
}

/// The rest after a string whose opening quote precedes `text`. As in the parser, a block string without an end is an
/// empty string, and a quote without a closing quote is not a string.
fn after_string(text: &[u8]) -> &[u8] {
    let block = text.strip_prefix(b"\"\"").and_then(after_block_string);
    block.or_else(|| after_line_string(text)).unwrap_or(text)
}

fn after_block_string(mut text: &[u8]) -> Option<&[u8]> {
    while !text.is_empty() {
        if let Some(after) = text.strip_prefix(b"\"\"\"") {
            return Some(after);
        }
        text = text.strip_prefix(b"\\\"\"\"").unwrap_or(&text[1..]);
    }
    None
}

fn after_line_string(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = match text {
            [b'"', after @ ..] => return Some(after),
            [b'\\', _, after @ ..] => after,
            [] | [b'\n' | b'\r', ..] => return None,
            [_, after @ ..] => after,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DocumentLimits = DocumentLimits {
        tokens: 20_000,
        selections: 5_000,
        aliases: 10,
        directives: 10,
        introspection: true,
    };

    fn brackets(query: &str) -> Result<(), GuardError> {
        check_text(query, &LIMITS)
    }

    #[test]
    fn counts_the_brackets_that_the_parser_sees() {
        let (open, close) = ("[".repeat(BRACKETS_MAX), "]".repeat(BRACKETS_MAX));
        for query in [
            format!("{open}{close}{open}"),
            format!("{open}#{open}\n{close}{open}"),
            format!(r#"{open}"{open}\"{open}"{close}{open}"#),
            format!(r#"{open}"\\"{close}""{open}"#),
            format!(r#"{open}"""{open}"\"""{open}"""{close}{open}"#),
        ] {
            assert_eq!(brackets(&query), Ok(()), "{query}");
        }
        for query in [
            format!("{open}["),
            format!("{open}#{close}\n["),
            format!("{open}#{close}\r["),
            format!(r#"{open}"{close}"["#),
            format!(r#"{open}"\\"["#),
            format!(r#"{open}"\"{close}"["#),
            format!(r#"{open}"""{close}"\"""{close}"""["#),
            format!(r#"{open}""["#),
            format!(r#"{open}"""x"["#), // not a block string, because it has no end
            format!("{open}\"\n[\""),
        ] {
            assert_eq!(brackets(&query), Err(GuardError::TooManyBrackets), "{query}");
        }
    }

    #[test]
    fn counts_tokens() {
        let limits = DocumentLimits { tokens: 8, ..LIMITS };
        for query in [
            "{ user ( id : 1 ) }",
            "{,,,user(id:1)}   # { { {",
            r#"{ a(b: "one word, whatever { is in it") }"#,
            r#"{ a(b: """one "word" """) }"#,
        ] {
            assert_eq!(check_text(query, &limits), Ok(()), "{query}");
        }
        for query in ["{ user ( id : 1 ) x }", "{ a b c d e f g h", "!!!!!!!!!", "äääää"] {
            assert_eq!(check_text(query, &limits), Err(GuardError::TooManyTokens(8)), "{query}");
        }
    }
}
