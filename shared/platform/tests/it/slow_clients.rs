//! Slow and idle clients are disconnected by the right time-out; other clients are not affected.

use std::iter::repeat;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::{get, post};
use millrace_platform::http::config::Limits;
use millrace_platform::http::{HttpServer, read_body, with_common_routes};
use millrace_platform::metrics::{HttpMetrics, MetricsRegistry};
use millrace_platform::problem::Problem;
use tokio::io::AsyncWriteExt;

use crate::client::{Server, answer, assert_problem, drip, rest, until, wide};

const SHORT: Duration = Duration::from_millis(50);
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

async fn length(request: Request) -> Result<String, Problem> {
    read_body(request, 1 << 20).await.map(|body| body.len().to_string())
}

async fn server(limits: Limits) -> Server {
    let router = Router::new().route("/", get(async || "answered")).route("/body", post(length));
    let registry = MetricsRegistry::new();
    let http = HttpMetrics::register(&registry);
    Server::start(HttpServer::with_limits(limits), with_common_routes(router, &registry, &http)).await
}

#[tokio::test]
async fn a_head_that_arrives_byte_by_byte() {
    let server = server(Limits { header: SHORT, ..wide() }).await;
    let mut slow = server.connect().await;
    let head = b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ".iter().copied();
    let response = drip(&mut slow, head.chain(repeat(b'a'))).await;
    assert_eq!(response, "");
    assert!(server.get("/", "").await.ends_with("answered"));
}

#[tokio::test]
async fn a_second_head_that_arrives_byte_by_byte() {
    let server = server(Limits { header: Duration::from_millis(500), ..wide() }).await;
    let mut slow = server.connect().await;
    slow.write_all(GET).await.unwrap();
    assert!(answer(&mut slow).await.ends_with("answered"));
    let response = drip(&mut slow, b"GET / HTTP/1.1\r\nx: ".iter().copied().chain(repeat(b'a'))).await;
    assert_eq!(response, "");
}

#[tokio::test]
async fn a_connection_without_a_request() {
    let server = server(Limits { header: SHORT, ..wide() }).await;
    let mut silent = server.connect().await;
    assert_eq!(rest(&mut silent).await, "");
}

#[tokio::test]
async fn idle_connections_have_their_own_time_out() {
    let server = server(Limits { idle: SHORT, ..wide() }).await;
    let mut idle = server.connect().await;
    idle.write_all(GET).await.unwrap();
    assert!(rest(&mut idle).await.ends_with("answered"), "answered, then closed");
}

#[tokio::test]
async fn the_header_time_out_does_not_apply_between_requests() {
    let server = server(Limits { header: SHORT, ..wide() }).await;
    let mut patient = server.connect().await;
    patient.write_all(GET).await.unwrap();
    assert!(answer(&mut patient).await.ends_with("answered"));
    // A connection that was opened later has reached the header time-out, so the first one is past it too.
    let mut silent = server.connect().await;
    assert_eq!(rest(&mut silent).await, "");
    patient.write_all(GET).await.unwrap();
    assert!(answer(&mut patient).await.ends_with("answered"));
}

#[tokio::test]
async fn a_body_that_arrives_byte_by_byte() {
    let server = server(Limits { body: SHORT, ..wide() }).await;
    for framing in ["content-length: 100000", "transfer-encoding: chunked"] {
        let mut slow = server.connect().await;
        let head = format!("POST /body HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n");
        slow.write_all(head.as_bytes()).await.unwrap();
        let response = drip(&mut slow, b"1\r\na\r\n".iter().copied().cycle()).await;
        assert_problem(&response, 408, "too-slow");
        assert!(response.contains("connection: close\r\n"), "{response}");
    }
    let whole = "POST /body HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
    assert!(server.ask(whole).await.ends_with('3'));
}

/// An endless body that sets a flag when it is dropped.
fn endless(dropped: Arc<AtomicBool>) -> Body {
    struct SetOnDrop(Arc<AtomicBool>);
    impl Drop for SetOnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let guard = SetOnDrop(dropped);
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    Body::from_stream(futures_util::stream::poll_fn(move |_| {
        let _kept = &guard;
        Poll::Ready(Some(Ok::<_, std::convert::Infallible>(chunk.clone())))
    }))
}

#[tokio::test]
async fn a_response_that_is_not_read() {
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = dropped.clone();
    let router = Router::new()
        .route("/", get(async || "answered"))
        .route("/endless", get(async move || endless(flag.clone())));
    let server = Server::start(HttpServer::with_limits(Limits { write: SHORT, ..wide() }), router).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    until("the response is dropped", || dropped.load(Ordering::SeqCst)).await;
    assert!(server.get("/", "").await.ends_with("answered"));
}

#[tokio::test]
async fn a_response_that_is_read_byte_by_byte() {
    use tokio::io::AsyncReadExt;
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = dropped.clone();
    let router = Router::new().route("/endless", get(async move || endless(flag.clone())));
    let server = Server::start(HttpServer::with_limits(Limits { write: SHORT, ..wide() }), router).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let sip = async {
        let mut byte = [0];
        while !dropped.load(Ordering::SeqCst) {
            let _closed = slow.read(&mut byte).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    crate::client::in_time("the response is dropped", sip).await;
}
