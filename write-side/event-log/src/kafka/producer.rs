//! Appends records: all of them are queued in librdkafka first, then their acknowledgements are awaited.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use millrace_domain::record::HeaderView;
use millrace_domain::{NewRecord, Position};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, future_producer::DeliveryFuture};

use super::client::{self, LoggingContext};
use super::settings::KafkaProperties;
use super::topic::RECORD_BYTES_MAX;
use crate::error::LogError;

const DEFAULTS: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("compression.type", "lz4"),
    // How long a record waits for others to share its request.
    ("linger.ms", "1"),
    // The default of the Java client, so that a key has the same partition with every producer.
    ("partitioner", "murmur2_random"),
    ("message.timeout.ms", "10000"),
    ("queue.buffering.max.messages", "100000"),
    ("queue.buffering.max.kbytes", "65536"),
];
/// How long an append waits for space in a queue that is full of records of other appends.
const QUEUE_WAIT: Duration = Duration::from_secs(10);
const QUEUE_CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// Creates the producer. Does not wait for a broker.
pub(super) fn connect(
    brokers: &str,
    properties: &KafkaProperties,
) -> Result<FutureProducer<LoggingContext>, LogError> {
    let bytes_max = RECORD_BYTES_MAX.to_string();
    let defaults = [DEFAULTS, &[("message.max.bytes", bytes_max.as_str())]].concat();
    client::config(brokers, properties, &defaults)?
        .create_with_context(LoggingContext)
        .map_err(client::creation_error)
}

/// Returns when no record of this append is in flight any more, also after a failure.
pub(super) async fn append(
    producer: &FutureProducer<LoggingContext>,
    topic: &str,
    records: Vec<NewRecord>,
) -> Result<Vec<Position>, LogError> {
    let mut append = Append {
        in_flight: VecDeque::with_capacity(records.len()),
        positions: Vec::with_capacity(records.len()),
        failure: None,
    };
    for record in &records {
        if !append.send(producer, topic, record).await {
            break;
        }
    }
    while append.settle_oldest().await {}
    match append.failure {
        None => Ok(append.positions),
        Some(failure) => Err(failure),
    }
}

/// An append in progress.
struct Append {
    in_flight: VecDeque<DeliveryFuture>,
    /// In the order of the records.
    positions: Vec<Position>,
    /// The first failure.
    failure: Option<LogError>,
}

impl Append {
    /// Queues one record. Returns false when that failed.
    async fn send(
        &mut self,
        producer: &FutureProducer<LoggingContext>,
        topic: &str,
        record: &NewRecord,
    ) -> bool {
        let deadline = Instant::now() + QUEUE_WAIT;
        let mut next = FutureRecord::<[u8], [u8]>::to(topic).payload(&record.payload);
        next.key = record.key.as_deref();
        next.headers = headers(record.headers.view());
        loop {
            let (error, refused) = match producer.send_result(next) {
                Ok(delivery) => {
                    self.in_flight.push_back(delivery);
                    return true;
                }
                Err(refused) => refused,
            };
            let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            if !is_full || Instant::now() >= deadline {
                self.fail(error);
                return false;
            }
            next = refused;
            // Acknowledged records leave the queue. Those of this append come first, so that it cannot block itself.
            if !self.settle_oldest().await {
                tokio::time::sleep(QUEUE_CHECK_INTERVAL).await;
            }
        }
    }

    /// Awaits the oldest record in flight. Returns false when there is none.
    async fn settle_oldest(&mut self) -> bool {
        let Some(delivery) = self.in_flight.pop_front() else {
            return false;
        };
        match delivery.await {
            Ok(Ok(delivery)) => {
                self.positions.push(Position { partition: delivery.partition, offset: delivery.offset });
            }
            Ok(Err((error, _))) => self.fail(error),
            Err(_) => self.fail(KafkaError::Canceled),
        }
        true
    }

    fn fail(&mut self, error: KafkaError) {
        self.failure.get_or_insert_with(|| failure(error));
    }
}

fn headers(view: HeaderView<'_>) -> Option<OwnedHeaders> {
    let mut all = None;
    for (key, value) in view.iter() {
        let value = Some(value);
        all = Some(all.unwrap_or_else(OwnedHeaders::new).insert(Header { key, value }));
    }
    all
}

fn failure(error: KafkaError) -> LogError {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => LogError::Fatal(format!(
            "the topic does not accept a record of this size; set its max.message.bytes to {RECORD_BYTES_MAX}"
        )),
        Some(Code::Fatal) => LogError::Fatal(format!("the Kafka producer has failed permanently: {error}")),
        _ => LogError::unavailable(error),
    }
}
