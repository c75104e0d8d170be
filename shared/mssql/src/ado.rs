//! Parses ADO.NET connection strings, by the grammar in Microsoft's documentation.
//!
//! The form is `keyword=value;keyword=value`. A value in single or double quotes ends at the same quote; a doubled
//! quote inside it is one quote. Braces work like quotes, as in ODBC. Other values end at the next semicolon and are
//! trimmed.
//!
//! tiberius has a parser too, but it keeps doubled quotes and refuses characters outside ASCII, and a password can
//! contain either.

/// Keywords in lower case with their values, in their order; `None` for a text of another form.
pub(super) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start_matches(is_separator);
    while !rest.is_empty() {
        let (keyword, after) = rest.split_once('=')?;
        let (value, after) = value(after.trim_start())?;
        pairs.push((keyword.trim().to_lowercase(), value));
        rest = after.trim_start_matches(is_separator);
    }
    Some(pairs)
}

fn is_separator(c: char) -> bool {
    c == ';' || c.is_whitespace()
}

/// A value, and the text after it.
fn value(text: &str) -> Option<(String, &str)> {
    let close = match text.chars().next() {
        Some(quote @ ('"' | '\'')) => quote,
        Some('{') => '}',
        _ => {
            let (value, rest) = text.split_once(';').unwrap_or((text, ""));
            return Some((value.trim().to_owned(), rest));
        }
    };
    let mut value = String::new();
    let mut rest = &text[1..];
    loop {
        let (part, after) = rest.split_once(close)?;
        value.push_str(part);
        match after.strip_prefix(close) {
            Some(after) => {
                value.push(close);
                rest = after;
            }
            None => {
                let after = after.trim_start();
                return (after.is_empty() || after.starts_with(';')).then_some((value, after));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(text: &str) -> Option<String> {
        pairs(text).map(|mut pairs| pairs.pop().unwrap().1)
    }

    #[test]
    fn values_are_plain_or_quoted() {
        let parsed = pairs(" Server = db,1433 ;;User Id=sa;").unwrap();
        let expected = [("server", "db,1433"), ("user id", "sa")];
        assert_eq!(parsed, expected.map(|(keyword, value)| (keyword.to_owned(), value.to_owned())));
        assert_eq!(value_of(r#"Password="a;b""c'd=""#).as_deref(), Some(r#"a;b"c'd="#));
        assert_eq!(value_of("Password='it''s'").as_deref(), Some("it's"));
        assert_eq!(value_of("Password={a}}b;c}").as_deref(), Some("a}b;c"));
        assert_eq!(value_of("Password=pä ss=1").as_deref(), Some("pä ss=1"));
        assert_eq!(value_of("Password=''").as_deref(), Some(""));
    }

    #[test]
    fn unclosed_values_are_refused() {
        for text in ["Server", "Password=\"a", "Password='a'b", "Password={a"] {
            assert_eq!(pairs(text), None, "{text}");
        }
    }
}
