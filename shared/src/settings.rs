//! Settings that both roles read, parsed once at the edge.

use std::path::PathBuf;
use std::str::FromStr;

/// Where the read model is: `READ_MODEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadModelUrl {
    /// `sqlite:FILE`
    Sqlite(PathBuf),
}

/// A setting that names nothing we know. One line that says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSetting(pub String);

impl FromStr for ReadModelUrl {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            // Never echo the text: a connection string may hold a password.
            _ => Err(InvalidSetting("expected sqlite:FILE".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_schemes_and_keeps_secrets() {
        assert_eq!("sqlite:a/b.db".parse(), Ok(ReadModelUrl::Sqlite("a/b.db".into())));
        for text in ["", "sqlite:", "mysql://u:secret@h/d", "Server=h;Password=secret"] {
            let error = text.parse::<ReadModelUrl>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
