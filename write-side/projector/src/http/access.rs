//! Access to the admin port: a client that sends the token, or, while no token is set, a client on this machine.
//!
//! Letters hold other people's data, and replaying changes things. Without a token the port is bound to the loopback
//! interface, and three ways around that are closed: a proxy on this machine that forwards requests of others (its
//! headers show it), a browser that is led here under a foreign name (its `Host` shows it), and a page of another site
//! in a browser on this machine (its `Origin` shows it).

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use millrace_platform::http::{JSON, expect_content_type};
use millrace_platform::problem::Problem;
use millrace_platform::secret::Secret;
use subtle::ConstantTimeEq;

/// Headers that a proxy adds, beside all that begin with `x-forwarded-`.
const FORWARDING: [&str; 10] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-envoy-external-address",
    "cf-connecting-ip",
    "true-client-ip",
    "fastly-client-ip",
];

/// The layer of all routes that show or change something.
pub(super) async fn guard(
    State(token): State<Option<Secret>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    match &token {
        Some(token) if !has_token(request.headers(), token) => return Err(unauthorized()),
        None if !is_local(peer.ip(), request.headers()) => return Err(forbidden()),
        Some(_) | None => {}
    }
    if request.method() == Method::POST {
        // A page of another site can send a POST without asking first, but not with this content type.
        expect_content_type(request.headers(), &[JSON])?;
    }
    Ok(next.run(request).await)
}

fn unauthorized() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized")
        .detail("send the header authorization: Bearer with the token of ADMIN_TOKEN")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"millrace\""))
}

fn forbidden() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden")
        .detail("without ADMIN_TOKEN only direct requests from this machine are allowed")
}

/// Compared in a time that does not depend on how much of the token is right.
fn has_token(headers: &HeaderMap, token: &Secret) -> bool {
    let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let Some((scheme, credentials)) = given.split_at_checked(7) else { return false };
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer ");
    is_bearer && bool::from(credentials.trim_ascii().ct_eq(token.reveal().as_bytes()))
}

fn is_local(peer: IpAddr, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    peer.to_canonical().is_loopback()
        && host.is_none_or(is_local_name)
        && headers.get(header::ORIGIN).is_none_or(|origin| is_same_origin(origin, host))
        && !headers.keys().any(is_forwarding)
}

fn is_forwarding(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-forwarded-") || FORWARDING.contains(&name.as_str())
}

/// Whether `host:port` names this machine by `localhost` or by an address, which no foreign DNS answers.
fn is_local_name(host: &str) -> bool {
    // An IPv6 address is in brackets and has colons of its own.
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok()
}

/// Whether the page that sent a request came from this port.
fn is_same_origin(origin: &HeaderValue, host: Option<&str>) -> bool {
    let origin = origin.to_str().ok();
    let authority =
        origin.and_then(|origin| origin.strip_prefix("http://").or(origin.strip_prefix("https://")));
    authority.is_some() && authority == host
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn direct_requests_from_this_machine_are_local() {
        let (here, there): (IpAddr, IpAddr) = ("127.0.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        for host in ["localhost", "localhost:8090", "127.0.0.1:8090", "[::1]:8090", "[::1]", "127.0.0.1"] {
            assert!(is_local(here, &headers(&[("host", host)])), "{host}");
        }
        assert!(is_local("::1".parse().unwrap(), &headers(&[])));
        assert!(is_local("::ffff:127.0.0.1".parse().unwrap(), &headers(&[])));
        assert!(!is_local(there, &headers(&[("host", "localhost")])));
        assert!(
            !is_local(here, &headers(&[("host", "evil.example:8090")])),
            "a name that was made to point here"
        );
        assert!(!is_local(here, &headers(&[("x-forwarded-for", "192.0.2.1")])), "a proxy");
    }

    #[test]
    fn a_token_is_sent_as_a_bearer() {
        let token = Secret::new("s3cret");
        for (value, right) in [
            ("Bearer s3cret", true),
            ("bearer  s3cret", true),
            ("Bearer s3cre", false),
            ("Bearer s3cret2", false),
            ("Basic s3cret", false),
            ("s3cret", false),
            ("", false),
        ] {
            assert_eq!(has_token(&headers(&[("authorization", value)]), &token), right, "{value}");
        }
        assert!(!has_token(&headers(&[]), &token));
    }
}
