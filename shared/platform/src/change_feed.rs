//! The change feed: reports to subscribers which rows the projector has changed. It never makes the projector wait.
//!
//! Within a process it is a channel. Between processes it is Redis pub/sub, which loses messages while a subscriber is
//! not connected. Subscribers therefore receive [`FeedMessage::Missed`] after each gap and read everything again.

use std::sync::{Arc, Once};
use std::time::Duration;

use futures_util::StreamExt;
use millrace_domain::change::Changes;
use prometheus::IntCounter;
use redis::aio::{MultiplexedConnection, PubSub};
use tokio::sync::{broadcast, mpsc};

use crate::metrics::MetricsRegistry;
use crate::redis::{RESPONSE_TIMEOUT, RedisFailure, RedisUrl, with_timeout};
use crate::telemetry::chain;

/// The channel of Redis pub/sub.
pub const CHANNEL: &str = "millrace.changes";
/// Messages that a slow subscriber can be behind before it receives [`FeedMessage::Missed`].
const BUFFERED_MAX: usize = 1_024;
/// Messages that can wait for Redis. Further ones are dropped and counted.
const QUEUE_MAX: usize = 256;
/// Delay before the next attempt after a failure of Redis.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// A subscribed connection is pinged when it has received no message for this long.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// A message to a subscriber.
#[derive(Debug, Clone)]
pub enum FeedMessage {
    /// These rows may have changed.
    Changes(Arc<Changes>),
    /// Messages may have been lost: read everything again.
    Missed,
}

/// Clones share the feed.
#[derive(Debug, Clone)]
pub enum ChangeFeed {
    InProcess(broadcast::Sender<FeedMessage>),
    Redis(Arc<RedisFeed>),
}

/// The feed between processes.
#[derive(Debug)]
pub struct RedisFeed {
    url: RedisUrl,
    /// `None` in a process that only subscribes.
    outgoing: Option<(mpsc::Sender<String>, FeedMetrics)>,
    messages: broadcast::Sender<FeedMessage>,
    subscribed: Once,
}

/// Metrics of the role that publishes to Redis.
#[derive(Debug, Clone)]
pub struct FeedMetrics {
    published: IntCounter,
    dropped: IntCounter,
}

impl FeedMetrics {
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

#[derive(Debug)]
pub struct Subscriber(broadcast::Receiver<FeedMessage>);

impl ChangeFeed {
    /// A feed within one process.
    pub fn in_process() -> Self {
        Self::InProcess(broadcast::Sender::new(BUFFERED_MAX))
    }

    /// A feed through Redis, which may be unavailable. Must be called within a runtime.
    pub fn redis(url: RedisUrl, metrics: FeedMetrics) -> Self {
        let (outgoing, queue) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(publish_all(url.clone(), queue, metrics.clone()));
        Self::redis_with(url, Some((outgoing, metrics)))
    }

    /// A feed through Redis for a process that only subscribes.
    pub fn redis_subscriber(url: RedisUrl) -> Self {
        Self::redis_with(url, None)
    }

    fn redis_with(url: RedisUrl, outgoing: Option<(mpsc::Sender<String>, FeedMetrics)>) -> Self {
        let messages = broadcast::Sender::new(BUFFERED_MAX);
        Self::Redis(Arc::new(RedisFeed { url, outgoing, messages, subscribed: Once::new() }))
    }

    /// Publishes changes without waiting. `changes` is not called if there is certainly no subscriber.
    pub fn publish(&self, changes: impl FnOnce() -> Vec<Changes>) {
        match self {
            Self::InProcess(messages) if messages.receiver_count() == 0 => {}
            Self::InProcess(messages) => {
                for message in changes() {
                    // Fails if the last subscriber was dropped meanwhile.
                    let _closed = messages.send(FeedMessage::Changes(Arc::new(message)));
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

    /// Subscribes to the messages from now on. On Redis the first call must be within a runtime.
    pub fn subscribe(&self) -> Subscriber {
        match self {
            Self::InProcess(messages) => Subscriber(messages.subscribe()),
            Self::Redis(feed) => {
                let subscriber = Subscriber(feed.messages.subscribe());
                feed.subscribed.call_once(|| {
                    tokio::spawn(receive_all(feed.url.clone(), feed.messages.clone()));
                });
                subscriber
            }
        }
    }
}

impl Default for ChangeFeed {
    fn default() -> Self {
        Self::in_process()
    }
}

impl Subscriber {
    /// The next message; `None` once the feed is dropped.
    pub async fn next(&mut self) -> Option<FeedMessage> {
        match self.0.recv().await {
            Ok(message) => Some(message),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(FeedMessage::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Publishes the queued messages until the feed is dropped.
async fn publish_all(url: RedisUrl, mut queue: mpsc::Receiver<String>, metrics: FeedMetrics) {
    let mut connection = None;
    let mut unavailable = false;
    while let Some(message) = queue.recv().await {
        match publish(&url, &mut connection, &message).await {
            Ok(()) => {
                unavailable = false;
                metrics.published.inc();
            }
            Err(error) => {
                // One log message for each outage, not for each attempt.
                if !unavailable {
                    tracing::warn!(target: "millrace::platform", redis = %url, "failed to publish changes: {}", chain(&error));
                }
                unavailable = true;
                connection = None;
                metrics.dropped.inc();
                tokio::time::sleep(RETRY_DELAY).await;
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
    with_timeout(RESPONSE_TIMEOUT, redis::cmd("PUBLISH").arg(CHANNEL).arg(message).exec_async(connection))
        .await
}

/// Forwards the messages of Redis to the subscribers; reconnects for ever.
async fn receive_all(url: RedisUrl, messages: broadcast::Sender<FeedMessage>) {
    let mut unavailable = false;
    loop {
        let error = match url.subscribe(CHANNEL).await {
            Ok(connection) => {
                unavailable = false;
                // Messages from before the subscription are lost. This message is sent after it, so that no change can
                // be in between.
                let _no_subscriber = messages.send(FeedMessage::Missed);
                receive(connection, &messages).await
            }
            Err(error) => error,
        };
        if !unavailable {
            tracing::warn!(target: "millrace::platform", redis = %url, "failed to receive changes: {}", chain(&error));
        }
        unavailable = true;
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// Forwards messages until the connection fails, and returns the error.
async fn receive(connection: PubSub, subscribers: &broadcast::Sender<FeedMessage>) -> RedisFailure {
    let (mut commands, mut messages) = connection.split();
    loop {
        match tokio::time::timeout(PING_INTERVAL, messages.next()).await {
            Ok(Some(message)) => {
                // A message of another form was published by another program. It is treated as a gap.
                let changes = serde_json::from_slice::<Changes>(message.get_payload_bytes());
                let message =
                    changes.map_or(FeedMessage::Missed, |changes| FeedMessage::Changes(Arc::new(changes)));
                let _no_subscriber = subscribers.send(message);
            }
            Ok(None) => return RedisFailure::Timeout(Duration::ZERO),
            Err(_) => {
                if let Err(error) = with_timeout(RESPONSE_TIMEOUT, commands.ping::<redis::Value>()).await {
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
    async fn nothing_is_computed_without_a_subscriber() {
        let feed = ChangeFeed::in_process();
        feed.publish(|| panic!("there is no subscriber"));
        let mut subscriber = feed.subscribe();
        feed.publish(|| vec![Changes { truncated: true, ..Changes::default() }]);
        assert!(matches!(subscriber.next().await, Some(FeedMessage::Changes(changes)) if changes.truncated));
        for _ in 0..=BUFFERED_MAX {
            feed.publish(|| vec![Changes::default()]);
        }
        assert!(
            matches!(subscriber.next().await, Some(FeedMessage::Missed)),
            "a slow subscriber is notified"
        );
        drop(feed);
        while let Some(message) = subscriber.next().await {
            assert!(matches!(message, FeedMessage::Changes(_)));
        }
    }
}
