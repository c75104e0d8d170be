//! Shutdown: running requests are completed, idle and stuck connections do not delay the process.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper_util::rt::TokioIo;
use millrace_platform::http::{HttpServer, ShutdownToken};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use crate::client::{Server, answer, in_time, rest, wide};

#[derive(Clone, Default)]
struct Gate {
    entered: Arc<Notify>,
    open: Arc<Notify>,
}

impl Gate {
    async fn pass(self) -> &'static str {
        self.entered.notify_one();
        self.open.notified().await;
        "answered"
    }
}

/// Switches to another protocol and then only reads.
async fn upgrade(mut request: Request) -> impl IntoResponse {
    assert!(request.extensions().get::<ShutdownToken>().is_some());
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut io = TokioIo::new(upgraded.await.unwrap());
        let _aborted = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
    });
    (StatusCode::SWITCHING_PROTOCOLS, [(header::UPGRADE, "nothing"), (header::CONNECTION, "upgrade")])
}

#[tokio::test]
async fn running_requests_are_completed_and_idle_connections_closed() {
    let gate = Gate::default();
    let (inner, entered) = (gate.clone(), gate.entered.clone());
    let router = Router::new()
        .route("/", get(async || "answered"))
        .route("/gate", get(async move || inner.clone().pass().await));
    let mut server = Server::start(HttpServer::with_limits(wide()), router).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    answer(&mut idle).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    in_time("the handler has started", entered.notified()).await;
    server.stop.cancel();
    assert_eq!(rest(&mut idle).await, "");
    gate.open.notify_one();
    let last = rest(&mut busy).await;
    assert!(last.ends_with("answered"), "{last}");
    in_time("the server has ended", &mut server.ended).await.unwrap();
}

#[tokio::test]
async fn stuck_connections_are_aborted_at_the_deadline() {
    let router = Router::new()
        .route("/stuck", get(async || std::future::pending::<()>().await))
        .route("/upgrade", get(upgrade));
    let mut server = Server::start(HttpServer::with_limits(wide()), router).await;
    let mut stuck = server.connect().await;
    stuck.write_all(b"GET /stuck HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut half = server.connect().await;
    half.write_all(b"GET /stu").await.unwrap();
    let mut upgraded = server.connect().await;
    let head = b"GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: nothing\r\n\r\n";
    upgraded.write_all(head).await.unwrap();
    assert!(answer(&mut upgraded).await.starts_with("HTTP/1.1 101 "));
    server.stop.cancel();
    in_time("the server has ended", &mut server.ended).await.unwrap();
    for stream in [&mut stuck, &mut half, &mut upgraded] {
        assert_eq!(rest(stream).await, "");
    }
}
