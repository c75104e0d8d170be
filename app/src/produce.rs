//! `millrace produce`: sends events from a file, simulated ones, or ones from a menu. They go to Kafka if it is the event
//! log, otherwise to the command API of a running process.

mod menu;
mod sink;

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use millrace_event_log::EventLog;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::cli::{ProduceArgs, Settings};
use crate::output::print_line;
use crate::simulator::Simulator;
use crate::{sample, usage};
use sink::EventSink;

/// Events in one request.
const BATCH_EVENTS_MAX: usize = 1_000;
/// Bytes in one request, well below the limit of the command API.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Time between two groups of simulated events.
const TICK: Duration = Duration::from_millis(20);
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// # Errors
/// The file cannot be read, or the events are refused.
pub async fn run(settings: &Settings, arguments: &ProduceArgs) -> anyhow::Result<()> {
    let stop = millrace_platform::shutdown::on_signal().context("signal handlers")?;
    let sink = EventSink::new(settings)?;
    if arguments.interactive {
        return menu::run(&sink, &stop).await;
    }
    match &arguments.file {
        Some(path) => send_file(&sink, path, &stop).await,
        None => {
            let rate = arguments.rate.unwrap_or(settings.event_rate);
            if rate == 0 {
                return Err(usage(
                    "EVENT_RATE: nothing to produce at 0 events per second; use --rate N or --file FILE",
                ));
            }
            send_simulated(&sink, rate, arguments.count, &stop).await
        }
    }
}

async fn send_file(sink: &EventSink, path: &Path, stop: &CancellationToken) -> anyhow::Result<()> {
    let file = File::open(path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
    let bytes = file.metadata().map(|metadata| metadata.len()).ok();
    let bar = progress_bar(bytes, "{wide_bar} {bytes}/{total_bytes} {msg} {eta}");
    let mut lines = BufReader::new(file);
    let (mut events, mut undecodable) = (0_u64, 0_u64);
    loop {
        let batch = read_batch(&mut lines).with_context(|| path.display().to_string())?;
        if batch.is_empty() {
            break;
        }
        anyhow::ensure!(!stop.is_cancelled(), "stopped after {events} events");
        sink.send(&batch, stop).await?;
        events += batch.len() as u64;
        undecodable +=
            batch.iter().filter(|line| sample::record(line, sink.topic()).key.is_none()).count() as u64;
        bar.inc(batch.iter().map(|line| line.len() as u64 + 1).sum());
        bar.set_message(format!("{events} events"));
    }
    bar.finish_and_clear();
    print_line(format_args!("{events} events sent"))?;
    if undecodable > 0 {
        print_line(format_args!(
            "{undecodable} of them are not valid events and become dead letters; see `millrace dead-letters list`"
        ))?;
    }
    Ok(())
}

/// The next lines without blank ones. Empty at the end of the file.
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

async fn send_simulated(
    sink: &EventSink,
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
            sink.send(batch, stop).await?;
            bar.inc(batch.len() as u64);
        }
    }
    bar.finish_and_clear();
    print_line(format_args!("{} events sent", pace.sent))?;
    Ok(())
}

/// Appends simulated events to the log at a steady rate, until `count` is reached or `stop` is cancelled. While the log is
/// unavailable it waits. `sent` receives the number of events of each append.
///
/// # Errors
/// None; the signature is that of a task.
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
                let cause = millrace_platform::telemetry::chain(&error);
                tracing::warn!(target: "millrace::app", "simulator waiting: {cause}");
                stop.run_until_cancelled(tokio::time::sleep(RETRY_WAIT)).await;
            }
        }
    }
    Ok(())
}

/// Computes how many events are due at each tick, so that the rate holds on average.
struct Pace {
    ticks: tokio::time::Interval,
    rate: f64,
    count: Option<u64>,
    sent: u64,
    /// Events that are due and not sent, with a fraction.
    due: f64,
}

impl Pace {
    fn new(rate: u32, count: Option<u64>) -> Self {
        let mut ticks = tokio::time::interval(TICK);
        // After a delay there is no burst that catches up.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, rate: f64::from(rate), count, sent: 0, due: 0.0 }
    }

    /// Waits until at least one event is due; `None` at the end.
    async fn next(&mut self, stop: &CancellationToken) -> Option<u64> {
        loop {
            let left = self.count.map_or(u64::MAX, |count| count - self.sent);
            if left == 0 {
                return None;
            }
            stop.run_until_cancelled(self.ticks.tick()).await?;
            self.due += self.rate * TICK.as_secs_f64();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at most 20,000 a tick"
            )]
            let due = (self.due.floor() as u64).min(left);
            if due > 0 {
                #[expect(clippy::cast_precision_loss, reason = "at most 20,000 a tick")]
                let whole = due as f64;
                self.due -= whole;
                self.sent += due;
                return Some(due);
            }
        }
    }
}

/// Visible on a terminal only.
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
