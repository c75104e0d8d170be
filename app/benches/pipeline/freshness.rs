//! From the moment a command is sent to the moment a GET sees it, at 500 events a second.

use std::time::{Duration, Instant};

use millrace::produce::simulate;
use millrace::simulator::Simulator;
use millrace_commands::http::Commands;
use millrace_commands::idempotency::IdempotencyKeys;
use millrace_commands::metrics::CommandMetrics;
use millrace_event_log::EventLog;
use millrace_event_log::embedded::EmbeddedLog;
use millrace_mssql::ReadModelUrl;
use millrace_platform::change_feed::ChangeFeed;
use millrace_platform::http::HttpServer;
use millrace_platform::metrics::{HttpMetrics, MetricsRegistry, StoreMetrics};
use millrace_platform::settings::Switch;
use millrace_projector::config::ProjectorConfig;
use millrace_projector::metrics::ProjectorMetrics;
use millrace_projector::projector::{Progress, ProjectorParts, ProjectorThread};
use millrace_read_side::config::ReadConfig;
use millrace_read_side::read_model::ReadModel;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

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
    let registry = MetricsRegistry::new();
    let (http, store) = (HttpMetrics::register(&registry), StoreMetrics::register(&registry));
    let stop = CancellationToken::new();
    let url = ReadModelUrl::Sqlite(dir.path().join("read_model.db"));
    let log = EventLog::Embedded(EmbeddedLog::open(dir.path(), 6).unwrap());
    let settings = default_projector().settings(&url);
    let parts = ProjectorParts {
        log: log.clone(),
        read_model: url.clone(),
        migrate: Switch::On,
        settings,
        metrics: ProjectorMetrics::register(&registry, store.clone()),
        feed: ChangeFeed::default(),
        progress: Progress::new(log.topic(), settings.breaker),
    };
    let thread = ProjectorThread::start(parts, stop.clone()).unwrap();
    let idempotency = IdempotencyKeys::sqlite(dir.path().join("idempotency.db"));
    let metrics = CommandMetrics::register(&registry);
    let commands = Commands { log: log.clone(), idempotency, metrics };
    let commands = serve(millrace_commands::http::router(commands, &registry, &http), &stop).await;
    let read_model = ReadModel::closed();
    read_model.open_when_available(url, store).await.unwrap();
    let queries =
        millrace_read_side::http::router(read_model, &ReadConfig::default(), None, &registry, &http);
    let queries = serve(queries, &stop).await;
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
    tokio::spawn(HttpServer::default().run(listener, router, stop.clone()));
    format!("http://{address}")
}
