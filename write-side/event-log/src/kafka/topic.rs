//! Checks the name of the topic and creates the topic.
//!
//! Many brokers create a missing topic, with their default number of partitions, as soon as a producer requests its
//! metadata. So a thread creates the topic first, retrying while no broker is available, and appends wait for it.

use std::time::{Duration, Instant};

use millrace_domain::record::PAYLOAD_BYTES_MAX;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::watch;

use super::client::LoggingContext;
use crate::error::LogError;

/// Largest record in bytes: the payload, and 64 KiB for key and headers.
pub(super) const RECORD_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 64 * 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
const RETRY_DELAY: Duration = Duration::from_secs(1);
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// Refuses a name that Kafka does not accept.
pub(super) fn check_name(topic: &str) -> Result<(), LogError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let reserved = topic == "." || topic == "..";
    if (1..=249).contains(&topic.len()) && topic.bytes().all(allowed) && !reserved {
        Ok(())
    } else {
        Err(LogError::Fatal(
            "invalid Kafka topic; expected 1 to 249 of the characters A-Z a-z 0-9 . _ -".to_owned(),
        ))
    }
}

/// Becomes true once the topic exists, or once it is certain that Millrace cannot create it.
pub(super) struct TopicReady(watch::Receiver<bool>);

impl TopicReady {
    /// Starts the thread. It ends when the topic is ready or `self` is dropped.
    pub(super) fn start(config: ClientConfig, topic: String, partitions: i32) -> Result<Self, LogError> {
        let (sender, receiver) = watch::channel(false);
        let create = move || {
            while !sender.is_closed() {
                if try_create(&config, &topic, partitions) {
                    // Fails if the log was dropped meanwhile.
                    let _closed = sender.send(true);
                    return;
                }
                std::thread::sleep(RETRY_DELAY);
            }
        };
        std::thread::Builder::new()
            .name("kafka-topic".to_owned())
            .spawn(create)
            .map_err(|error| LogError::Fatal(format!("failed to start a thread for Kafka: {error}")))?;
        Ok(Self(receiver))
    }

    /// Waits until the topic is ready.
    pub(super) async fn wait(&self, wait: Duration) -> Result<(), LogError> {
        if *self.0.borrow() {
            return Ok(());
        }
        let mut ready = self.0.clone();
        match tokio::time::timeout(wait, ready.wait_for(|ready| *ready)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(LogError::unavailable("no Kafka broker has been reached yet")),
        }
    }

    /// As [`TopicReady::wait`], for threads outside of a runtime. Returns without an error after the time-out.
    pub(super) fn wait_blocking(&self, wait: Duration) {
        let start = Instant::now();
        while !*self.0.borrow() && start.elapsed() < wait {
            std::thread::sleep(CHECK_INTERVAL);
        }
    }
}

/// Tries once. Returns true when another attempt would not change the result.
fn try_create(config: &ClientConfig, topic: &str, partitions: i32) -> bool {
    match create_if_missing(config, topic, partitions) {
        Ok(Creation::Exists) | Ok(Creation::Refused(RDKafkaErrorCode::TopicAlreadyExists)) => true,
        Ok(Creation::Created) => {
            tracing::info!(target: "millrace::event_log", topic, partitions, "created the topic");
            true
        }
        // No permission, or a policy of the cluster. The topic may exist without being visible to this client, or the
        // brokers may create it, so the appends are tried.
        Ok(Creation::Refused(error)) if !is_transient(error) => {
            tracing::warn!(target: "millrace::event_log", topic, %error, "not allowed to create the topic; assuming that it exists");
            true
        }
        Ok(Creation::Refused(error)) => {
            tracing::warn!(target: "millrace::event_log", topic, %error, "failed to create the topic; retrying");
            false
        }
        Err(error) => {
            tracing::warn!(target: "millrace::event_log", topic, error, "no Kafka broker available; retrying");
            false
        }
    }
}

enum Creation {
    Exists,
    Created,
    Refused(RDKafkaErrorCode),
}

fn create_if_missing(
    config: &ClientConfig,
    topic: &str,
    partitions: i32,
) -> Result<Creation, Box<dyn std::error::Error>> {
    let admin: AdminClient<LoggingContext> = AdminClient::from_config_and_context(config, LoggingContext)?;
    // The metadata of all topics: a request for one by name can make the brokers create it.
    let metadata = admin.inner().fetch_metadata(None, REQUEST_TIMEOUT)?;
    if metadata.topics().iter().any(|existing| existing.name() == topic) {
        return Ok(Creation::Exists);
    }
    let bytes_max = RECORD_BYTES_MAX.to_string();
    // -1: the brokers' default number of replicas.
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1))
        .set("max.message.bytes", &bytes_max)
        // Compaction would keep the last event of each key only, and the read model could not be rebuilt from that.
        .set("cleanup.policy", "delete");
    let options =
        AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    match runtime.block_on(admin.create_topics([&new], &options)) {
        Ok(results) => match results.into_iter().next() {
            Some(Err((_, code))) => Ok(Creation::Refused(code)),
            Some(Ok(_)) | None => Ok(Creation::Created),
        },
        Err(KafkaError::AdminOp(code)) => Ok(Creation::Refused(code)),
        Err(error) => Err(error.into()),
    }
}

fn is_transient(error: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error,
        Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::Authentication
            | Code::SSL
            | Code::RequestTimedOut
            | Code::NotController
            | Code::NetworkException
            | Code::SaslAuthenticationFailed
            | Code::BrokerNotAvailable
            | Code::LeaderNotAvailable
            // While the cluster starts, it has fewer brokers than replicas are required.
            | Code::InvalidReplicationFactor
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_a_topic_name() {
        for good in ["events", "a.b_c-D9"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "é", &"a".repeat(250)] {
            assert!(matches!(check_name(bad), Err(LogError::Fatal(_))), "{bad}");
        }
    }
}
