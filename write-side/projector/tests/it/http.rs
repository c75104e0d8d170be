//! The admin port: a real listener on a free port, a real log and a real read model in a folder of their own.

mod access;
mod dead_letters;
mod openapi;
mod operations;
mod snapshots;

use std::ops::Deref;

use millrace_domain::NewRecord;
use millrace_domain::envelope::decode_payload;
use millrace_domain::record::Headers;
use millrace_platform::http::HttpServer;
use millrace_platform::metrics::HttpMetrics;
use millrace_platform::secret::Secret;
use millrace_projector::breaker::BreakerSettings;
use millrace_projector::http::Admin;
use millrace_projector::projector::{Progress, Projector, ProjectorSettings};
use millrace_testkit::http::{Answer, Client};
use millrace_testkit::log_file::LogFile;
use tokio_util::sync::CancellationToken;

use crate::world::{SETTINGS, World, drain};

/// An admin port, a client of it, and a projector that is stepped by the test.
struct Api {
    client: Client,
    world: World,
    projector: Projector,
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
        Self::with(None, SETTINGS)
    }

    fn guarded_by(token: &str) -> Self {
        Self::with(Some(token), SETTINGS)
    }

    /// Its circuit breaker opens after so many failures in a row, and stays open for longer than any test.
    fn breaking_after(failures_max: u32) -> Self {
        let breaker = BreakerSettings {
            failures_max,
            timeout: std::time::Duration::from_secs(3_600),
            ..SETTINGS.breaker
        };
        Self::with(None, ProjectorSettings { breaker, ..SETTINGS })
    }

    fn with(token: Option<&str>, settings: ProjectorSettings) -> Self {
        let world = World::new();
        let progress = Progress::new(world.log.topic(), settings.breaker);
        let reader = progress.reader();
        let projector = world.projector_reporting(settings, progress);
        let admin = Admin {
            log: world.log.clone(),
            progress: reader,
            letters: world.letters(),
            metrics: world.metrics.clone(),
        };
        let http = HttpMetrics::register(&world.registry);
        let router = millrace_projector::http::router(admin, token.map(Secret::new), &world.registry, &http);
        let stop = CancellationToken::new();
        let client = Client::of(|listener, runtime| {
            runtime.spawn(HttpServer::default().run(listener, router, stop.clone()));
        });
        let file = LogFile::in_folder(world.dir.path());
        Self { client, world, projector, file, stop }
    }

    /// Appends lines as the command port does: each with the key of its event, if it is one.
    fn append(&self, lines: &str) {
        let record = |line: &str| NewRecord {
            key: decode_payload(line.as_bytes(), "events")
                .ok()
                .map(|event| event.event.partition_key().into()),
            payload: line.as_bytes().to_vec(),
            headers: Headers::EMPTY.with("content-type", b"application/json"),
        };
        self.world.append(lines.lines().map(record).collect());
    }

    fn project(&mut self) {
        drain(&mut self.projector);
    }

    fn records(&self) -> usize {
        self.file.records().len()
    }

    /// Letters that wait for review, as the metric has them.
    fn open(&self) -> i64 {
        self.world.metrics.dead_letters_open.get()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
