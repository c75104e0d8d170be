//! Where `millrace produce` sends events, and how it waits while the destination is unavailable.

use std::time::Duration;

use anyhow::Context;
use millrace_domain::NewRecord;
use millrace_event_log::{DEFAULT_TOPIC, EventLog, EventLogUrl, LogError};
use tokio_util::sync::CancellationToken;

use crate::cli::Settings;
use crate::{sample, usage};

const RETRY_WAIT: Duration = Duration::from_secs(1);

/// The destination of events.
pub(super) enum EventSink {
    Log(EventLog),
    CommandApi { client: reqwest::Client, url: String },
}

impl EventSink {
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        match settings.event_log() {
            url @ EventLogUrl::Kafka { .. } => {
                let log_settings = settings.log.settings();
                Ok(Self::Log(EventLog::open(&url, &log_settings).map_err(usage)?))
            }
            // An embedded log belongs to one process, which accepts events by HTTP.
            EventLogUrl::Embedded(_) => {
                let url = settings.command_url("/api/v1/events").map_err(usage)?;
                // The URL is local: a proxy from the environment does not apply.
                let client = reqwest::Client::builder().no_proxy().build()?;
                Ok(Self::CommandApi { client, url })
            }
        }
    }

    pub(super) fn topic(&self) -> &str {
        match self {
            Self::Log(log) => log.topic(),
            Self::CommandApi { .. } => DEFAULT_TOPIC,
        }
    }

    /// Sends lines. While the destination is unavailable it waits and logs that it does.
    pub(super) async fn send(&self, lines: &[Vec<u8>], stop: &CancellationToken) -> anyhow::Result<()> {
        loop {
            match self.try_send(lines).await {
                Ok(()) => return Ok(()),
                Err(SendError::Refused(cause)) => anyhow::bail!("events refused: {cause}"),
                Err(SendError::Unavailable(error)) => {
                    tracing::warn!(target: "millrace::app", "event log unavailable; retrying: {error:#}");
                }
            }
            let wait = tokio::time::sleep(RETRY_WAIT);
            anyhow::ensure!(
                stop.run_until_cancelled(wait).await.is_some(),
                "stopped before all events were sent"
            );
        }
    }

    async fn try_send(&self, lines: &[Vec<u8>]) -> Result<(), SendError> {
        match self {
            Self::Log(log) => {
                let records: Vec<NewRecord> =
                    lines.iter().map(|line| sample::record(line, log.topic())).collect();
                log.append(records).await.map_err(|error| match error {
                    LogError::Fatal(cause) => SendError::Refused(cause),
                    error @ LogError::Unavailable(_) => SendError::Unavailable(error.into()),
                })?;
                Ok(())
            }
            Self::CommandApi { client, url } => post(client, url, lines.join(&b'\n')).await,
        }
    }
}

async fn post(client: &reqwest::Client, url: &str, body: Vec<u8>) -> Result<(), SendError> {
    let request = client.post(url).header("content-type", "application/x-ndjson").body(body);
    let response = request.send().await;
    let response = response
        .with_context(|| format!("no command API at {url}; start one with `millrace`"))
        .map_err(SendError::Unavailable)?;
    let status = response.status();
    let body = response.text().await.context("response incomplete").map_err(SendError::Unavailable)?;
    match status {
        status if status.is_success() => Ok(()),
        status if status.is_server_error() => {
            Err(SendError::Unavailable(anyhow::anyhow!("{status}: {body}")))
        }
        status => Err(SendError::Refused(format!("{status}: {body}"))),
    }
}

enum SendError {
    /// Temporary.
    Unavailable(anyhow::Error),
    /// The same events would be refused again.
    Refused(String),
}
