//! Where SQL Server is and who we are there: `mssql://…` or an ADO.NET connection string.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tiberius::{AuthMethod, Config, EncryptionLevel};

use super::ado;
use millrace_platform::secret::Secret;
use millrace_platform::settings::{InvalidSetting, duration};

const PORT: u16 = 1433;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
const TIMEOUT_MAX: Duration = Duration::from_secs(600);
const POOL_SIZE: u32 = 16;
const POOL_SIZE_MAX: u32 = 1_000;

/// How much goes through TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Everything. The default.
    Required,
    /// The login when the server can, the rest not: `encrypt=false`, as ADO.NET understands it.
    LoginOnly,
    /// Nothing, not even the password: `encrypt=plaintext`.
    Plaintext,
}

/// One database. `Debug` does not show the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MssqlUrl {
    /// Name or address.
    pub host: String,
    /// 1433 unless said otherwise.
    pub port: u16,
    /// The login.
    pub user: String,
    /// Its password; empty when it is given elsewhere.
    pub password: Secret,
    /// The database.
    pub database: String,
    /// How much goes through TLS.
    pub encryption: Encryption,
    /// Whether any certificate will do.
    pub trust_server_certificate: bool,
    /// A file (.pem, .crt or .der) with the authority that signed the server's certificate.
    pub ca: Option<PathBuf>,
    /// For connecting and logging in.
    pub connect_timeout: Duration,
    /// For one call.
    pub command_timeout: Duration,
    /// Connections that the read side holds, at most.
    pub pool_size: u32,
}

/// What is said when a text is neither form. The text itself may hold a password and is never repeated.
const EXPECTED: &str =
    "expected mssql://user:password@host:port/database, or Server=host,port;Database=…;User Id=…;Password=…";

impl MssqlUrl {
    /// Reads `mssql://user:password@host:port/database?encrypt=…&trust-server-certificate=…&ca=FILE&connect-timeout=10s&
    /// command-timeout=30s&max-pool-size=16`. What is not a letter or digit in user and password is percent-encoded.
    ///
    /// # Errors
    /// [`InvalidSetting`], which repeats nothing that may be secret.
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

    /// Reads an ADO.NET connection string. Keywords that have no meaning here are an error, not ignored.
    ///
    /// # Errors
    /// [`InvalidSetting`], which repeats nothing that may be secret.
    pub fn parse_ado(text: &str) -> Result<Self, InvalidSetting> {
        let mut fields = Fields::default();
        for (keyword, value) in ado::pairs(text).ok_or_else(|| invalid(EXPECTED))? {
            fields.set(&keyword, value)?;
        }
        fields.into_url()
    }

    /// As tiberius takes it.
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

    /// What may be shown of it: `host:port/database`.
    pub fn name(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }
}

fn invalid(message: impl Into<String>) -> InvalidSetting {
    InvalidSetting(message.into())
}

/// What was said, by the keywords of ADO.NET in lower case.
#[derive(Default)]
struct Fields {
    said: HashMap<&'static str, String>,
    port: Option<u16>,
}

/// A keyword and its other spellings.
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

/// Keywords of ADO.NET that change nothing here, which connection strings in the wild carry all the same.
const WITHOUT_MEANING: &[&str] = &[
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
        let known = KEYWORDS.iter().find(|(keyword, others)| *keyword == name || others.contains(&name));
        match known {
            Some((keyword, _)) => {
                self.said.insert(keyword, value);
                Ok(())
            }
            None if WITHOUT_MEANING.contains(&name) => Ok(()),
            // A name is no secret, unless the text was cut in the wrong place.
            None => {
                let known = KEYWORDS.iter().map(|(keyword, _)| *keyword).collect::<Vec<_>>().join(", ");
                Err(invalid(format!("a keyword of the connection string is not known; known are {known}")))
            }
        }
    }

    fn take(&mut self, keyword: &str) -> Option<String> {
        self.said.remove(keyword).filter(|value| !value.is_empty())
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
                .ok_or_else(|| invalid(format!("max-pool-size must lie between 1 and {POOL_SIZE_MAX}")))?,
        };
        Ok(MssqlUrl {
            host,
            port,
            user: self.take("user id").ok_or_else(|| invalid("the connection string names no user"))?,
            password: Secret::new(self.take("password").unwrap_or_default()),
            database: self
                .take("database")
                .ok_or_else(|| invalid("the connection string names no database"))?,
            encryption,
            trust_server_certificate,
            ca: self.take("ca").map(PathBuf::from),
            connect_timeout: seconds(self.take("connect timeout"), CONNECT_TIMEOUT)?,
            command_timeout: seconds(self.take("command timeout"), COMMAND_TIMEOUT)?,
            pool_size,
        })
    }
}

/// `tcp:host,port`, `host:port` or `host`, as a server is named in ADO.NET.
fn host_and_port(server: &str, port: Option<u16>) -> Result<(String, u16), InvalidSetting> {
    let server = server.strip_prefix("tcp:").unwrap_or(server).trim();
    if server.contains('\\') {
        return Err(invalid("named instances are not looked up; give the port: Server=host,port"));
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

/// Seconds as in ADO.NET, or a duration as everywhere else here.
fn seconds(text: Option<String>, default: Duration) -> Result<Duration, InvalidSetting> {
    let Some(text) = text else { return Ok(default) };
    let time = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => duration(&text)?,
    };
    if time.is_zero() || time > TIMEOUT_MAX {
        return Err(invalid(format!("a time-out must lie between 1ms and {TIMEOUT_MAX:?}")));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
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
    fn tls_is_on_unless_words_say_otherwise() {
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
    fn nothing_secret_is_repeated() {
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
    fn servers_are_named_in_many_ways() {
        let server = |text: &str| host_and_port(text, None).ok();
        assert_eq!(server("tcp:db,1500"), Some(("db".to_owned(), 1500)));
        assert_eq!(server("(local)"), Some(("localhost".to_owned(), 1433)));
        assert_eq!(server("[::1],1433"), Some(("::1".to_owned(), 1433)));
        assert_eq!(server(r"db\SQLEXPRESS"), None);
        assert_eq!(server("db,port"), None);
    }
}
