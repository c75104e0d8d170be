//! Who may use the admin port: a client with the token, or a client on this machine.

use reqwest::Method;

use super::Api;

const ROUTES: [(&str, &str); 9] = [
    ("GET", "/api/v1/dlq/messages"),
    ("GET", "/api/v1/dlq/messages/0:0"),
    ("DELETE", "/api/v1/dlq/messages/0:0"),
    ("GET", "/api/v1/dlq/stats"),
    ("POST", "/api/v1/replay"),
    ("POST", "/api/v1/replay/batch"),
    ("DELETE", "/api/v1/dlq/clear?confirm=true"),
    ("GET", "/api/v1/circuit-breaker/status"),
    ("POST", "/api/v1/circuit-breaker/reset"),
];

#[test]
fn a_token_is_required_where_one_is_set() {
    let api = Api::guarded_by("a-token-of-some-length");
    for (method, path) in ROUTES {
        let method: Method = method.parse().unwrap();
        for headers in [&[][..], &[("authorization", &b"Bearer a-token-of-some-lengtH"[..])]] {
            let answer = api.send(method.clone(), path, headers, "");
            answer.problem(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"millrace\"");
        }
    }
    let right = [("authorization", &b"Bearer a-token-of-some-length"[..])];
    assert_eq!(api.send(Method::GET, "/api/v1/dlq/stats", &right, "").json()["total"], 0);
    for open in ["/", "/health", "/ready", "/metrics", "/docs", "/openapi.json"] {
        assert_ne!(api.get(open).status, 401, "{open} shows nothing that is guarded");
    }
}

#[test]
fn without_a_token_only_direct_requests_from_this_machine_pass() {
    let api = Api::new();
    let own_origin = format!("http://{}", api.address);
    for (method, path) in ROUTES {
        let method: Method = method.parse().unwrap();
        for header in [
            ("host", &b"evil.example"[..]),
            ("origin", b"https://evil.example"),
            ("origin", b"null"),
            ("origin", b"http://localhost:1"),
            ("forwarded", b"for=192.0.2.1"),
            ("x-forwarded-for", b"192.0.2.1"),
            ("x-forwarded-host", b"shop.example"),
            ("x-forwarded-proto", b"https"),
            ("x-real-ip", b"192.0.2.1"),
            ("via", b"1.1 proxy"),
        ] {
            let answer =
                api.send(method.clone(), path, &[header, ("content-type", b"application/json")], "{}");
            assert_eq!(answer.status, 403, "{method} {path} {header:?}: {}", answer.text());
        }
    }
    let origin = [("origin", own_origin.as_bytes())];
    assert_eq!(api.send(Method::GET, "/api/v1/dlq/stats", &origin, "").status, 200, "its own page");
}

#[test]
fn a_post_of_a_web_page_is_refused() {
    let api = Api::new();
    for path in ["/api/v1/replay", "/api/v1/replay/batch", "/api/v1/circuit-breaker/reset"] {
        for content_type in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
        {
            api.post_as(content_type, path, "{}").problem(415, "unsupported-media-type");
        }
    }
    assert_eq!(api.post("/api/v1/circuit-breaker/reset", "{}").status, 200);
}
