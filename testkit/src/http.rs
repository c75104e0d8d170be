//! A blocking HTTP client for tests, with checks of the responses.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use millrace_domain::Position;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;
use tokio::runtime::Runtime;

pub const JSON: &str = "application/json";
pub const NDJSON: &str = "application/x-ndjson";

/// A client of one server, and the runtime of both.
pub struct Client {
    pub address: SocketAddr,
    pub client: reqwest::Client,
    pub runtime: Runtime,
}

impl Client {
    /// Starts a server with `serve` on a free port, and creates its client.
    pub fn of(serve: impl FnOnce(tokio::net::TcpListener, &Runtime)) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        serve(listener, &runtime);
        Self { address, client: reqwest::Client::new(), runtime }
    }

    pub fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &[u8])],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let url = format!("http://{}{path}", self.address);
        let mut request = self.client.request(method, url).body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = response.bytes().await.unwrap().to_vec();
            Answer { status, headers, body }
        })
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "")
    }

    /// Sends JSON.
    pub fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.post_as(JSON, path, body)
    }

    pub fn post_as(&self, content_type: &str, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.send(Method::POST, path, &[("content-type", content_type.as_bytes())], body)
    }

    /// Sends raw bytes and reads until the server closes the connection.
    pub fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// # Panics
    /// When the header is missing.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).to_str().unwrap()
    }

    /// Checks for 202 and returns the body.
    #[track_caller]
    pub fn accepted(&self) -> Value {
        assert_eq!(self.status, 202, "{}", self.text());
        assert_eq!(self.header("content-type"), JSON);
        self.json()
    }

    /// Checks the problem document and returns it.
    #[track_caller]
    pub fn problem(&self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("/problems/{kind}"));
        assert_eq!(problem["status"], status);
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        problem
    }

    /// The positions in the header `Consistency-Token`.
    pub fn token(&self) -> Vec<Position> {
        let one = |text: &str| {
            let (topic, position) = text.split_once(':').unwrap();
            assert_eq!(topic, "events");
            position.parse().unwrap()
        };
        self.header("consistency-token").split(',').map(one).collect()
    }
}

/// The position in the response to a command.
pub fn position(body: &Value) -> Position {
    body["position"].as_str().unwrap().parse().unwrap()
}
