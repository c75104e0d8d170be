//! Leaving the group in bounded time.
//!
//! librdkafka closes a consumer when it likes: after its outstanding requests, never while a partition list it gave
//! out is still held. So a thread of its own closes it, and whoever drops the consumer waits only so long.

use std::ops::Deref;
use std::sync::mpsc;
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;

use super::group::Group;

const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// The client, which leaves the group when it is dropped, within a bounded time.
pub(super) struct Client(Option<BaseConsumer<Group>>);

impl Client {
    pub(super) fn new(client: BaseConsumer<Group>) -> Self {
        Self(Some(client))
    }
}

impl Deref for Client {
    type Target = BaseConsumer<Group>;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect("taken only by drop")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let client = self.0.take();
        let (done, closed) = mpsc::channel();
        let close = move || {
            drop(client);
            // The other side has given up waiting.
            let _gone = done.send(());
        };
        let closer = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(close);
        if closer.is_ok() && closed.recv_timeout(CLOSE_WAIT).is_err() {
            tracing::warn!("Kafka did not let the consumer leave in time; going without");
        }
    }
}
