//! The write side over HTTP: a real listener on a free port, a real log and a real read model in a folder of their own.
//!
//! What an answer claims is looked up in the log's file, through a connection that is not the log's.

mod accepted;
mod dead_letters;
mod events;
mod idempotency;
mod openapi;
mod operations;
mod refused;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use rusqlite::Connection;
use serde_json::Value;
use shared::record::{HeaderView, Headers};
use shared::secret::Secret;
use shared::{Envelope, Position, Record, Timestamp};
use testkit::redis::RedisServer;
use tokio_util::sync::CancellationToken;
use write_side::breaker::BreakerSettings;
use write_side::http::WriteSide;
use write_side::idempotency::IdempotencyKeys;
use write_side::projector::{Projector, ProjectorSettings};

use crate::world::{SETTINGS, World, drain};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

/// A write side that answers, and a projector that works when it is told to.
struct Api {
    world: World,
    projector: Projector,
    address: SocketAddr,
    client: reqwest::Client,
    stop: CancellationToken,
    runtime: tokio::runtime::Runtime,
}

impl Api {
    fn new() -> Self {
        Self::guarded_by(None)
    }

    fn guarded_by(token: Option<&str>) -> Self {
        let world = World::new();
        let projector = world.projector();
        let keys = keys(&world);
        Self::over(world, projector, token, keys)
    }

    /// Its idempotency keys are in that Redis.
    fn with_keys_in(redis: &RedisServer) -> Self {
        Self::with_keys_at(redis.url())
    }

    fn with_keys_at(url: &str) -> Self {
        let world = World::new();
        let projector = world.projector();
        Self::over(world, projector, None, IdempotencyKeys::redis(url.parse().unwrap()))
    }

    /// Its circuit breaker opens after so many failures in a row, and stays open for longer than any test.
    fn breaking_after(failures_max: u32) -> Self {
        let world = World::new();
        let breaker =
            BreakerSettings { failures_max, timeout: Duration::from_secs(3_600), ..SETTINGS.breaker };
        let projector = world.projector_with(ProjectorSettings { breaker, ..SETTINGS });
        let keys = keys(&world);
        Self::over(world, projector, None, keys)
    }

    fn over(world: World, projector: Projector, token: Option<&str>, keys: IdempotencyKeys) -> Self {
        let admin_token = token.map(Secret::new);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let router = write_side::http::router(WriteSide {
            log: world.log.clone(),
            progress: projector.progress(),
            letters: Arc::new(world.letters()),
            admin_token,
            idempotency: Arc::new(keys),
            metrics: world.metrics.clone(),
        });
        let stop = CancellationToken::new();
        runtime.spawn(shared::http::serve(listener, router, stop.clone()));
        Self { world, projector, address, client: reqwest::Client::new(), stop, runtime }
    }

    fn send(
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

    fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "")
    }

    fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.post_as(JSON, path, body)
    }

    fn post_as(&self, content_type: &str, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let headers = [("content-type", content_type.as_bytes())];
        self.send(Method::POST, path, &headers, body)
    }

    /// Sends bytes as they are and reads the answer until the server closes the connection.
    fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn project(&mut self) {
        drain(&mut self.projector);
    }

    fn log_file(&self) -> PathBuf {
        self.world.dir.path().join("events.db")
    }

    fn record(&self, position: Position) -> Stored {
        record(&self.log_file(), position)
    }

    fn records(&self) -> i64 {
        let connection = Connection::open(self.log_file()).unwrap();
        connection.query_row("SELECT COUNT(*) FROM records", [], |row| row.get(0)).unwrap()
    }
}

fn keys(world: &World) -> IdempotencyKeys {
    IdempotencyKeys::sqlite(world.dir.path().join("idempotency.db"))
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).to_str().unwrap()
    }

    /// The body of a 202.
    #[track_caller]
    fn accepted(&self) -> Value {
        assert_eq!(self.status, 202, "{}", self.text());
        assert_eq!(self.header("content-type"), JSON);
        self.json()
    }

    /// The body of an error, which has the form of RFC 9457.
    #[track_caller]
    fn problem(&self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("/problems/{kind}"));
        assert_eq!(problem["status"], status);
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        problem
    }

    /// The positions in the Consistency-Token, which is `topic:partition:offset`, one for each partition.
    fn token(&self) -> Vec<Position> {
        let one = |text: &str| {
            let (topic, position) = text.split_once(':').unwrap();
            assert_eq!(topic, "events");
            position.parse().unwrap()
        };
        self.header("consistency-token").split(',').map(one).collect()
    }
}

/// A record as it stands in the file.
struct Stored {
    position: Position,
    key: Option<Vec<u8>>,
    payload: Vec<u8>,
    headers: Headers,
}

impl Stored {
    fn key(&self) -> &str {
        std::str::from_utf8(self.key.as_deref().unwrap()).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.view().get_str(name)
    }

    fn decode(&self) -> Envelope {
        let record = Record {
            topic: "events",
            position: self.position,
            appended_at: Timestamp::now(),
            key: self.key.as_deref(),
            payload: Some(&self.payload),
            headers: self.headers.view(),
        };
        shared::decode(&record).unwrap()
    }
}

/// Reads a record from the log's file as another process would.
fn record(log_file: &Path, position: Position) -> Stored {
    let connection = Connection::open(log_file).unwrap();
    let query = r#"SELECT key, payload, headers FROM records WHERE partition = ?1 AND "offset" = ?2"#;
    connection
        .query_row(query, (position.partition, position.offset), |row| {
            Ok(Stored {
                position,
                key: row.get(0)?,
                payload: row.get(1)?,
                headers: HeaderView::from_bytes(row.get_ref(2)?.as_blob()?).to_owned(),
            })
        })
        .unwrap()
}

fn position(body: &Value) -> Position {
    body["position"].as_str().unwrap().parse().unwrap()
}
