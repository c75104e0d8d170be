//! The address of a SQL Server database, with login and options: `mssql://…` or an ADO.NET connection string.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tiberius::{AuthMethod, Config, EncryptionLevel};

use millrace_platform::secret::Secret;
use millrace_platform::settings::{InvalidSetting, duration};

use crate::ado;

const PORT: u16 = 1433;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
const TIMEOUT_MAX: Duration = Duration::from_secs(600);
const POOL_SIZE: u32 = 16;
const POOL_SIZE_MAX: u32 = 1_000;

/// What is encrypted with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Everything (the default).
    Required,
    /// The login only, if the server supports TLS: `encrypt=false`, as in ADO.NET.
    LoginOnly,
    /// Nothing: `encrypt=plaintext`.
    Plaintext,
}

/// The address of one database. `Debug` hides the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MssqlUrl {
    pub host: String,
    /// 1433 by default.
    pub port: u16,
    pub user: String,
    /// May be empty here and set by another setting.
    pub password: Secret,
    pub database: String,
    pub encryption: Encryption,
    /// Accept any certificate.
    pub trust_server_certificate: bool,
    /// A file (.pem, .crt or .der) with the authority that signed the server's certificate.
    pub ca: Option<PathBuf>,
    /// Includes the login.
    pub connect_timeout: Duration,
    pub command_timeout: Duration,
    /// Maximum number of connections of the read side.
    pub pool_size: u32,
}

/// The error for a text of another form. It never repeats the text, which may contain a password.
const EXPECTED: &str =
    "expected mssql://user:password@host:port/database, or Server=host,port;Database=…;User Id=…;Password=…";

impl MssqlUrl {
    /// Parses
    /// `mssql://user:password@host:port/database?encrypt=…&trust-server-certificate=…&ca=FILE&connect-timeout=10s&
    /// command-timeout=30s&max-pool-size=16`. User and password are percent-encoded.
    ///
    /// # Errors
    /// [`InvalidSetting`], without any part of the text.
    pub fn parse_url(text: &str) -> Result<Self, InvalidSetting> {
        let url = url::Url::parse(text).map_err(|_| invalid(EXPECTED))?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned);
        let decoded = |text: &str| decoded(text).map_err(|_| invalid(EXPECTED));
        let mut fields = Fields::default();
        for (name, value) in url.query_pairs() {
            fields.set(&name.to_ascii_lowercase().replace(['-', '_'], " "), value.into_owned())?;
        }
        fields.set("server", url.host_str().unwrap_or_default().to_owned())?;
        fields.port = url.port();
        fields.set("user id", decoded(url.username())?)?;
        fields.set("password", decoded(url.password().unwrap_or_default())?)?;
        fields.set("database", decoded(url.path().trim_start_matches('/'))?)?;
        fields.into_url()
    }

    /// Parses an ADO.NET connection string. An unknown keyword is an error.
    ///
    /// # Errors
    /// [`InvalidSetting`], without any part of the text.
    pub fn parse_ado(text: &str) -> Result<Self, InvalidSetting> {
        let mut fields = Fields::default();
        for (keyword, value) in ado::pairs(text).ok_or_else(|| invalid(EXPECTED))? {
            fields.set(&keyword, value)?;
        }
        fields.into_url()
    }

    /// The configuration for tiberius.
    pub(super) fn config(&self, level: EncryptionLevel) -> Config {
        let mut config = Config::new();
        config.host(&self.host);
        config.port(self.port);
        config.database(&self.database);
        config.application_name("millrace");
        config.authentication(AuthMethod::sql_server(&self.user, self.password.reveal()));
        config.encryption(level);
        if self.trust_server_certificate {
            config.trust_cert();
        } else if let Some(ca) = &self.ca {
            config.trust_cert_ca(ca.display());
        }
        config
    }

    /// The address without secrets: `host:port/database`.
    pub fn name(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }
}

fn invalid(message: impl Into<String>) -> InvalidSetting {
    InvalidSetting(message.into())
}

/// The values by ADO.NET keyword, in lower case.
#[derive(Default)]
struct Fields {
    values: HashMap<&'static str, String>,
    port: Option<u16>,
}

/// The keywords and their synonyms.
const KEYWORDS: &[(&str, &[&str])] = &[
    ("server", &["data source", "address", "addr", "network address"]),
    ("database", &["initial catalog"]),
    ("user id", &["uid", "user"]),
    ("password", &["pwd"]),
    ("encrypt", &[]),
    ("trust server certificate", &["trustservercertificate"]),
    ("ca", &["trustservercertificateca", "servercertificate", "server certificate"]),
    ("connect timeout", &["connection timeout", "timeout"]),
    ("command timeout", &["commandtimeout"]),
    ("max pool size", &["pool size", "max pool"]),
];

/// ADO.NET keywords that are accepted and ignored, because many connection strings contain them.
const IGNORED: &[&str] = &[
    "application name",
    "app",
    "multipleactiveresultsets",
    "multiple active result sets",
    "persist security info",
    "persistsecurityinfo",
    "pooling",
    "min pool size",
    "multisubnetfailover",
    "multi subnet failover",
];

impl Fields {
    fn set(&mut self, name: &str, value: String) -> Result<(), InvalidSetting> {
        let name = name.trim();
        let keyword =
            KEYWORDS.iter().find(|(keyword, synonyms)| *keyword == name || synonyms.contains(&name));
        match keyword {
            Some((keyword, _)) => {
                self.values.insert(keyword, value);
                Ok(())
            }
            None if IGNORED.contains(&name) => Ok(()),
            // The name is not in the error: with a missing quote it may be a part of the password.
            None => {
                let keywords = KEYWORDS.iter().map(|(keyword, _)| *keyword).collect::<Vec<_>>().join(", ");
                Err(invalid(format!("unknown keyword in the connection string; expected {keywords}")))
            }
        }
    }

    fn take(&mut self, keyword: &str) -> Option<String> {
        self.values.remove(keyword).filter(|value| !value.is_empty())
    }

    fn into_url(mut self) -> Result<MssqlUrl, InvalidSetting> {
        let server = self.take("server").ok_or_else(|| invalid(EXPECTED))?;
        let (host, port) = host_and_port(&server, self.port)?;
        let encryption = match self.take("encrypt").map(|word| word.to_ascii_lowercase()).as_deref() {
            None | Some("true" | "yes" | "mandatory" | "strict") => Encryption::Required,
            Some("false" | "no" | "optional") => Encryption::LoginOnly,
            Some("plaintext" | "disable" | "danger_plaintext") => Encryption::Plaintext,
            Some(_) => return Err(invalid("encrypt must be true, false or plaintext")),
        };
        let trust_server_certificate =
            match self.take("trust server certificate").map(|word| word.to_ascii_lowercase()).as_deref() {
                None | Some("false" | "no") => false,
                Some("true" | "yes") => true,
                Some(_) => return Err(invalid("trust-server-certificate must be true or false")),
            };
        let pool_size = match self.take("max pool size") {
            None => POOL_SIZE,
            Some(text) => text
                .parse()
                .ok()
                .filter(|size| (1..=POOL_SIZE_MAX).contains(size))
                .ok_or_else(|| invalid(format!("max-pool-size must be between 1 and {POOL_SIZE_MAX}")))?,
        };
        Ok(MssqlUrl {
            host,
            port,
            user: self.take("user id").ok_or_else(|| invalid("the connection string has no user"))?,
            password: Secret::new(self.take("password").unwrap_or_default()),
            database: self
                .take("database")
                .ok_or_else(|| invalid("the connection string has no database"))?,
            encryption,
            trust_server_certificate,
            ca: self.take("ca").map(PathBuf::from),
            connect_timeout: seconds(self.take("connect timeout"), CONNECT_TIMEOUT)?,
            command_timeout: seconds(self.take("command timeout"), COMMAND_TIMEOUT)?,
            pool_size,
        })
    }
}

/// Parses the server of an ADO.NET connection string: `tcp:host,port` or `host`. `port` is that of a URL.
fn host_and_port(server: &str, port: Option<u16>) -> Result<(String, u16), InvalidSetting> {
    let server = server.strip_prefix("tcp:").unwrap_or(server).trim();
    if server.contains('\\') {
        return Err(invalid("named instances are not supported; set the port: Server=host,port"));
    }
    let (host, port) = match server.split_once(',') {
        Some((host, text)) => (host, text.trim().parse().ok()),
        None => (server, Some(port.unwrap_or(PORT))),
    };
    let host = match host.trim() {
        "." | "(local)" => "localhost",
        host => host.trim_start_matches('[').trim_end_matches(']'),
    };
    match port {
        Some(port) if !host.is_empty() => Ok((host.to_owned(), port)),
        _ => Err(invalid(EXPECTED)),
    }
}

/// Seconds, as in ADO.NET, or a duration such as `500ms`.
fn seconds(text: Option<String>, default: Duration) -> Result<Duration, InvalidSetting> {
    let Some(text) = text else { return Ok(default) };
    let time = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => duration(&text)?,
    };
    if time.is_zero() || time > TIMEOUT_MAX {
        return Err(invalid(format!("a time-out must be between 1ms and {TIMEOUT_MAX:?}")));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_have_the_same_meaning() {
        let url = MssqlUrl::parse_url(
            "mssql://sa:p%40ss%2Fw%3Brd@db.example.com:1444/shop?encrypt=true&trust-server-certificate=true&connect-timeout=5s",
        );
        let ado = MssqlUrl::parse_ado(
            "Server=tcp:db.example.com,1444;Initial Catalog=shop;User Id=sa;Password={p@ss/w;rd};Encrypt=True;TrustServerCertificate=True;Connect Timeout=5",
        );
        assert_eq!(url, ado);
        let url = url.unwrap();
        assert_eq!((url.password.reveal(), url.port), ("p@ss/w;rd", 1444));
        assert_eq!(url.name(), "db.example.com:1444/shop");
    }

    #[test]
    fn tls_is_on_by_default() {
        let encryption = |query: &str| {
            MssqlUrl::parse_url(&format!("mssql://sa:x@h/d{query}"))
                .map(|url| url.encryption)
                .map_err(|e| e.0)
        };
        assert_eq!(encryption(""), Ok(Encryption::Required));
        assert_eq!(encryption("?encrypt=yes"), Ok(Encryption::Required));
        assert_eq!(encryption("?encrypt=false"), Ok(Encryption::LoginOnly));
        assert_eq!(encryption("?encrypt=plaintext"), Ok(Encryption::Plaintext));
        assert!(encryption("?encrypt=maybe").is_err());
    }

    #[test]
    fn errors_repeat_no_secret() {
        for text in [
            "mssql://sa:hunter2@",
            "mssql://sa:hunter2@h",
            "mssql://sa:hunter2@h/d?encrypt=hunter2",
            "mssql://sa:hunter2@h/d?hunter2=1",
            "mssql://sa:hunter2@h:port/d",
            "mssql://sa:hunter2@h/d?max-pool-size=hunter2",
            "mssql://sa:hunter2@h/d?connect-timeout=hunter2",
        ] {
            let error = MssqlUrl::parse_url(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let error = MssqlUrl::parse_ado("Server=h;Database=d;Password=a;hunter2=b").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        let url = MssqlUrl::parse_url("mssql://sa:hunter2@h/d").unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
    }

    #[test]
    fn parses_the_forms_of_a_server() {
        let server = |text: &str| host_and_port(text, None).ok();
        assert_eq!(server("tcp:db,1500"), Some(("db".to_owned(), 1500)));
        assert_eq!(server("(local)"), Some(("localhost".to_owned(), 1433)));
        assert_eq!(server("[::1],1433"), Some(("::1".to_owned(), 1433)));
        assert_eq!(server(r"db\SQLEXPRESS"), None);
        assert_eq!(server("db,port"), None);
    }
}
