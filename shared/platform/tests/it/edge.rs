//! Tests of the middleware of every port: request ids, security headers, compression, CORS, problem documents.

use axum::Router;
use axum::routing::get;
use millrace_platform::http::config::CorsOrigins;
use millrace_platform::http::{HttpServer, with_common_routes};
use millrace_platform::metrics::{HttpMetrics, MetricsRegistry};

use crate::client::{Server, assert_problem, wide};

async fn broken() {
    panic!("a bug");
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
    let serving = HttpServer::with_limits(wide()).with_origins(origins);
    (Server::start(serving, with_common_routes(router, &registry, &http)).await, registry)
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn request_ids_are_created_or_echoed() {
    let (server, _) = server("").await;
    let [first, second] = [server.get("/", "").await, server.get("/", "").await];
    let created = header(&first, "x-request-id").unwrap();
    assert!(created.len() > 16);
    assert_ne!(Some(created), header(&second, "x-request-id"));
    assert_eq!(header(&first, "x-correlation-id"), None);
    let echoed = server.get("/", "X-Request-Id: r-1\r\nX-Correlation-ID: c-1\r\n").await;
    assert_eq!(header(&echoed, "x-request-id"), Some("r-1"));
    assert_eq!(header(&echoed, "x-correlation-id"), Some("c-1"));
    let long = format!("X-Request-Id: {}\r\n", "r".repeat(1_000));
    assert!(header(&server.get("/", &long).await, "x-request-id").unwrap().len() < 100);
}

#[tokio::test]
async fn every_response_has_security_headers() {
    let (server, _) = server("").await;
    for path in ["/", "/nothing", "/broken", "/health"] {
        let answer = server.get(path, "").await;
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"), "{path}");
        assert!(header(&answer, "content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    }
}

#[tokio::test]
async fn errors_are_problem_documents() {
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
async fn the_number_of_labels_is_limited() {
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
async fn options_lists_the_methods_of_a_route() {
    let (server, _) = server("").await;
    let answer = server.ask("OPTIONS /things/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    assert_eq!(header(&answer, "allow"), Some("GET,HEAD"));
    let head = server.ask("HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(header(&head, "content-length"), Some("8"));
}

#[tokio::test]
async fn responses_are_compressed_on_request() {
    let (server, _) = server("").await;
    for (accepted, encoding) in [("br", Some("br")), ("gzip, br;q=0.5", Some("gzip")), ("identity", None)] {
        let answer = server.get("/long", &format!("accept-encoding: {accepted}\r\n")).await;
        assert_eq!(header(&answer, "content-encoding"), encoding, "{accepted}");
        assert_eq!(answer.len() < 5_000, encoding.is_some(), "{accepted}: {}", answer.len());
    }
    let short = server.get("/", "accept-encoding: br\r\n").await;
    assert_eq!(header(&short, "content-encoding"), None);
}

/// Sends the preflight request of a browser.
async fn preflight(server: &Server, origin: &str) -> String {
    let head = format!(
        "OPTIONS /things/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: {origin}\r\naccess-control-request-method: GET\r\naccess-control-request-headers: consistency-token\r\n\r\n"
    );
    server.ask(&head).await
}

#[tokio::test]
async fn only_configured_origins_are_allowed() {
    let (closed, _) = server("").await;
    let allowed = "access-control-allow-origin";
    assert_eq!(header(&closed.get("/", "origin: https://a.example\r\n").await, allowed), None);
    assert_eq!(header(&preflight(&closed, "https://a.example").await, allowed), None);
    let (open, _) = server("https://a.example").await;
    let response = preflight(&open, "https://a.example").await;
    assert_eq!(header(&response, allowed), Some("https://a.example"), "{response}");
    assert!(header(&response, "access-control-allow-headers").unwrap().contains("consistency-token"));
    assert_eq!(
        header(&open.get("/", "origin: https://a.example\r\n").await, allowed),
        Some("https://a.example")
    );
    assert_eq!(header(&preflight(&open, "https://b.example").await, allowed), None);
}
