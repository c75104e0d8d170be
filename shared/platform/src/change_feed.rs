//! The change feed: what the projector changed, told to those who watch. Best effort; it never makes the projector wait.
//!
//! In one process it is a channel, and nothing is computed while nobody listens. Between processes it is Redis' pub/sub,
//! which forgets what nobody hears: so listeners are told when they may have missed something, and read again.

use std::sync::{Arc, Once};
use std::time::Duration;

use futures_util::StreamExt;
use millrace_domain::change::Changes;
use prometheus::IntCounter;
use redis::aio::{MultiplexedConnection, PubSub};
use tokio::sync::{broadcast, mpsc};

use crate::metrics::MetricsRegistry;
use crate::redis::{ANSWER_MAX, RedisFailure, RedisUrl, bounded};

/// The channel of Redis' pub/sub.
pub const CHANNEL: &str = "millrace.changes";
/// Messages that a slow listener may be behind before it is told that it missed some.
const BEHIND_MAX: usize = 1_024;
/// Messages that wait for Redis, at most; more are dropped and counted.
const QUEUE_MAX: usize = 256;
/// How long Redis is left alone after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Silence after which a listening connection is asked whether it is there still.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// What a listener hears.
#[derive(Debug, Clone)]
pub enum Heard {
    /// These rows may have changed.
    Changes(Arc<Changes>),
    /// Something may have been missed: read again.
    Missed,
}

/// The feed. Clones are the same feed.
#[derive(Debug, Clone)]
pub enum ChangeFeed {
    /// Within this process.
    InProcess(broadcast::Sender<Heard>),
    /// Between processes.
    Redis(Arc<RedisFeed>),
}

/// The feed by way of Redis.
#[derive(Debug)]
pub struct RedisFeed {
    url: RedisUrl,
    /// Of the role that publishes; a read side only listens.
    outgoing: Option<(mpsc::Sender<String>, FeedMetrics)>,
    heard: broadcast::Sender<Heard>,
    listening: Once,
}

/// Messages to Redis, counted by the role that publishes.
#[derive(Debug, Clone)]
pub struct FeedMetrics {
    published: IntCounter,
    dropped: IntCounter,
}

impl FeedMetrics {
    /// Registers them.
    pub fn register(registry: &MetricsRegistry) -> Self {
        Self {
            published: registry
                .counter("millrace_change_feed_published_total", "Change messages published to Redis"),
            dropped: registry.counter(
                "millrace_change_feed_dropped_total",
                "Change messages dropped because Redis was slow",
            ),
        }
    }
}

/// One listener's end.
#[derive(Debug)]
pub struct Listener(broadcast::Receiver<Heard>);

impl ChangeFeed {
    /// A feed within this process.
    pub fn in_process() -> Self {
        Self::InProcess(broadcast::Sender::new(BEHIND_MAX))
    }

    /// A feed by way of Redis, which need not be available. Must be called within a runtime, where its work is done.
    pub fn redis(url: RedisUrl, metrics: FeedMetrics) -> Self {
        let (outgoing, queue) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(publish_all(url.clone(), queue, metrics.clone()));
        Self::redis_with(url, Some((outgoing, metrics)))
    }

    /// The same feed for a process that only listens.
    pub fn redis_listener(url: RedisUrl) -> Self {
        Self::redis_with(url, None)
    }

    fn redis_with(url: RedisUrl, outgoing: Option<(mpsc::Sender<String>, FeedMetrics)>) -> Self {
        let heard = broadcast::Sender::new(BEHIND_MAX);
        Self::Redis(Arc::new(RedisFeed { url, outgoing, heard, listening: Once::new() }))
    }

    /// Tells what changed, without waiting. `changes` is only asked for when somebody may listen.
    pub fn publish(&self, changes: impl FnOnce() -> Vec<Changes>) {
        match self {
            Self::InProcess(heard) if heard.receiver_count() == 0 => {}
            Self::InProcess(heard) => {
                for message in changes() {
                    // The last listener may just have left.
                    let _gone = heard.send(Heard::Changes(Arc::new(message)));
                }
            }
            Self::Redis(feed) => {
                let Some((outgoing, metrics)) = &feed.outgoing else { return };
                for message in changes() {
                    let text = serde_json::to_string(&message).expect("keys always serialise");
                    if outgoing.try_send(text).is_err() {
                        metrics.dropped.inc();
                    }
                }
            }
        }
    }

    /// Listens from now on. On Redis the first call must be made within a runtime.
    pub fn listen(&self) -> Listener {
        match self {
            Self::InProcess(heard) => Listener(heard.subscribe()),
            Self::Redis(feed) => {
                let listener = Listener(feed.heard.subscribe());
                feed.listening.call_once(|| {
                    tokio::spawn(listen_always(feed.url.clone(), feed.heard.clone()));
                });
                listener
            }
        }
    }
}

impl Default for ChangeFeed {
    fn default() -> Self {
        Self::in_process()
    }
}

impl Listener {
    /// What is told next; `None` once the feed is gone.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(heard) => Some(heard),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Heard::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Publishes what stands in the queue until the feed is gone.
async fn publish_all(url: RedisUrl, mut queue: mpsc::Receiver<String>, metrics: FeedMetrics) {
    let mut connection = None;
    let mut away = false;
    while let Some(message) = queue.recv().await {
        match publish(&url, &mut connection, &message).await {
            Ok(()) => {
                away = false;
                metrics.published.inc();
            }
            Err(error) => {
                if !away {
                    tracing::warn!(redis = %url, "changes are not told: {}", crate::telemetry::chain(&error));
                }
                away = true;
                connection = None;
                metrics.dropped.inc();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn publish(
    url: &RedisUrl,
    connection: &mut Option<MultiplexedConnection>,
    message: &str,
) -> Result<(), RedisFailure> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(url.connect().await?),
    };
    bounded(ANSWER_MAX, redis::cmd("PUBLISH").arg(CHANNEL).arg(message).exec_async(connection)).await
}

/// Hears what is published for as long as the process lives.
async fn listen_always(url: RedisUrl, heard: broadcast::Sender<Heard>) {
    let mut away = false;
    loop {
        let ended = match url.listen(CHANNEL).await {
            Ok(connection) => {
                away = false;
                // Nobody knows what was told while nobody listened.
                let _nobody = heard.send(Heard::Missed);
                hear(connection, &heard).await
            }
            Err(error) => error,
        };
        if !away {
            tracing::warn!(redis = %url, "changes are not heard: {}", crate::telemetry::chain(&ended));
        }
        away = true;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Hears until the connection fails; says how.
async fn hear(connection: PubSub, heard: &broadcast::Sender<Heard>) -> RedisFailure {
    let (mut ask, mut messages) = connection.split();
    loop {
        match tokio::time::timeout(SILENCE_MAX, messages.next()).await {
            Ok(Some(message)) => {
                // What is no change is another's message on our channel.
                let changes = serde_json::from_slice::<Changes>(message.get_payload_bytes());
                let told = changes.map_or(Heard::Missed, |changes| Heard::Changes(Arc::new(changes)));
                let _nobody = heard.send(told);
            }
            Ok(None) => return RedisFailure::Silent(Duration::ZERO),
            Err(_) => {
                if let Err(error) = bounded(ANSWER_MAX, ask.ping::<redis::Value>()).await {
                    return error;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_computed_while_nobody_listens() {
        let feed = ChangeFeed::in_process();
        feed.publish(|| panic!("nobody listens"));
        let mut listener = feed.listen();
        feed.publish(|| vec![Changes { truncated: true, ..Changes::default() }]);
        assert!(matches!(listener.next().await, Some(Heard::Changes(changes)) if changes.truncated));
        for _ in 0..=BEHIND_MAX {
            feed.publish(|| vec![Changes::default()]);
        }
        assert!(matches!(listener.next().await, Some(Heard::Missed)), "a slow listener is told");
        drop(feed);
        while let Some(heard) = listener.next().await {
            assert!(matches!(heard, Heard::Changes(_)));
        }
    }
}
