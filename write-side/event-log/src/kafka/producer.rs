//! Appends: every record is handed to librdkafka at once, then all acknowledgements are awaited.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use millrace_domain::record::HeaderView;
use millrace_domain::{NewRecord, Position};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, future_producer::DeliveryFuture};

use super::super::LogError;
use super::client::{self, Says};
use super::settings::KafkaProperties;
use super::topic::RECORD_BYTES_MAX;

const OURS: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("compression.type", "lz4"),
    // Appends that arrive together share a request; nobody waits longer than this for company.
    ("linger.ms", "1"),
    // Java's default, so that one key lands in one partition whoever writes it.
    ("partitioner", "murmur2_random"),
    ("message.timeout.ms", "10000"),
    ("queue.buffering.max.messages", "100000"),
    ("queue.buffering.max.kbytes", "65536"),
];
/// How long a record waits for room in the queue, when nothing of its own append could make room.
const QUEUE_WAIT: Duration = Duration::from_secs(10);
const QUEUE_LOOK: Duration = Duration::from_millis(5);

/// Makes the producer. Does not wait for brokers.
pub(super) fn connect(brokers: &str, properties: &KafkaProperties) -> Result<FutureProducer<Says>, LogError> {
    let bytes_max = RECORD_BYTES_MAX.to_string();
    let ours = [OURS, &[("message.max.bytes", bytes_max.as_str())]].concat();
    client::config(brokers, properties, &ours)?.create_with_context(Says).map_err(client::refused)
}

/// See [`super::KafkaLog::append`]. Returns when nothing of it is in flight any more, whatever became of it.
pub(super) async fn append(
    producer: &FutureProducer<Says>,
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

/// An append under way.
struct Append {
    in_flight: VecDeque<DeliveryFuture>,
    /// In the order of the records.
    positions: Vec<Position>,
    /// The first one.
    failure: Option<LogError>,
}

impl Append {
    /// Hands one record over; false when it cannot be done.
    async fn send(&mut self, producer: &FutureProducer<Says>, topic: &str, record: &NewRecord) -> bool {
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
            if !self.settle_oldest().await {
                tokio::time::sleep(QUEUE_LOOK).await;
            }
        }
    }

    /// Awaits the oldest record in flight; false when there is none.
    async fn settle_oldest(&mut self) -> bool {
        let Some(delivery) = self.in_flight.pop_front() else {
            return false;
        };
        match delivery.await {
            Ok(Ok(stands)) => {
                self.positions.push(Position { partition: stands.partition, offset: stands.offset });
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
            "the topic takes no record of this size; set its max.message.bytes to {RECORD_BYTES_MAX}"
        )),
        Some(Code::Fatal) => LogError::Fatal(format!("the Kafka producer has stopped for good: {error}")),
        _ => LogError::unavailable(error),
    }
}
