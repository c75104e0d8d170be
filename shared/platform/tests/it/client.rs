//! A server under test, and clients that send arbitrary bytes.

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use millrace_platform::http::HttpServer;
use millrace_platform::http::config::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far longer than any step takes, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(2);

/// Limits that no test reaches. Each test lowers the limit that it is about.
pub(crate) fn wide() -> Limits {
    Limits {
        header: DEADLINE,
        body: DEADLINE,
        idle: DEADLINE,
        write: DEADLINE,
        request: DEADLINE,
        connections_max: 4096,
        requests_max: 4096,
    }
}

/// A router on a free port. Dropping it stops the server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) ended: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(serving: HttpServer, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let ended = tokio::spawn(serving.run(listener, router, stop.clone()));
        Self { address, stop, ended }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes and reads until the server closes the connection.
    pub(crate) async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    /// Sends a `GET` request on a new connection.
    pub(crate) async fn get(&self, path: &str, headers: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Reads until the server closes or resets the connection.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _reset = in_time("the connection is closed", stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one response with a content-length and leaves the connection open.
pub(crate) async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.unwrap_or("0").parse::<usize>().unwrap() {
                return text;
            }
        }
        let read = in_time("a response has arrived", stream.read_buf(&mut bytes)).await.unwrap();
        assert!(read > 0, "closed after {text:?}");
    }
}

/// Sends byte by byte until the server closes the connection. Returns the response.
pub(crate) async fn drip(stream: &mut TcpStream, bytes: impl Iterator<Item = u8>) -> String {
    let (mut reading, mut writing) = stream.split();
    let response = async {
        let mut bytes = Vec::new();
        let _reset = reading.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let dripping = async {
        for byte in bytes {
            if writing.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        std::future::pending::<()>().await;
    };
    let closed = async {
        tokio::select! { response = response => response, () = dripping => unreachable!("it never ends") }
    };
    in_time("the slow client is disconnected", closed).await
}

/// Waits for a future that must complete. The deadline only ends a failing test.
pub(crate) async fn in_time<T>(what: &str, happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, happens).await.unwrap_or_else(|_| panic!("timed out waiting until {what}"))
}

/// Polls until a condition holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "timed out waiting until {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Checks status, media type and type of a problem document.
#[track_caller]
pub(crate) fn assert_problem(answer: &str, status: u16, kind: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
    assert!(answer.contains(&format!("\"/problems/{kind}\"")), "{answer}");
}
