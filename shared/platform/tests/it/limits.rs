//! Requests beyond the limits of a port are refused with a problem document; disconnected clients release their places.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::{get, post};
use millrace_platform::http::config::Limits;
use millrace_platform::http::{HttpServer, read_body, with_common_routes};
use millrace_platform::metrics::{HttpMetrics, MetricsRegistry};
use tokio::io::AsyncWriteExt;

use crate::client::{Server, answer, assert_problem, rest, until, wide};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const STUCK: &[u8] = b"GET /stuck HTTP/1.1\r\nhost: x\r\n\r\n";
/// Clients that disconnect, and how many of them at the same time.
const CLIENTS: usize = 1_000;
const AT_ONCE: usize = 100;

/// Requests that are inside a handler.
#[derive(Clone, Default)]
struct Inside(Arc<AtomicUsize>);

impl Inside {
    fn enter(&self) -> Self {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.clone()
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

struct Visit(Inside);

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn server(limits: Limits) -> (Server, Inside, MetricsRegistry) {
    let inside = Inside::default();
    let (stuck, body) = (inside.clone(), inside.clone());
    let router = Router::new()
        .route("/", get(async || "answered"))
        .route(
            "/stuck",
            get(async move || {
                let _visit = Visit(stuck.enter());
                std::future::pending::<()>().await;
            }),
        )
        .route(
            "/body",
            post(async move |request: Request| {
                let _visit = Visit(body.enter());
                read_body(request, 1 << 20).await.map(drop)
            }),
        );
    let registry = MetricsRegistry::new();
    let http = HttpMetrics::register(&registry);
    (
        Server::start(HttpServer::with_limits(limits), with_common_routes(router, &registry, &http)).await,
        inside,
        registry,
    )
}

#[tokio::test]
async fn one_connection_too_many() {
    let (server, _, _) = server(Limits { connections_max: 2, ..wide() }).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    for open in [&mut first, &mut second] {
        open.write_all(GET).await.unwrap();
        assert!(answer(open).await.ends_with("answered"));
    }
    let refused = server.get("/", "").await;
    assert_problem(&refused, 503, "overloaded");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    first.write_all(GET).await.unwrap();
    assert!(answer(&mut first).await.ends_with("answered"), "open connections are served");
    drop(second);
    // The server notices the disconnect at some later time.
    loop {
        if server.get("/", "").await.ends_with("answered") {
            break;
        }
    }
}

#[tokio::test]
async fn one_request_too_many() {
    let (server, inside, _) = server(Limits { requests_max: 1, ..wide() }).await;
    let mut stuck = server.connect().await;
    stuck.write_all(STUCK).await.unwrap();
    until("the request is in its handler", || inside.count() == 1).await;
    let refused = server.get("/", "").await;
    assert_problem(&refused, 503, "overloaded");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    assert!(server.get("/health", "").await.contains("up"), "probes are answered");
    drop(stuck);
    until("the request is dropped", || inside.count() == 0).await;
    assert!(server.get("/", "").await.ends_with("answered"));
}

#[tokio::test]
async fn a_response_that_takes_too_long() {
    let (server, inside, registry) = server(Limits { request: Duration::from_millis(50), ..wide() }).await;
    let late = server.get("/stuck", "").await;
    assert_problem(&late, 503, "timeout");
    assert_eq!(inside.count(), 0);
    assert!(
        registry
            .render()
            .contains(r#"http_requests_total{method="GET",route="/stuck",status="cancelled"} 1"#)
    );
}

#[tokio::test]
async fn a_head_that_is_too_large() {
    let (server, _, _) = server(wide()).await;
    // The server closes the connection before it has read everything, so the client may lose the response.
    let large = format!("x-large: {}\r\n", "a".repeat(100_000));
    let refused = server.get("/", &large).await;
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 431 "), "{refused}");
    let many = "x: y\r\n".repeat(1_000);
    assert!(server.get("/", &many).await.starts_with("HTTP/1.1 431 "));
    assert!(server.get("/", &format!("x-large: {}\r\n", "a".repeat(30_000))).await.ends_with("answered"));
}

#[tokio::test]
async fn a_thousand_clients_that_disconnect() {
    let (server, inside, _) = server(wide()).await;
    let half = b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nhalf a";
    for wave in 0..CLIENTS / AT_ONCE {
        let mut clients = Vec::new();
        for number in 0..AT_ONCE {
            let mut client = server.connect().await;
            let request = if number % 2 == 0 { STUCK } else { &half[..] };
            client.write_all(request).await.unwrap();
            clients.push(client);
        }
        until("all are in a handler", || inside.count() == AT_ONCE).await;
        assert!(server.get("/", "").await.ends_with("answered"), "wave {wave}: another client is served");
        drop(clients);
        until("all are dropped", || inside.count() == 0).await;
    }
    let mut last = server.connect().await;
    last.write_all(b"not http at all\r\n\r\n").await.unwrap();
    assert!(rest(&mut last).await.starts_with("HTTP/1.1 400 "));
}
