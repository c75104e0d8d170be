//! The long-running roles, alone or together in one process.
//!
//! Ports are taken and the log is opened first: what is wrong with a setting is found before anything starts. The read
//! model is not waited for. Each role opens it in its own time, and its port reports it as unavailable until then.

mod banner;
mod listeners;
mod roles;

use anyhow::Context;
use axum::Router;
use millrace_commands::http::Commands;
use millrace_commands::idempotency::IdempotencyKeys;
use millrace_commands::metrics::CommandMetrics;
use millrace_event_log::EventLog;
use millrace_platform::change_feed::{ChangeFeed, FeedMetrics};
use millrace_platform::http::HttpServer;
use millrace_platform::metrics::{HttpMetrics, MetricsRegistry, StoreMetrics};
use millrace_projector::dead_letter::DeadLetters;
use millrace_projector::dead_letter::mirror::Mirror;
use millrace_projector::http::Admin;
use millrace_projector::metrics::{MirrorMetrics, ProjectorMetrics};
use millrace_projector::projector::{Progress, ProgressReader, ProjectorParts, ProjectorThread};
use millrace_read_side::ReadModel;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::Settings;
use crate::simulator::Simulator;
use crate::{produce, report, sample, usage};
use banner::Banner;
use listeners::Listeners;
pub use roles::Roles;

/// Runs the roles until a signal, then drains.
///
/// # Errors
/// A [`crate::UsageError`] for a wrong setting; or why the only role of this process stopped.
pub async fn run(settings: Settings, roles: Roles) -> anyhow::Result<()> {
    let stop = millrace_platform::shutdown::on_signal().context("signal handlers")?;
    let serving = HttpServer::new(&settings.http).map_err(usage)?;
    if roles.projector {
        settings.admin.check().map_err(usage)?;
    }
    let listeners = Listeners::bind(&settings, roles).await?;
    let banner = Banner::of(&listeners, serving.scheme(), roles.has_sample(&settings));
    let mut process = Process::new(&settings, roles, serving, stop);
    if roles.commands || roles.projector {
        let log = EventLog::open(&settings.event_log(), &settings.log.settings()).map_err(usage)?;
        process.start_shop(&log).await?;
        if let Some(listener) = listeners.commands {
            process.start_commands(listener, log.clone());
        }
        if let Some(listener) = listeners.admin {
            process.start_projector(listener, log)?;
        }
    }
    if let Some(listener) = listeners.queries {
        process.start_read_side(listener);
    }
    if let Some(listener) = listeners.metrics {
        process.start_metrics(listener);
    }
    // A closed standard output is no reason to stop.
    let _printed = banner.print();
    process.wait().await
}

/// What the roles of a process share.
struct Process<'a> {
    settings: &'a Settings,
    roles: Roles,
    serving: HttpServer,
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
    registry: MetricsRegistry,
    http: HttpMetrics,
    /// Of the roles that use the read model.
    store: Option<StoreMetrics>,
    feed: ChangeFeed,
    /// Of the projector, once it has started.
    progress: Option<ProgressReader>,
}

impl<'a> Process<'a> {
    fn new(settings: &'a Settings, roles: Roles, serving: HttpServer, stop: CancellationToken) -> Self {
        let registry = MetricsRegistry::new();
        let uses_store = roles.projector || roles.read_side;
        Self {
            settings,
            roles,
            serving,
            stop,
            tasks: JoinSet::new(),
            http: HttpMetrics::register(&registry),
            store: uses_store.then(|| StoreMetrics::register(&registry)),
            feed: change_feed(settings, roles, &registry),
            registry,
            progress: None,
        }
    }

    /// Loads the sample shop into a new log and starts the simulator, where the roles ask for them.
    async fn start_shop(&mut self, log: &EventLog) -> anyhow::Result<()> {
        if self.roles.has_sample(self.settings) {
            let events = sample::load(log).await.context("failed to load the sample shop")?;
            if events > 0 {
                tracing::info!(target: "millrace::app", events, "sample shop loaded");
            }
        }
        let rate = self.settings.event_rate;
        if self.roles.shop && rate > 0 {
            let (log, stop) = (log.clone(), self.stop.clone());
            self.tasks.spawn(async move {
                produce::simulate(&log, Simulator::new(1), rate, None, &stop, |_| {}).await
            });
        }
        Ok(())
    }

    fn start_commands(&mut self, listener: TcpListener, log: EventLog) {
        let commands = Commands {
            log,
            idempotency: idempotency_keys(self.settings),
            metrics: CommandMetrics::register(&self.registry),
        };
        let router = millrace_commands::http::router(commands, &self.registry, &self.http);
        self.serve(listener, self.serving.clone(), router);
    }

    fn start_projector(&mut self, listener: TcpListener, log: EventLog) -> anyhow::Result<()> {
        let read_model = self.settings.read_model();
        let settings = self.settings.projector.settings(&read_model);
        let progress = Progress::new(log.topic(), settings.breaker);
        let reader = progress.reader();
        let store = self.store.clone().context("the projector has metrics of its store")?;
        let metrics = ProjectorMetrics::register(&self.registry, store);
        let parts = ProjectorParts {
            log: log.clone(),
            read_model: read_model.clone(),
            migrate: self.settings.migrate,
            settings,
            metrics: metrics.clone(),
            feed: self.feed.clone(),
            progress,
        };
        self.supervise(ProjectorThread::start(parts, self.stop.clone()).context("projector thread")?);
        let (watched, counted, stop) = (reader.clone(), metrics.clone(), self.stop.clone());
        let letters = DeadLetters::at(&read_model);
        self.tasks.spawn(async move {
            report::run(&watched, &letters, &counted, &stop).await;
            Ok(())
        });
        self.start_mirror();
        let admin = Admin { log, progress: reader.clone(), letters: DeadLetters::at(&read_model), metrics };
        let token = self.settings.admin.admin_token.clone();
        let router = millrace_projector::http::router(admin, token, &self.registry, &self.http);
        self.serve(listener, self.serving.clone(), router);
        self.progress = Some(reader);
        Ok(())
    }

    /// A projector that stops for good ends its process only when it is the process's one role: commands and queries
    /// go on without it.
    fn supervise(&mut self, thread: ProjectorThread) {
        let is_alone = !self.roles.commands && !self.roles.read_side;
        self.tasks.spawn(async move {
            match thread.ended().await {
                Err(error) if is_alone => Err(error.into()),
                Err(error) => {
                    tracing::error!(target: "millrace::app", "projector stopped: {:#}", anyhow::Error::from(error));
                    Ok(())
                }
                Ok(()) => Ok(()),
            }
        });
    }

    fn start_mirror(&mut self) {
        let Some(url) = self.settings.redis_url.clone() else { return };
        let metrics = MirrorMetrics::register(&self.registry);
        // With connections of its own, so that a mirror that catches up holds up no review.
        let letters = DeadLetters::at(&self.settings.read_model());
        let mirror = Mirror::new(letters, url, &self.settings.dlq_list, metrics);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            mirror.run(stop).await;
            Ok(())
        });
    }

    fn start_read_side(&mut self, listener: TcpListener) {
        let (read_model, url) = (ReadModel::closed(), self.settings.read_model());
        let is_alone = !self.roles.commands && !self.roles.projector;
        if let Some(store) = self.store.clone() {
            let (opening, stop) = (read_model.clone(), self.stop.clone());
            self.tasks.spawn(async move {
                let opened = stop.run_until_cancelled(opening.open_when_available(url, store)).await;
                match opened {
                    Some(Err(error)) if is_alone => Err(usage(format!("READ_MODEL: {error}"))),
                    Some(Err(error)) => {
                        tracing::error!(target: "millrace::app", "read side stopped: {error}");
                        Ok(())
                    }
                    Some(Ok(())) | None => Ok(()),
                }
            });
        }
        // A read side in a process of its own hears of changes through Redis only.
        let has_feed = self.roles.projector || self.settings.redis_url.is_some();
        let feed = has_feed.then(|| self.feed.clone());
        let router = millrace_read_side::http::router(
            read_model,
            &self.settings.read,
            feed,
            &self.registry,
            &self.http,
        );
        self.serve(listener, self.serving.clone(), router);
    }

    /// Health and readiness of the projector are here as well: a probe can reach this port when `ADMIN_ADDR` is local.
    fn start_metrics(&mut self, listener: TcpListener) {
        let mut router = millrace_platform::http::metrics_routes(&self.registry);
        if let Some(progress) = self.progress.clone() {
            router = router.merge(millrace_projector::http::ready_route(progress));
        }
        self.serve(listener, self.serving.plain(), router);
    }

    fn serve(&mut self, listener: TcpListener, serving: HttpServer, router: Router) {
        let server = serving.run(listener, router, self.stop.clone());
        self.tasks.spawn(async move {
            server.await;
            Ok(())
        });
    }

    /// The first task that fails ends the process.
    async fn wait(mut self) -> anyhow::Result<()> {
        let mut result = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let ended = ended.context("a task panicked").and_then(|result| result);
            if let Err(error) = ended {
                tracing::error!(target: "millrace::app", "stopping: {error:#}");
                result = result.and(Err(error));
                self.stop.cancel();
            }
        }
        tracing::info!(target: "millrace::app", "stopped");
        result
    }
}

/// In Redis when there is one, because then all processes that accept commands share them.
fn idempotency_keys(settings: &Settings) -> IdempotencyKeys {
    match &settings.redis_url {
        Some(url) => IdempotencyKeys::redis(url.clone()),
        None => IdempotencyKeys::sqlite(settings.data_dir.join("idempotency.db")),
    }
}

/// Through Redis when there is one, because then other processes may listen.
fn change_feed(settings: &Settings, roles: Roles, registry: &MetricsRegistry) -> ChangeFeed {
    match &settings.redis_url {
        Some(url) if roles.projector => ChangeFeed::redis(url.clone(), FeedMetrics::register(registry)),
        Some(url) => ChangeFeed::redis_subscriber(url.clone()),
        None => ChangeFeed::in_process(),
    }
}
