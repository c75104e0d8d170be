//! The setting `READ_MODEL`: the address of the store that holds the read model.

use std::path::PathBuf;
use std::str::FromStr;

use millrace_platform::settings::InvalidSetting;

use crate::url::MssqlUrl;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadModelUrl {
    /// `sqlite:FILE`.
    Sqlite(PathBuf),
    /// `mssql://user:password@host:port/database?…`, or an ADO.NET connection string.
    Mssql(Box<MssqlUrl>),
}

impl ReadModelUrl {
    /// The address without secrets: a file, or `host:port/database`.
    pub fn name(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Mssql(url) => url.name(),
        }
    }
}

impl FromStr for ReadModelUrl {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("mssql" | "sqlserver", _)) => MssqlUrl::parse_url(text).map(|url| Self::Mssql(Box::new(url))),
            _ if text.contains('=') => MssqlUrl::parse_ado(text).map(|url| Self::Mssql(Box::new(url))),
            // The error never repeats the text, which may contain a password.
            _ => Err(InvalidSetting(
                "expected sqlite:FILE, mssql://user:password@host:port/database, or an ADO.NET connection string".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_schemes_and_hides_secrets() {
        assert_eq!("sqlite:a/b.db".parse(), Ok(ReadModelUrl::Sqlite("a/b.db".into())));
        for text in ["", "sqlite:", "mysql://u:secret@h/d", "Server=h;Password=secret"] {
            let error = text.parse::<ReadModelUrl>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
