//! Settings of every HTTP port: how long a client may take, how many may come, who may ask from a browser.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderValue;
use clap::Args;

use crate::settings::{InvalidSetting, duration};

/// Settings of every HTTP port.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP")]
pub struct HttpConfig {
    /// How long the head of a request may take to arrive
    #[arg(long, env = "HTTP_HEADER_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = duration, global = true)]
    pub http_header_timeout: Duration,

    /// How long the body of a request may take to arrive
    #[arg(long, env = "HTTP_BODY_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = duration, global = true)]
    pub http_body_timeout: Duration,

    /// How long a connection may be silent between two requests
    #[arg(long, env = "HTTP_IDLE_TIMEOUT", value_name = "TIME", default_value = "75s", value_parser = duration, global = true)]
    pub http_idle_timeout: Duration,

    /// How long a client may leave an answer unread
    #[arg(long, env = "HTTP_WRITE_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = duration, global = true)]
    pub http_write_timeout: Duration,

    /// How long an answer may take to be made
    #[arg(long, env = "HTTP_REQUEST_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = duration, global = true)]
    pub http_request_timeout: Duration,

    /// Connections to one port at the same time; further ones are answered 503
    #[arg(long, env = "HTTP_CONNECTIONS_MAX", value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=1_000_000), global = true)]
    pub http_connections_max: u32,

    /// Requests to one port that are worked on at the same time; further ones are answered 503
    #[arg(long, env = "HTTP_REQUESTS_MAX", value_name = "N", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=1_000_000), global = true)]
    pub http_requests_max: u32,

    /// Origins whose pages may ask from a browser, separated by commas, or * for all [default: none]
    #[arg(
        long,
        env = "CORS_ORIGINS",
        value_name = "LIST",
        default_value = "",
        hide_default_value = true,
        global = true
    )]
    pub cors_origins: CorsOrigins,

    /// Certificate chain (PEM); with TLS_KEY, commands and queries are taken by TLS only
    #[arg(long, env = "TLS_CERT", value_name = "FILE", requires = "tls_key", global = true)]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate (PEM)
    #[arg(long, env = "TLS_KEY", value_name = "FILE", requires = "tls_cert", global = true)]
    pub tls_key: Option<PathBuf>,
}

/// Whose pages may ask.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CorsOrigins {
    /// Only pages from this server.
    #[default]
    None,
    /// Pages from anywhere.
    Any,
    /// Pages from these.
    These(Vec<HeaderValue>),
}

impl std::str::FromStr for CorsOrigins {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "" => Ok(Self::None),
            "*" => Ok(Self::Any),
            list => list
                .split(',')
                .map(|origin| parse_origin(origin.trim()))
                .collect::<Result<_, _>>()
                .map(Self::These),
        }
    }
}

/// A browser sends scheme, host and port and nothing behind them; anything else would never match.
fn parse_origin(origin: &str) -> Result<HeaderValue, InvalidSetting> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let plain = |host: &str| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
    };
    host.filter(|host| plain(host)).and_then(|_| HeaderValue::from_str(origin).ok()).ok_or_else(|| {
        InvalidSetting("expected origins such as https://shop.example,http://localhost:3000, or *".to_owned())
    })
}

/// The time-outs and limits of a port, in the form in which it uses them.
#[derive(Debug, Clone)]
pub struct Limits {
    /// For the head of a request, and for what comes before it (the TLS handshake).
    pub header: Duration,
    /// For the body of a request.
    pub body: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For the client to take the next 64 KiB of an answer.
    pub write: Duration,
    /// For an answer to begin.
    pub request: Duration,
    /// Connections at the same time.
    pub connections_max: u32,
    /// Requests worked on at the same time.
    pub requests_max: u32,
}

impl HttpConfig {
    /// As a server takes them.
    pub fn limits(&self) -> Limits {
        Limits {
            header: self.http_header_timeout,
            body: self.http_body_timeout,
            idle: self.http_idle_timeout,
            write: self.http_write_timeout,
            request: self.http_request_timeout,
            connections_max: self.http_connections_max,
            requests_max: self.http_requests_max,
        }
    }
}

impl Default for Limits {
    /// The defaults of [`HttpConfig`].
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            request: Duration::from_secs(60),
            connections_max: 4096,
            requests_max: 2048,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Arguments {
        #[command(flatten)]
        http: HttpConfig,
    }

    #[test]
    fn the_defaults_are_written_once_more_and_agree() {
        let arguments = <Arguments as clap::Parser>::parse_from(["test"]);
        assert_eq!(format!("{:?}", arguments.http.limits()), format!("{:?}", Limits::default()));
        assert_eq!(arguments.http.cors_origins, CorsOrigins::None);
    }

    #[test]
    fn origins_are_what_browsers_send() {
        assert_eq!("*".parse(), Ok(CorsOrigins::Any));
        let two = "https://shop.example, http://localhost:3000".parse().unwrap();
        let CorsOrigins::These(two) = two else { panic!("{two:?}") };
        assert_eq!(two, ["https://shop.example", "http://localhost:3000"]);
        for text in ["shop.example", "https://", "https://a/", "https://a/path", "https://u@a", ",", "null"] {
            assert!(text.parse::<CorsOrigins>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_needs_a_certificate() {
        assert!(<Arguments as clap::Parser>::try_parse_from(["test", "--tls-key", "k"]).is_err());
    }
}
