//! The topic: its name, and making it before librdkafka asks for it.
//!
//! A producer that asks for a missing topic makes many brokers create it with their own number of partitions. So a
//! thread asks for ours first, again and again while the brokers are away, and appends wait for its answer.

use std::time::{Duration, Instant};

use millrace_domain::record::PAYLOAD_BYTES_MAX;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::watch;

use super::super::LogError;
use super::client::Says;

/// Largest record, with its key and headers: more than [`PAYLOAD_BYTES_MAX`] by what they may take.
pub(super) const RECORD_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 64 * 1024;
const ASK_WAIT: Duration = Duration::from_secs(3);
const ASK_AGAIN: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(5);

/// Refuses a name Kafka would refuse.
pub(super) fn check_name(topic: &str) -> Result<(), LogError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let dots = topic == "." || topic == "..";
    if (1..=249).contains(&topic.len()) && topic.bytes().all(allowed) && !dots {
        Ok(())
    } else {
        Err(LogError::Fatal("a Kafka topic has 1 to 249 of the characters A-Z a-z 0-9 . _ -".to_owned()))
    }
}

/// Whether the brokers have answered about the topic.
pub(super) struct TopicKnown(watch::Receiver<bool>);

impl TopicKnown {
    /// Starts to ask, until there is an answer or `self` is dropped.
    pub(super) fn ask(config: ClientConfig, topic: String, partitions: i32) -> Result<Self, LogError> {
        let (known, knows) = watch::channel(false);
        let ask = move || {
            while !known.is_closed() {
                if make(&config, &topic, partitions) {
                    // Nobody waits any more: then nobody needs to know.
                    let _gone = known.send(true);
                    return;
                }
                std::thread::sleep(ASK_AGAIN);
            }
        };
        std::thread::Builder::new()
            .name("kafka-topic".to_owned())
            .spawn(ask)
            .map_err(|error| LogError::Fatal(format!("no thread for Kafka: {error}")))?;
        Ok(Self(knows))
    }

    /// Waits for the answer.
    pub(super) async fn wait(&self, wait: Duration) -> Result<(), LogError> {
        if *self.0.borrow() {
            return Ok(());
        }
        let mut knows = self.0.clone();
        match tokio::time::timeout(wait, knows.wait_for(|known| *known)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(LogError::unavailable("no broker has been reached yet")),
        }
    }

    /// As [`TopicKnown::wait`], outside of a runtime, and without a word when there is no answer.
    pub(super) fn wait_blocking(&self, wait: Duration) {
        let start = Instant::now();
        while !*self.0.borrow() && start.elapsed() < wait {
            std::thread::sleep(LOOK);
        }
    }
}

/// Asks once. True when asking again would change nothing.
fn make(config: &ClientConfig, topic: &str, partitions: i32) -> bool {
    match look_or_make(config, topic, partitions) {
        Ok(Found::There) | Ok(Found::Refused(RDKafkaErrorCode::TopicAlreadyExists)) => true,
        Ok(Found::Made) => {
            tracing::info!(topic, partitions, "made the topic");
            true
        }
        // No permission, a policy, no such request: the topic may be hidden from us, or be made by the brokers.
        Ok(Found::Refused(error)) if !is_transient(error) => {
            tracing::warn!(topic, %error, "the brokers do not let us make the topic; going on as if it were there");
            true
        }
        Ok(Found::Refused(error)) => {
            tracing::warn!(topic, %error, "the brokers did not make the topic yet");
            false
        }
        Err(error) => {
            tracing::warn!(topic, error, "no broker to ask for the topic");
            false
        }
    }
}

enum Found {
    There,
    Made,
    Refused(RDKafkaErrorCode),
}

fn look_or_make(
    config: &ClientConfig,
    topic: &str,
    partitions: i32,
) -> Result<Found, Box<dyn std::error::Error>> {
    let admin: AdminClient<Says> = AdminClient::from_config_and_context(config, Says)?;
    // All topics: to ask for one by name may make the brokers create it.
    let there = admin.inner().fetch_metadata(None, ASK_WAIT)?;
    if there.topics().iter().any(|found| found.name() == topic) {
        return Ok(Found::There);
    }
    let bytes_max = RECORD_BYTES_MAX.to_string();
    // -1: as many replicas as the brokers are set to.
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1))
        .set("max.message.bytes", &bytes_max)
        // Compaction would keep the last event of each key only, and with it the read model could not be built anew.
        .set("cleanup.policy", "delete");
    let options = AdminOptions::new().request_timeout(Some(ASK_WAIT)).operation_timeout(Some(ASK_WAIT));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    match runtime.block_on(admin.create_topics([&new], &options)) {
        Ok(results) => match results.into_iter().next() {
            Some(Err((_, code))) => Ok(Found::Refused(code)),
            Some(Ok(_)) | None => Ok(Found::Made),
        },
        Err(KafkaError::AdminOp(code)) => Ok(Found::Refused(code)),
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
            // Brokers that are still gathering.
            | Code::InvalidReplicationFactor
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_topic_name() {
        for good in ["events", "a.b_c-D9"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "é", &"a".repeat(250)] {
            assert!(matches!(check_name(bad), Err(LogError::Fatal(_))), "{bad}");
        }
    }
}
