//! A Rust source as words and punctuation: enough to find paths in it. Comments are left out, and of literals only their
//! place is kept.

/// A word, `::`, or one character of punctuation.
pub(super) struct Token {
    pub(super) text: String,
    /// From 1.
    pub(super) line: usize,
}

pub(super) fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (length, is_token) = next(rest, first);
        let (text, after) = rest.split_at(length);
        if is_token {
            let text = if text.contains('"') || text.starts_with('\'') { "\"" } else { text };
            tokens.push(Token { text: text.to_owned(), line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    tokens
}

/// How many bytes the next token, comment or white space takes, and whether it is a token.
fn next(rest: &str, first: char) -> (usize, bool) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), false);
    }
    if let Some(length) = string(rest) {
        return (length, true);
    }
    match first {
        '\'' => (character_or_lifetime(rest), true),
        _ if first.is_alphanumeric() || first == '_' => (word(rest), true),
        _ if rest.starts_with("::") => (2, true),
        _ => (first.len_utf8(), !first.is_whitespace()),
    }
}

fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of a string literal of any kind, if the text begins with one.
fn string(text: &str) -> Option<usize> {
    let prefix = ["", "b", "c", "r", "br", "cr"].into_iter().find(|prefix| {
        let rest = text.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
    })?;
    let rest = &text[prefix.len()..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let start = prefix.len() + hashes + 1;
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(text[start..].find(&end).map_or(text.len(), |at| start + at + end.len()));
    }
    if hashes > 0 {
        return None;
    }
    Some(start + quoted(&text[start..], '"'))
}

/// The length up to and including the closing quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        if character == quote && !is_escaped {
            return at + 1;
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    text.len()
}

fn character_or_lifetime(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    let (first, second) = (characters.next(), characters.next());
    let is_character =
        first.is_some_and(|(_, first)| first == '\\') || second.is_some_and(|(_, second)| second == '\'');
    if is_character { 1 + quoted(&text[1..], '\'') } else { 1 + word(&text[1..]) }
}

/// A source without its tests.
pub(super) struct Code {
    pub(super) tokens: Vec<Token>,
    /// Names of the modules that are only compiled for tests and have a file of their own.
    pub(super) test_modules: Vec<String>,
}

const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

/// Leaves out each item behind `#[cfg(test)]`.
pub(super) fn without_tests(tokens: Vec<Token>) -> Code {
    let mut code = Code { tokens: Vec::new(), test_modules: Vec::new() };
    let mut skip = 0;
    let mut ends = Vec::new();
    for at in 0..tokens.len() {
        if at >= skip && starts_with(&tokens[at..], &CFG_TEST) {
            let start = at + CFG_TEST.len();
            skip = start + item(&tokens[start..]);
            let texts: Vec<_> = tokens[start..skip].iter().map(|token| token.text.as_str()).collect();
            if let [.., "mod", name, ";"] = texts[..] {
                code.test_modules.push(name.to_owned());
            }
        }
        ends.push(skip);
    }
    let kept = tokens.into_iter().zip(ends).enumerate();
    code.tokens = kept.filter_map(|(at, (token, skip))| (at >= skip).then_some(token)).collect();
    code
}

fn starts_with(tokens: &[Token], texts: &[&str]) -> bool {
    tokens.len() >= texts.len() && tokens.iter().zip(texts).all(|(token, text)| token.text == *text)
}

const ITEMS: [&str; 14] = [
    "async",
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "macro_rules",
    "mod",
    "pub",
    "static",
    "struct",
    "trait",
    "type",
    "unsafe",
];

/// How many tokens an item takes. What is no item (a field, a variant, an arm) ends with its comma as well.
fn item(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    let mut first = None;
    for (at, token) in tokens.iter().enumerate() {
        let text = token.text.as_str();
        if depth == 0 && first.is_none() && text != "#" && text != "[" {
            first = Some(text);
        }
        let is_use = first == Some("use");
        let is_item = is_use || first.is_some_and(|first| ITEMS.contains(&first));
        match text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return at,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 && !is_use {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            "," if depth == 0 && !is_item => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}
