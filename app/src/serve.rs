//! The long-running roles: the write side, the read side, or both in one process.
//!
//! Everything that can be wrong with a setting is found before anything is started: ports are taken first, then the
//! log, then the read model.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use read_side::read_model::ReadModel;
use shared::change_feed::ChangeFeed;
use shared::http::Serving;
use shared::metrics::Metrics;
use shared::settings::ReadModelUrl;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use write_side::dead_letter::mirror::Mirror;
use write_side::dead_letter::{DeadLetters, LetterFilter};
use write_side::event_log::EventLog;
use write_side::http::WriteSide;
use write_side::idempotency::IdempotencyKeys;
use write_side::projection::Projection;
use write_side::projection::mssql::MssqlProjection;
use write_side::projector::{Projector, ProjectorThread};

use crate::answer::say;
use crate::cli::{Settings, Switch};
use crate::simulator::Simulator;
use crate::{produce, report, sample, usage};

/// Between two looks at a server that is not there yet.
const WAIT_SLICE: Duration = Duration::from_secs(1);

/// Which roles this process has.
#[derive(Debug, Clone, Copy)]
pub struct Roles {
    write_side: bool,
    read_side: bool,
    /// The sample shop and the simulator, which belong to the process that runs everything.
    shop: bool,
}

impl Roles {
    /// `millrace`
    pub const ALL: Self = Self { write_side: true, read_side: true, shop: true };
    /// `millrace write-side`
    pub const WRITE_SIDE: Self = Self { write_side: true, read_side: false, shop: false };
    /// `millrace read-side`
    pub const READ_SIDE: Self = Self { write_side: false, read_side: true, shop: false };
}

/// The ports of the roles, taken.
struct Listeners {
    commands: Option<TcpListener>,
    queries: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl Listeners {
    async fn bind(settings: &Settings, roles: Roles) -> anyhow::Result<Self> {
        let bind = async |wanted: bool, setting, address: SocketAddr| {
            if !wanted {
                return Ok(None);
            }
            shared::http::bind(setting, address).await.map(Some).map_err(usage)
        };
        let commands = bind(roles.write_side, "COMMAND_ADDR", settings.commands.command_addr).await?;
        let queries = bind(roles.read_side, "API_ADDR", settings.read.api_addr).await?;
        let metrics = match settings.metrics_addr.0 {
            Some(address) => bind(true, "METRICS_ADDR", address).await?,
            None => None,
        };
        Ok(Self { commands, queries, metrics })
    }
}

/// Runs the roles until a signal, then drains.
///
/// # Errors
/// A [`crate::UsageError`] for what can be mended by another setting; anything else that a role cannot go on from.
pub async fn run(settings: Settings, roles: Roles) -> anyhow::Result<()> {
    let stop = shared::shutdown::on_signal().context("signal handlers")?;
    let serving = Serving::new(&settings.http).map_err(usage)?;
    let listeners = Listeners::bind(&settings, roles).await?;
    wait_for_read_model(&settings).await?;
    let metrics = Metrics::new();
    let mut tasks = JoinSet::new();
    let banner = Banner::of(&listeners, &settings, roles, serving.scheme());
    let feed = change_feed(&settings, &metrics);
    let write_side = if roles.write_side { Some(open_write_side(&settings, &feed, &metrics)?) } else { None };
    if let Some((log, projector)) = write_side {
        let commands = listeners.commands.map(|listener| (listener, serving.clone()));
        start_write_side(&mut tasks, &settings, roles, log, projector, &metrics, commands, &stop).await?;
    }
    if let Some(listener) = listeners.queries {
        let read_model = ReadModel::open(&settings.read_model(), metrics.clone()).map_err(usage)?;
        // A read side of its own hears of changes by Redis only.
        let heard = (roles.write_side || settings.redis_url.is_some()).then_some(feed);
        let router = read_side::http::router(read_model, &settings.read, heard, &metrics);
        spawn_server(&mut tasks, listener, &serving, router, &stop);
    }
    if let Some(listener) = listeners.metrics {
        spawn_server(&mut tasks, listener, &serving.plain(), shared::http::metrics_routes(&metrics), &stop);
    }
    // Nobody needs it but a person who looks.
    let _shown = banner.print();
    wait(tasks, &stop).await
}

/// The first task that ends without being told ends the process: half a Millrace is worse than none.
async fn wait(mut tasks: JoinSet<anyhow::Result<()>>, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.context("a task panicked").and_then(|result| result);
        if let Err(error) = ended {
            tracing::error!("stopping: {error:#}");
            outcome = outcome.and(Err(error));
            stop.cancel();
        }
    }
    tracing::info!("stopped");
    outcome
}

fn open_write_side(
    settings: &Settings,
    feed: &ChangeFeed,
    metrics: &Metrics,
) -> anyhow::Result<(EventLog, Projector)> {
    let log_settings = settings.log.settings();
    let log = EventLog::open(&settings.event_log(), &log_settings).map_err(usage)?;
    let read_model = settings.read_model();
    let projection = match settings.migrate {
        Switch::On => open_projection(&read_model)?.0,
        Switch::Off => open_as_it_is(&read_model, metrics)?,
    };
    let projector =
        Projector::new(&log, projection, settings.projector.settings(&read_model), metrics.clone())?;
    let projector = projector.telling(feed.clone());
    Ok((log, projector))
}

/// The store as somebody else has made it, which is checked and not changed.
fn open_as_it_is(url: &ReadModelUrl, metrics: &Metrics) -> anyhow::Result<Projection> {
    ReadModel::open(url, metrics.clone()).map_err(usage)?;
    match url {
        ReadModelUrl::Sqlite(_) => Ok(open_projection(url)?.0),
        ReadModelUrl::Mssql(url) => Ok(Projection::Mssql(MssqlProjection::over(url, Handle::current()))),
    }
}

fn open_projection(url: &ReadModelUrl) -> anyhow::Result<(Projection, usize)> {
    if let ReadModelUrl::Sqlite(file) = url
        && let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder).map_err(|error| usage(format!("{}: {error}", folder.display())))?;
    }
    Projection::open(url)
        .map_err(|error| usage(format!("{}: {}", url.name(), shared::telemetry::chain(&error))))
}

/// Waits, as long as the setting says, until a database server lets us in. A file needs no waiting for.
async fn wait_for_read_model(settings: &Settings) -> anyhow::Result<()> {
    let ReadModelUrl::Mssql(url) = settings.read_model() else { return Ok(()) };
    let until = Instant::now() + settings.wait_for;
    loop {
        let Err(error) = shared::mssql::Pool::probe(&url).await else { return Ok(()) };
        // A missing database may be made by the migration, and a refused password does not get better by waiting.
        if error.is_a_missing_database() {
            return Ok(());
        }
        if error.is_a_refused_login() || Instant::now() >= until {
            return Err(usage(format!("READ_MODEL: {}: {error}", url.name())));
        }
        tracing::warn!(%error, "waiting for {}", url.name());
        tokio::time::sleep(WAIT_SLICE).await;
    }
}

#[expect(clippy::too_many_arguments, reason = "called once; a struct would only name them twice")]
async fn start_write_side(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    settings: &Settings,
    roles: Roles,
    log: EventLog,
    projector: Projector,
    metrics: &Metrics,
    commands: Option<(TcpListener, Serving)>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let thread = ProjectorThread::start(projector, stop.clone()).context("projector thread")?;
    let progress = thread.progress();
    tasks.spawn(async move { Ok(thread.ended().await?) });
    if roles.shop && settings.sample == Switch::On && !settings.no_sample {
        let events = sample::load(&log).await.context("loading the sample shop")?;
        if events > 0 {
            tracing::info!(events, "loaded the sample shop");
        }
    }
    if roles.shop && settings.event_rate > 0 {
        let (log, stop, rate) = (log.clone(), stop.clone(), settings.event_rate);
        tasks.spawn(
            async move { produce::simulate(&log, Simulator::new(1), rate, None, &stop, |_| {}).await },
        );
    }
    let (reported, ticking) = (metrics.clone(), stop.clone());
    let watched = progress.clone();
    let letters = Arc::new(DeadLetters::open(&settings.read_model())?);
    let depth = letters.depth(&LetterFilter::default()).await?;
    metrics.dlq_depth.set(depth.cast_signed());
    let counted = letters.clone();
    tasks.spawn(async move {
        report::run(&watched, &counted, &reported, &ticking).await;
        Ok(())
    });
    if let Some(url) = &settings.redis_url {
        // On a connection of its own, so that a mirror that catches up keeps nobody waiting.
        let letters = DeadLetters::open(&settings.read_model())?;
        let mirror = Mirror::new(letters, url.clone(), &settings.dlq_list, metrics.clone());
        let stop = stop.clone();
        tasks.spawn(async move {
            mirror.run(stop).await;
            Ok(())
        });
    }
    if let Some((listener, serving)) = commands {
        let write_side = WriteSide {
            log,
            progress,
            letters,
            admin_token: settings.commands.admin_token.clone(),
            idempotency: Arc::new(idempotency_keys(settings)),
            metrics: metrics.clone(),
        };
        spawn_server(tasks, listener, &serving, write_side::http::router(write_side), stop);
    }
    Ok(())
}

/// In Redis when there is one, because then all write sides know them.
fn idempotency_keys(settings: &Settings) -> IdempotencyKeys {
    match &settings.redis_url {
        Some(url) => IdempotencyKeys::redis(url.clone()),
        None => IdempotencyKeys::sqlite(settings.data_dir.join("idempotency.db")),
    }
}

/// By way of Redis when there is one, because then other processes may listen.
fn change_feed(settings: &Settings, metrics: &Metrics) -> ChangeFeed {
    match &settings.redis_url {
        Some(url) => ChangeFeed::redis(url.clone(), metrics.clone()),
        None => ChangeFeed::in_process(),
    }
}

fn spawn_server(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    listener: TcpListener,
    serving: &Serving,
    router: axum::Router,
    stop: &CancellationToken,
) {
    let server = serving.clone().run(listener, router, stop.clone());
    tasks.spawn(async move {
        server.await;
        Ok(())
    });
}

/// `millrace migrate`
///
/// # Errors
/// What the store says.
pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    wait_for_read_model(settings).await?;
    let url = settings.read_model();
    match open_projection(&url)?.1 {
        0 => say(format_args!("{}: up to date", url.name()))?,
        steps => say(format_args!("{}: {steps} migration step(s) run", url.name()))?,
    }
    Ok(())
}

/// `millrace ready`
///
/// # Errors
/// What is not ready.
pub async fn probe(url: &str) -> anyhow::Result<()> {
    let answer = reqwest::get(url).await.with_context(|| format!("{url} does not answer"))?;
    let status = answer.status();
    let body = answer.text().await?;
    anyhow::ensure!(status.is_success(), "{url} is not ready: {body}");
    Ok(say(body)?)
}

/// What a person wants to know once everything is up.
struct Banner {
    queries: Option<String>,
    commands: Option<String>,
    metrics: Option<String>,
    sample: bool,
}

impl Banner {
    fn of(listeners: &Listeners, settings: &Settings, roles: Roles, scheme: &str) -> Self {
        let url = |scheme: &str, listener: &Option<TcpListener>| {
            let address = listener.as_ref()?.local_addr().ok()?;
            Some(format!("{scheme}://{}", address.to_string().replace("0.0.0.0", "127.0.0.1")))
        };
        Self {
            queries: url(scheme, &listeners.queries),
            commands: url(scheme, &listeners.commands),
            metrics: url("http", &listeners.metrics),
            sample: roles.shop && settings.sample == Switch::On && !settings.no_sample,
        }
    }

    fn print(&self) -> std::io::Result<()> {
        say(format_args!("millrace {} is up\n", env!("CARGO_PKG_VERSION")))?;
        let lines = [
            ("read side", &self.queries, "  REST and GraphQL; a page at /"),
            ("write side", &self.commands, "  commands; a list at /"),
            ("metrics", &self.metrics, "/metrics"),
        ];
        for (name, url, about) in lines {
            if let Some(url) = url {
                say(format_args!("  {name:<11} {url}{about}"))?;
            }
        }
        let (Some(queries), Some(commands)) = (&self.queries, &self.commands) else {
            return Ok(());
        };
        let json = "-H 'content-type: application/json'";
        say("\nTry, in another terminal:\n")?;
        if self.sample {
            say(format_args!("  curl {queries}/users/customer-2"))?;
            say(format_args!(
                "  curl {queries}/graphql {json} -d '{{\"query\":\"{{user(id:\\\"customer-2\\\"){{name recentOrders{{orderId amount payment{{status}}}}}}}}\"}}'"
            ))?;
            say(format_args!(
                "  curl {commands}/api/v1/orders {json} -d '{{\"userId\":\"customer-2\",\"amount\":149.99}}'"
            ))?;
        } else {
            say(format_args!(
                "  curl {commands}/api/v1/users {json} -d '{{\"userId\":\"user-1\",\"email\":\"ada@example.com\",\"name\":\"Ada\"}}'"
            ))?;
            say(format_args!(
                "  curl {commands}/api/v1/orders {json} -d '{{\"userId\":\"user-1\",\"amount\":149.99}}'"
            ))?;
            say(format_args!("  curl {queries}/users/user-1"))?;
        }
        say("\nCtrl-C stops it.")
    }
}
