//! From the moment a command is sent to the moment a GET sees it, at 500 events a second.

use std::time::{Duration, Instant};

use app::produce::simulate;
use app::simulator::Simulator;
use read_side::config::ReadConfig;
use read_side::read_model::ReadModel;
use shared::metrics::Metrics;
use shared::settings::ReadModelUrl;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use write_side::config::ProjectorConfig;
use write_side::dead_letter::DeadLetters;
use write_side::event_log::EventLog;
use write_side::event_log::embedded::EmbeddedLog;
use write_side::http::WriteSide;
use write_side::idempotency::IdempotencyKeys;
use write_side::projection::Projection;
use write_side::projector::{Projector, ProjectorThread};

use crate::load::percentile;

const RATE: u32 = 500;
const SAMPLES: usize = 1_000;

/// The settings that a user who sets nothing has.
fn default_projector() -> ProjectorConfig {
    use clap::{Args, FromArgMatches};
    let command = ProjectorConfig::augment_args(clap::Command::new("bench"));
    ProjectorConfig::from_arg_matches(&command.get_matches_from(["bench"])).unwrap()
}

pub(crate) fn run() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut times_ms = runtime.block_on(measure());
    println!("\nFreshness at {RATE} events/s: POST sent → GET sees it, {SAMPLES} samples");
    println!("p50 {:.1} ms, p99 {:.1} ms", percentile(&mut times_ms, 0.5), percentile(&mut times_ms, 0.99));
}

async fn measure() -> Vec<f64> {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::new();
    let stop = CancellationToken::new();
    let url = ReadModelUrl::Sqlite(dir.path().join("read_model.db"));
    let log = EventLog::Embedded(EmbeddedLog::open(dir.path(), 6).unwrap());
    let (projection, _) = Projection::open(&url).unwrap();
    let projector =
        Projector::new(&log, projection, default_projector().settings(&url), metrics.clone()).unwrap();
    let thread = ProjectorThread::start(projector, stop.clone()).unwrap();
    let progress = thread.progress();
    let letters = std::sync::Arc::new(DeadLetters::open(&url).unwrap());
    let idempotency = std::sync::Arc::new(IdempotencyKeys::sqlite(dir.path().join("idempotency.db")));
    let write_side = WriteSide {
        log: log.clone(),
        progress,
        letters,
        admin_token: None,
        idempotency,
        metrics: metrics.clone(),
    };
    let commands = serve(write_side::http::router(write_side), &stop).await;
    let read_model = ReadModel::open(&url, metrics.clone()).unwrap();
    let queries =
        serve(read_side::http::router(read_model, &ReadConfig::default(), None, &metrics), &stop).await;
    let (background, ending) = (log.clone(), stop.clone());
    let load =
        tokio::spawn(
            async move { simulate(&background, Simulator::new(2), RATE, None, &ending, |_| {}).await },
        );
    let client = reqwest::Client::new();
    let mut times_ms = Vec::with_capacity(SAMPLES);
    for sample in 0..SAMPLES {
        let user = format!("sample-{sample}");
        let body = format!(r#"{{"userId":"{user}","email":"a@example.com","name":"Ada"}}"#);
        let started = Instant::now();
        let post = client.post(format!("{commands}/api/v1/users")).header("content-type", "application/json");
        assert!(post.body(body).send().await.unwrap().status().is_success());
        let get = format!("{queries}/users/{user}");
        while !client.get(&get).send().await.unwrap().status().is_success() {}
        times_ms.push(started.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    load.await.unwrap().unwrap();
    thread.ended().await.unwrap();
    times_ms
}

async fn serve(router: axum::Router, stop: &CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(shared::http::serve(listener, router, stop.clone()));
    format!("http://{address}")
}
