//! What every answer has: an id, careful headers, a compressed body for who wants one, a problem instead of a panic.

use axum::Router;
use axum::routing::get;
use millrace_platform::http::config::CorsOrigins;
use millrace_platform::http::{Serving, finish};
use millrace_platform::metrics::{HttpMetrics, MetricsRegistry};

use crate::client::{Server, assert_problem, wide};

async fn broken() {
    panic!("as a bug would");
}

async fn server(origins: &str) -> (Server, MetricsRegistry) {
    let registry = MetricsRegistry::new();
    let http = HttpMetrics::register(&registry);
    let router = Router::new()
        .route("/", get(async || "answered"))
        .route("/long", get(async || "abc".repeat(10_000)))
        .route("/broken", get(broken))
        .route("/things/{id}", get(async || "a thing"));
    let origins: CorsOrigins = origins.parse().unwrap();
    let serving = Serving::limited(wide()).for_origins(origins);
    (Server::start(serving, finish(router, &registry, &http)).await, registry)
}

/// The value of a header.
fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn ids_are_made_or_taken_over() {
    let (server, _) = server("").await;
    let [first, second] = [server.get("/", "").await, server.get("/", "").await];
    let made = header(&first, "x-request-id").unwrap();
    assert!(made.len() > 16);
    assert_ne!(Some(made), header(&second, "x-request-id"));
    assert_eq!(header(&first, "x-correlation-id"), None);
    let given = server.get("/", "X-Request-Id: r-1\r\nX-Correlation-ID: c-1\r\n").await;
    assert_eq!(header(&given, "x-request-id"), Some("r-1"));
    assert_eq!(header(&given, "x-correlation-id"), Some("c-1"));
    let long = format!("X-Request-Id: {}\r\n", "r".repeat(1_000));
    assert!(header(&server.get("/", &long).await, "x-request-id").unwrap().len() < 100);
}

#[tokio::test]
async fn browsers_are_told_to_be_careful() {
    let (server, _) = server("").await;
    for path in ["/", "/nothing", "/broken", "/health"] {
        let answer = server.get(path, "").await;
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"), "{path}");
        assert!(header(&answer, "content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    }
}

#[tokio::test]
async fn what_goes_wrong_is_a_problem() {
    let (server, registry) = server("").await;
    assert_problem(&server.get("/broken", "").await, 500, "internal");
    assert_problem(&server.get("/nothing", "").await, 404, "not-found");
    let refused = server.ask("DELETE /things/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_problem(&refused, 405, "method-not-allowed");
    assert_eq!(header(&refused, "allow"), Some("GET,HEAD"));
    let text = registry.render();
    for labels in [
        r#"method="GET",route="/broken",status="500""#,
        r#"method="GET",route="unknown",status="404""#,
        r#"method="DELETE",route="/things/{id}",status="405""#,
    ] {
        assert!(text.contains(labels), "{labels} not in {text}");
    }
}

#[tokio::test]
async fn labels_do_not_grow_with_what_is_asked_for() {
    let (server, registry) = server("").await;
    for number in 0..50 {
        server.get(&format!("/nothing/{number}"), "").await;
        server.get(&format!("/things/{number}"), "").await;
        server.ask(&format!("VERB{number} / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
    }
    let text = registry.render();
    let lines = text.lines().filter(|line| line.starts_with("http_requests_total{"));
    assert_eq!(lines.count(), 3, "{text}");
}

#[tokio::test]
async fn a_route_tells_its_methods() {
    let (server, _) = server("").await;
    let answer = server.ask("OPTIONS /things/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    assert_eq!(header(&answer, "allow"), Some("GET,HEAD"));
    let head = server.ask("HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(header(&head, "content-length"), Some("8"));
}

#[tokio::test]
async fn who_wants_it_gets_it_compressed() {
    let (server, _) = server("").await;
    for (accepted, encoding) in [("br", Some("br")), ("gzip, br;q=0.5", Some("gzip")), ("identity", None)] {
        let answer = server.get("/long", &format!("accept-encoding: {accepted}\r\n")).await;
        assert_eq!(header(&answer, "content-encoding"), encoding, "{accepted}");
        assert_eq!(answer.len() < 5_000, encoding.is_some(), "{accepted}: {}", answer.len());
    }
    let short = server.get("/", "accept-encoding: br\r\n").await;
    assert_eq!(header(&short, "content-encoding"), None);
}

/// What a browser asks before it sends JSON to another origin.
async fn preflight(server: &Server, origin: &str) -> String {
    let head = format!(
        "OPTIONS /things/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: {origin}\r\naccess-control-request-method: GET\r\naccess-control-request-headers: consistency-token\r\n\r\n"
    );
    server.ask(&head).await
}

#[tokio::test]
async fn foreign_pages_may_ask_only_when_they_are_allowed() {
    let (closed, _) = server("").await;
    let allowed = "access-control-allow-origin";
    assert_eq!(header(&closed.get("/", "origin: https://a.example\r\n").await, allowed), None);
    assert_eq!(header(&preflight(&closed, "https://a.example").await, allowed), None);
    let (open, _) = server("https://a.example").await;
    let granted = preflight(&open, "https://a.example").await;
    assert_eq!(header(&granted, allowed), Some("https://a.example"), "{granted}");
    assert!(header(&granted, "access-control-allow-headers").unwrap().contains("consistency-token"));
    assert_eq!(
        header(&open.get("/", "origin: https://a.example\r\n").await, allowed),
        Some("https://a.example")
    );
    assert_eq!(header(&preflight(&open, "https://b.example").await, allowed), None);
}
