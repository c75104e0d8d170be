//! A blocking HTTP client for the tests of the ports, and checks of what was answered.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use millrace_domain::Position;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;
use tokio::runtime::Runtime;

/// `application/json`
pub const JSON: &str = "application/json";
/// `application/x-ndjson`
pub const NDJSON: &str = "application/x-ndjson";

/// A client of one port, and the runtime that serves it.
pub struct Client {
    /// Of the port.
    pub address: SocketAddr,
    /// Sends requests.
    pub client: reqwest::Client,
    /// Serves the port and runs the requests.
    pub runtime: Runtime,
}

impl Client {
    /// A client of what `serve` serves on a listener of its own.
    pub fn of(serve: impl FnOnce(tokio::net::TcpListener, &Runtime)) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        serve(listener, &runtime);
        Self { address, client: reqwest::Client::new(), runtime }
    }

    /// The answer to a request.
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

    /// The answer to a `GET`.
    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "")
    }

    /// The answer to a `POST` of JSON.
    pub fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.post_as(JSON, path, body)
    }

    /// The answer to a `POST` of that content type.
    pub fn post_as(&self, content_type: &str, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.send(Method::POST, path, &[("content-type", content_type.as_bytes())], body)
    }

    /// Sends bytes as they are and reads the answer until the server closes the connection.
    pub fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// A header that must be there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).to_str().unwrap()
    }

    /// The body of a 202.
    #[track_caller]
    pub fn accepted(&self) -> Value {
        assert_eq!(self.status, 202, "{}", self.text());
        assert_eq!(self.header("content-type"), JSON);
        self.json()
    }

    /// The body of an error, which has the form of RFC 9457.
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

    /// The positions in the Consistency-Token, which is `topic:partition:offset`, one for each partition.
    pub fn token(&self) -> Vec<Position> {
        let one = |text: &str| {
            let (topic, position) = text.split_once(':').unwrap();
            assert_eq!(topic, "events");
            position.parse().unwrap()
        };
        self.header("consistency-token").split(',').map(one).collect()
    }
}

/// The position in the answer to a command.
pub fn position(body: &Value) -> Position {
    body["position"].as_str().unwrap().parse().unwrap()
}
