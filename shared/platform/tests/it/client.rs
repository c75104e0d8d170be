//! A server under test, and clients that send bytes as they please.

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use millrace_platform::http::Serving;
use millrace_platform::http::config::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far beyond what anything takes, on a machine that does other things as well.
const DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(2);

/// Limits that nothing in a test reaches; each test lowers the one it is about.
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

/// A router served on a free port, until it is stopped or dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) ended: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(serving: Serving, router: Router) -> Self {
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

    /// `GET`, on a connection of its own.
    pub(crate) async fn get(&self, path: &str, headers: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What has not been read yet, until the other side closes. A reset after the answer is an end like any other.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _reset = in_time("the connection is closed", stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one answer that has a content-length and leaves the connection open.
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
        let read = in_time("an answer is there", stream.read_buf(&mut bytes)).await.unwrap();
        assert!(read > 0, "closed after {text:?}");
    }
}

/// Sends a byte at a time until the server has had enough; returns what it said.
pub(crate) async fn drip(stream: &mut TcpStream, bytes: impl Iterator<Item = u8>) -> String {
    let (mut reading, mut writing) = stream.split();
    let said = async {
        let mut said = Vec::new();
        let _reset = reading.read_to_end(&mut said).await;
        String::from_utf8_lossy(&said).into_owned()
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
    let cut = async {
        tokio::select! { said = said => said, () = dripping => unreachable!("it never ends") }
    };
    in_time("the slow client is cut", cut).await
}

/// Waits for something that must happen; its deadline only ends a broken test.
pub(crate) async fn in_time<T>(what: &str, happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, happens).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

/// Polls until a condition holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "waited in vain until {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Status, and body as JSON, of a problem.
#[track_caller]
pub(crate) fn assert_problem(answer: &str, status: u16, kind: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
    assert!(answer.contains(&format!("\"/problems/{kind}\"")), "{answer}");
}
