//! The command port: a real listener on a free port, a real log in a folder of its own.
//!
//! What an answer claims is looked up in the log's file, through a connection that is not the log's.

mod accepted;
mod events;
mod idempotency;
mod openapi;
mod operations;
mod refused;
mod snapshots;

use std::ops::Deref;

use millrace_commands::http::Commands;
use millrace_commands::idempotency::IdempotencyKeys;
use millrace_commands::metrics::CommandMetrics;
use millrace_domain::{DecodeError, Envelope, Position};
use millrace_event_log::EventLog;
use millrace_event_log::embedded::EmbeddedLog;
use millrace_platform::http::HttpServer;
use millrace_platform::metrics::{HttpMetrics, MetricsRegistry};
use millrace_testkit::http::{Answer, Client, JSON, NDJSON, position};
use millrace_testkit::log_file::{LogFile, StoredRecord};
use millrace_testkit::redis::RedisServer;
use reqwest::Method;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A command port and a client of it.
struct Api {
    client: Client,
    dir: TempDir,
    file: LogFile,
    stop: CancellationToken,
}

impl Deref for Api {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Api {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keys = IdempotencyKeys::sqlite(dir.path().join("idempotency.db"));
        Self::over(dir, keys)
    }

    /// Its idempotency keys are in that Redis.
    fn with_keys_in(redis: &RedisServer) -> Self {
        Self::with_keys_at(redis.url())
    }

    fn with_keys_at(url: &str) -> Self {
        Self::over(tempfile::tempdir().unwrap(), IdempotencyKeys::redis(url.parse().unwrap()))
    }

    fn over(dir: TempDir, idempotency: IdempotencyKeys) -> Self {
        let log = EventLog::Embedded(EmbeddedLog::open(dir.path(), 3).unwrap());
        let registry = MetricsRegistry::new();
        let commands = Commands { log, idempotency, metrics: CommandMetrics::register(&registry) };
        let router = millrace_commands::http::router(commands, &registry, &HttpMetrics::register(&registry));
        let stop = CancellationToken::new();
        let client = Client::of(|listener, runtime| {
            runtime.spawn(HttpServer::default().run(listener, router, stop.clone()));
        });
        let file = LogFile::in_folder(dir.path());
        Self { client, dir, file, stop }
    }

    fn record(&self, position: Position) -> StoredRecord {
        self.file.record(position)
    }

    fn records(&self) -> usize {
        self.file.records().len()
    }

    /// Every record as the projector will read it.
    fn decoded(&self) -> Vec<Result<Envelope, DecodeError>> {
        self.file.records().iter().map(StoredRecord::try_decode).collect()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
