//! Settings of every HTTP address: time limits, limits of connections and requests, TLS, and origins for CORS.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderValue;
use clap::Args;

use crate::settings::{InvalidSetting, duration};

/// Settings of every HTTP address.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP")]
pub struct HttpConfig {
    /// Certificate chain (PEM); requires TLS_KEY
    ///
    /// With both, every address but METRICS_ADDR uses TLS only.
    #[arg(long, env = "TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate (PEM); requires TLS_CERT
    #[arg(long, env = "TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Origins allowed by CORS, separated by commas, or * [default: none]
    ///
    /// Web pages of these origins may send requests.
    #[arg(long, env = "CORS_ORIGINS", value_name = "LIST", default_value = "", hide_default_value = true)]
    pub cors_origins: CorsOrigins,

    /// Longest time to receive the head of a request
    #[arg(long, env = "HTTP_HEADER_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub http_header_timeout: Duration,

    /// Longest time to receive the body of a request
    #[arg(long, env = "HTTP_BODY_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub http_body_timeout: Duration,

    /// Longest time between two requests of a connection
    #[arg(long, env = "HTTP_IDLE_TIMEOUT", value_name = "TIME", default_value = "75s", value_parser = duration)]
    pub http_idle_timeout: Duration,

    /// Longest time for a client to receive the next 64 KiB of a response
    #[arg(long, env = "HTTP_WRITE_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub http_write_timeout: Duration,

    /// Longest time until a response begins
    #[arg(long, env = "HTTP_REQUEST_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub http_request_timeout: Duration,

    /// Most connections to one address at the same time; further ones receive 503
    #[arg(long, env = "HTTP_CONNECTIONS_MAX", value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub http_connections_max: u32,

    /// Most requests to one address at the same time; further ones receive 503
    #[arg(long, env = "HTTP_REQUESTS_MAX", value_name = "N", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub http_requests_max: u32,
}

/// The origins of other servers' pages that may send requests from a browser.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CorsOrigins {
    #[default]
    None,
    Any,
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

/// A browser sends scheme, host and port only; a longer text would never match.
fn parse_origin(origin: &str) -> Result<HeaderValue, InvalidSetting> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let plain = |host: &str| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
    };
    host.filter(|host| plain(host)).and_then(|_| HeaderValue::from_str(origin).ok()).ok_or_else(|| {
        InvalidSetting("expected origins such as https://shop.example,http://localhost:3000, or *".to_owned())
    })
}

/// The limits of [`HttpConfig`] in the form in which a server uses them.
#[derive(Debug, Clone)]
pub struct Limits {
    /// For the TLS handshake and for the head of a request.
    pub header: Duration,
    pub body: Duration,
    pub idle: Duration,
    /// For a client to receive the next 64 KiB of a response.
    pub write: Duration,
    /// Until a response begins.
    pub request: Duration,
    pub connections_max: u32,
    pub requests_max: u32,
}

impl HttpConfig {
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
    fn the_defaults_of_both_types_agree() {
        let arguments = <Arguments as clap::Parser>::parse_from(["test"]);
        assert_eq!(format!("{:?}", arguments.http.limits()), format!("{:?}", Limits::default()));
        assert_eq!(arguments.http.cors_origins, CorsOrigins::None);
    }

    #[test]
    fn origins_have_the_form_that_browsers_send() {
        assert_eq!("*".parse(), Ok(CorsOrigins::Any));
        let two = "https://shop.example, http://localhost:3000".parse().unwrap();
        let CorsOrigins::These(two) = two else { panic!("{two:?}") };
        assert_eq!(two, ["https://shop.example", "http://localhost:3000"]);
        for text in ["shop.example", "https://", "https://a/", "https://a/path", "https://u@a", ",", "null"] {
            assert!(text.parse::<CorsOrigins>().is_err(), "{text}");
        }
    }
}
