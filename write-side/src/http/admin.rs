//! Who may review letters and turn switches: whoever shows the token, or, while none is set, callers on this machine.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use shared::problem::Problem;
use shared::secret::Secret;
use subtle::ConstantTimeEq;

/// Letters hold other people's data, and replaying changes things.
pub(super) async fn guard(
    State(token): State<Option<Secret>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let allowed = match &token {
        Some(token) => shows(request.headers(), token),
        None => is_local(peer.ip(), request.headers()),
    };
    if allowed {
        return Ok(next.run(request).await);
    }
    if token.is_none() {
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "Not from there")
            .detail("only callers on the same machine may ask this; set ADMIN_TOKEN to let others in"));
    }
    Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Who are you?")
        .detail("send the header authorization: Bearer with the token of ADMIN_TOKEN")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"millrace\"")))
}

/// Compared in a time that does not tell how much of it is right.
fn shows(headers: &HeaderMap, token: &Secret) -> bool {
    let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let Some((scheme, credentials)) = given.split_at_checked(7) else { return false };
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer ");
    is_bearer && bool::from(credentials.trim_ascii().ct_eq(token.reveal().as_bytes()))
}

/// A proxy on this machine passes on what came from elsewhere, and a browser what a page of elsewhere asks for under a
/// name that was made to point here.
fn is_local(peer: IpAddr, headers: &HeaderMap) -> bool {
    let passed_on = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    // An IPv6 address stands in brackets and has colons of its own.
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let named_for_here = name.eq_ignore_ascii_case("localhost") || is_address;
    peer.to_canonical().is_loopback()
        && named_for_here
        && !passed_on.iter().any(|name| headers.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn this_machine_is_this_machine() {
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
    fn a_token_is_shown_as_a_bearer_shows_it() {
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
            assert_eq!(shows(&headers(&[("authorization", value)]), &token), right, "{value}");
        }
        assert!(!shows(&headers(&[]), &token));
    }
}
