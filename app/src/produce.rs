//! `millrace produce`: events from a file or made up, to Kafka when the log is Kafka, else to a running write side.

mod menu;

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use millrace_domain::NewRecord;
use millrace_event_log::{DEFAULT_TOPIC, EventLog, EventLogUrl, LogError};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::cli::{ProduceArgs, Settings};
use crate::output::print_line;
use crate::simulator::Simulator;
use crate::{sample, usage};

/// Events sent together, at most.
const BATCH_EVENTS_MAX: usize = 1_000;
/// Bytes sent together, at most: well below what the write side reads.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Made-up events are sent this often.
const TICK: Duration = Duration::from_millis(20);
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Where events go.
enum Target {
    Log(EventLog),
    Http { client: reqwest::Client, url: String },
}

impl Target {
    fn of(settings: &Settings) -> anyhow::Result<Self> {
        match settings.event_log() {
            url @ EventLogUrl::Kafka { .. } => {
                let log_settings = settings.log.settings();
                Ok(Self::Log(EventLog::open(&url, &log_settings).map_err(usage)?))
            }
            // The embedded log has one owner; it takes events over HTTP.
            EventLogUrl::Embedded(_) => {
                let url = settings.command_url("/api/v1/events").map_err(usage)?;
                // A proxy that the environment names is for other machines.
                let client = reqwest::Client::builder().no_proxy().build()?;
                Ok(Self::Http { client, url })
            }
        }
    }

    fn topic(&self) -> &str {
        match self {
            Self::Log(log) => log.topic(),
            Self::Http { .. } => DEFAULT_TOPIC,
        }
    }

    /// Sends lines until they are taken; waits, and says so, while nobody takes them.
    async fn send(&self, lines: &[Vec<u8>], stop: &CancellationToken) -> anyhow::Result<()> {
        loop {
            match self.try_send(lines).await {
                Ok(()) => return Ok(()),
                Err(SendError::Refused(why)) => anyhow::bail!("the events are refused: {why}"),
                Err(SendError::Away(error)) => tracing::warn!("waiting: {error:#}"),
            }
            let wait = tokio::time::sleep(RETRY_WAIT);
            anyhow::ensure!(stop.run_until_cancelled(wait).await.is_some(), "stopped before all was sent");
        }
    }

    async fn try_send(&self, lines: &[Vec<u8>]) -> Result<(), SendError> {
        match self {
            Self::Log(log) => {
                let records: Vec<NewRecord> =
                    lines.iter().map(|line| sample::record(line, log.topic())).collect();
                log.append(records).await.map_err(|error| match error {
                    LogError::Fatal(why) => SendError::Refused(why),
                    error @ LogError::Unavailable(_) => SendError::Away(error.into()),
                })?;
                Ok(())
            }
            Self::Http { client, url } => {
                let request = client.post(url).header("content-type", "application/x-ndjson");
                let sent = request.body(lines.join(&b'\n')).send().await;
                let away = || format!("no write side answers at {url}; start one with `millrace`");
                let answer = sent.with_context(away).map_err(SendError::Away)?;
                let status = answer.status();
                let body = answer.text().await.context("the answer broke off").map_err(SendError::Away)?;
                match status {
                    status if status.is_success() => {}
                    status if status.is_server_error() => {
                        return Err(SendError::Away(anyhow::anyhow!("{status}: {body}")));
                    }
                    status => return Err(SendError::Refused(format!("{status}: {body}"))),
                }
                Ok(())
            }
        }
    }
}

enum SendError {
    Away(anyhow::Error),
    Refused(String),
}

/// Runs `millrace produce`.
///
/// # Errors
/// When the file cannot be read, or the events are refused.
pub async fn run(settings: &Settings, arguments: &ProduceArgs) -> anyhow::Result<()> {
    let stop = millrace_platform::shutdown::on_signal().context("signal handlers")?;
    let target = Target::of(settings)?;
    if arguments.interactive {
        return menu::run(&target, &stop).await;
    }
    match &arguments.file {
        Some(path) => send_file(&target, path, &stop).await,
        None => {
            let rate = arguments.rate.unwrap_or(settings.event_rate);
            if rate == 0 {
                return Err(usage("--rate (or EVENT_RATE) is 0, so there is nothing to produce"));
            }
            send_made_up(&target, rate, arguments.count, &stop).await
        }
    }
}

async fn send_file(target: &Target, path: &Path, stop: &CancellationToken) -> anyhow::Result<()> {
    let opened = File::open(path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
    let bytes = opened.metadata().map(|metadata| metadata.len()).ok();
    let bar = progress_bar(bytes, "{wide_bar} {bytes}/{total_bytes} {msg} {eta}");
    let mut lines = BufReader::new(opened);
    let (mut events, mut undecodable) = (0_u64, 0_u64);
    loop {
        let batch = read_batch(&mut lines).with_context(|| path.display().to_string())?;
        if batch.is_empty() {
            break;
        }
        anyhow::ensure!(!stop.is_cancelled(), "stopped after {events} events");
        target.send(&batch, stop).await?;
        events += batch.len() as u64;
        undecodable +=
            batch.iter().filter(|line| sample::record(line, target.topic()).key.is_none()).count() as u64;
        bar.inc(batch.iter().map(|line| line.len() as u64 + 1).sum());
        bar.set_message(format!("{events} events"));
    }
    bar.finish_and_clear();
    print_line(format_args!("{events} events sent"))?;
    if undecodable > 0 {
        print_line(format_args!(
            "{undecodable} of them are no events and become dead letters; see `millrace dead-letters list`"
        ))?;
    }
    Ok(())
}

/// The next lines, without blank ones; none at the end of the file.
fn read_batch(lines: &mut impl BufRead) -> std::io::Result<Vec<Vec<u8>>> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH_EVENTS_MAX && bytes < BATCH_BYTES_MAX {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let line = line.trim_ascii();
        if !line.is_empty() {
            bytes += line.len();
            batch.push(line.to_vec());
        }
    }
    Ok(batch)
}

async fn send_made_up(
    target: &Target,
    rate: u32,
    count: Option<u64>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let bar = progress_bar(count, "{wide_bar} {pos}/{len} events {per_sec} {eta}");
    let mut simulator = Simulator::new(rand::random());
    let mut pace = Pace::new(rate, count);
    while let Some(due) = pace.next(stop).await {
        let lines: Vec<_> = (0..due).map(|_| simulator.next_event().to_record().payload).collect();
        for batch in lines.chunks(BATCH_EVENTS_MAX) {
            target.send(batch, stop).await?;
            bar.inc(batch.len() as u64);
        }
    }
    bar.finish_and_clear();
    print_line(format_args!("{} events sent", pace.sent))?;
    Ok(())
}

/// Appends made-up events straight to the log, at a steady rate, until `count` is reached or it is told to stop.
/// While the log is away it waits. `sent` is told how many went each time.
///
/// # Errors
/// None so far; the signature is that of a task.
pub async fn simulate(
    log: &EventLog,
    mut simulator: Simulator,
    rate: u32,
    count: Option<u64>,
    stop: &CancellationToken,
    sent: impl Fn(usize),
) -> anyhow::Result<()> {
    let mut pace = Pace::new(rate, count);
    while let Some(due) = pace.next(stop).await {
        let records: Vec<_> = (0..due).map(|_| simulator.next_event().to_record()).collect();
        match log.append(records).await {
            Ok(positions) => sent(positions.len()),
            Err(error) => {
                tracing::warn!("the simulator waits: {}", millrace_platform::telemetry::chain(&error));
                stop.run_until_cancelled(tokio::time::sleep(RETRY_WAIT)).await;
            }
        }
    }
    Ok(())
}

/// Tells how many events are due, tick by tick, so that the rate holds on average.
struct Pace {
    ticks: tokio::time::Interval,
    rate: f64,
    count: Option<u64>,
    sent: u64,
    owed: f64,
}

impl Pace {
    fn new(rate: u32, count: Option<u64>) -> Self {
        let mut ticks = tokio::time::interval(TICK);
        // What could not be sent in time is not made up for in a burst.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, rate: f64::from(rate), count, sent: 0, owed: 0.0 }
    }

    /// Waits until at least one event is due; `None` at the end.
    async fn next(&mut self, stop: &CancellationToken) -> Option<u64> {
        loop {
            let left = self.count.map_or(u64::MAX, |count| count - self.sent);
            if left == 0 {
                return None;
            }
            stop.run_until_cancelled(self.ticks.tick()).await?;
            self.owed += self.rate * TICK.as_secs_f64();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at most 20,000 a tick"
            )]
            let due = (self.owed.floor() as u64).min(left);
            if due > 0 {
                #[expect(clippy::cast_precision_loss, reason = "at most 20,000 a tick")]
                let paid = due as f64;
                self.owed -= paid;
                self.sent += due;
                return Some(due);
            }
        }
    }
}

/// A bar on a terminal, nothing elsewhere.
pub(crate) fn progress_bar(length: Option<u64>, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    match length {
        Some(length) => {
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(length).with_style(style)
        }
        None => ProgressBar::new_spinner().with_style(
            ProgressStyle::with_template("{spinner} {pos} events {per_sec}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        ),
    }
}
