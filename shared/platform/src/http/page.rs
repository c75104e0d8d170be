//! HTML pages with a content security policy: a page runs its own scripts only and sends requests to this server only.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

/// Directives of every page: no framing, no forms, no `<base>`.
const COMMON_POLICY: &str = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A self-contained page: its policy has the hashes of the inline scripts and styles, and allows no others.
pub fn page(html: &'static str) -> Response {
    let policy = format!(
        "default-src 'none'; img-src data:; connect-src 'self'; script-src{}; style-src{}",
        hashes(html, "script"),
        hashes(html, "style"),
    );
    page_with_policy(html, &policy)
}

/// A page with the given content security policy and the common directives.
pub fn page_with_policy(html: &'static str, policy: &str) -> Response {
    let policy =
        HeaderValue::try_from(format!("{policy}; {COMMON_POLICY}")).expect("policies and hashes are ASCII");
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, html).into_response()
}

/// `'sha256-…'` for each inline element with that name; `'none'` if there is none.
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
    fn a_page_can_run_its_inline_scripts_only() {
        let response = page("<style>b{}</style><p>x</p><script>alert('Hello, world.');</script>");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        // The hash is from the example in the specification of content security policies.
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
