//! Leaves the consumer group within a bounded time.
//!
//! librdkafka closes a consumer only after its outstanding requests, and not while a partition list that it returned
//! is alive. Both can take arbitrarily long, so a separate thread closes the consumer and `drop` waits for it with a
//! time-out.

use std::ops::Deref;
use std::sync::mpsc;
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;

use super::group::Group;

const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// The client of a group member. Dropping it leaves the group.
pub(super) struct GroupClient(Option<BaseConsumer<Group>>);

impl GroupClient {
    pub(super) fn new(client: BaseConsumer<Group>) -> Self {
        Self(Some(client))
    }
}

impl Deref for GroupClient {
    type Target = BaseConsumer<Group>;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect("only drop takes the client")
    }
}

impl Drop for GroupClient {
    fn drop(&mut self) {
        let client = self.0.take();
        let (done, closed) = mpsc::channel();
        let close = move || {
            drop(client);
            // Fails if `drop` has stopped waiting.
            let _closed = done.send(());
        };
        let closer = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(close);
        if closer.is_ok() && closed.recv_timeout(CLOSE_WAIT).is_err() {
            tracing::warn!(target: "millrace::event_log", "the Kafka consumer did not close in time; continuing without waiting");
        }
    }
}
