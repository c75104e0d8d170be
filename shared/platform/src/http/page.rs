//! HTML pages of our own: they run what they contain and ask this server, nothing else.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

/// What no page of ours may do: be framed, send forms elsewhere, change what its links are relative to.
const CLOSED: &str = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A page that contains all it needs: only the very scripts and styles that stand in it are run.
pub fn page(html: &'static str) -> Response {
    let policy = format!(
        "default-src 'none'; img-src data:; connect-src 'self'; script-src{}; style-src{}",
        hashes(html, "script"),
        hashes(html, "style"),
    );
    page_with_policy(html, &policy)
}

/// A page with a content security policy of its own.
pub fn page_with_policy(html: &'static str, policy: &str) -> Response {
    let policy = HeaderValue::try_from(format!("{policy}; {CLOSED}")).expect("policies and hashes are ASCII");
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, html).into_response()
}

/// `'sha256-…'` for each inline element of that name; `'none'` when there is none.
fn hashes(html: &str, element: &str) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let contents = html.split(&open).skip(1).filter_map(|rest| rest.split_once(&close));
    let hashes: String = contents
        .map(|(content, _)| format!(" 'sha256-{}'", STANDARD.encode(digest(&SHA256, content.as_bytes()))))
        .collect();
    if hashes.is_empty() { " 'none'".to_owned() } else { hashes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_run_what_stands_in_it_and_nothing_else() {
        let response = page("<style>b{}</style><p>x</p><script>alert('Hello, world.');</script>");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        // The example of the specification of content security policies.
        assert!(
            policy.contains("script-src 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"),
            "{policy}"
        );
        assert!(policy.contains("style-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let bare = page("<p>x</p>");
        let policy = bare.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("script-src 'none'"), "{policy}");
    }
}
