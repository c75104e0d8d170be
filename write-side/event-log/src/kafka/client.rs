//! What every Kafka client here has in common: its configuration, what becomes of its log lines and of its errors.

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::super::LogError;
use super::settings::{KafkaProperties, is_secret};

/// Properties that carry a promise, so that nobody can set them to anything else.
const FIXED: &[(&str, &str)] = &[
    // A 202 means that the record is durable.
    ("acks", "all"),
    // The checkpoint in the read model is the truth; offsets that librdkafka stores or resets by itself lose records.
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "false"),
    // The consumer only knows the incremental protocol.
    ("partition.assignment.strategy", "cooperative-sticky"),
];

/// librdkafka's second names, of the properties that are set here. It takes either name, and the order in which they
/// reach it is not ours to say; so one name each.
const ALIASES: &[(&str, &str)] = &[
    ("metadata.broker.list", "bootstrap.servers"),
    ("request.required.acks", "acks"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("compression.codec", "compression.type"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
];

/// Configuration of a client: ours, then the user's over it.
pub(super) fn config(
    brokers: &str,
    properties: &KafkaProperties,
    ours: &[(&str, &str)],
) -> Result<ClientConfig, LogError> {
    let mut config = ClientConfig::new();
    config
        .set_log_level(RDKafkaLogLevel::Info)
        .set("bootstrap.servers", brokers)
        .set("client.id", "millrace")
        .set("socket.keepalive.enable", "true")
        // Back within two seconds of the brokers.
        .set("reconnect.backoff.max.ms", "2000");
    for (name, value) in ours {
        config.set(*name, *value);
    }
    for (name, value) in properties.iter() {
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| *name);
        check_fixed(name, value)?;
        config.set(name, value);
    }
    Ok(config)
}

fn check_fixed(name: &str, value: &str) -> Result<(), LogError> {
    match FIXED.iter().find(|(fixed, _)| *fixed == name) {
        Some((_, must)) if !value.eq_ignore_ascii_case(must) => {
            Err(LogError::Fatal(format!("the Kafka property {name} is always {must}; leave it out")))
        }
        _ => Ok(()),
    }
}

/// Why a client could not be made, in one line, without the value of a secret.
pub(super) fn refused(error: KafkaError) -> LogError {
    LogError::Fatal(match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _) => {
            format!("librdkafka knows no property {name}")
        }
        KafkaError::ClientConfig(_, _, name, _) if is_secret(&name) => {
            format!("librdkafka refuses the value of the property {name}")
        }
        KafkaError::ClientConfig(_, reason, name, _) => {
            format!("librdkafka refuses the value of the property {name}: {}", reason.trim())
        }
        KafkaError::Nul(_) => "a Kafka property holds a zero byte".to_owned(),
        KafkaError::ClientCreation(reason) => format!("the Kafka client cannot be made: {}", reason.trim()),
        other => format!("the Kafka client cannot be made: {other}"),
    })
}

/// Refuses a broker list that could never name a broker; librdkafka would only log it and wait for ever.
pub(super) fn check_brokers(brokers: &str) -> Result<(), LogError> {
    let is_broker = |broker: &str| {
        let (host, port) = broker.rsplit_once(':').unwrap_or_default();
        let in_brackets = host.starts_with('[') && host.ends_with(']');
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-[]".contains(c) || (c == ':' && in_brackets);
        !host.is_empty() && host.chars().all(allowed) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if brokers.split(',').all(|broker| is_broker(broker.trim())) {
        Ok(())
    } else {
        Err(LogError::Fatal("expected Kafka brokers as host:port,host:port".to_owned()))
    }
}

/// Sends librdkafka's log lines where ours go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Says;

impl ClientContext for Says {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka client");
    }
}

/// One line of librdkafka's log.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        // A failure is told a second time, as an error; a property of the other kind of client is passed on purpose.
        _ if ["FAIL", "ERROR", "CONFWARN"].contains(&facility) => tracing::debug!(facility, "{message}"),
        RDKafkaLogLevel::Debug => tracing::trace!(facility, "{message}"),
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => tracing::debug!(facility, "{message}"),
        _ => tracing::warn!(facility, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_broker_list() {
        for good in ["localhost:9092", "a.example:1,b-2:65535", "[::1]:9092", "10.0.0.1:9092, k:9093"] {
            assert!(check_brokers(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "a:",
            ":9092",
            "a:0",
            "a:65536",
            "a:9092,",
            "a b:9092",
            "::1:9092",
            "PLAINTEXT://a:9092",
        ] {
            assert!(matches!(check_brokers(bad), Err(LogError::Fatal(_))), "{bad}");
        }
    }

    #[test]
    fn the_user_overrides_us_under_either_name() {
        let properties = "delivery.timeout.ms=1;linger.ms=2;queue.buffering.max.ms=3".parse().unwrap();
        let ours = [("message.timeout.ms", "10000"), ("linger.ms", "1")];
        let config = config("k:1", &properties, &ours).unwrap();
        assert_eq!(config.get("message.timeout.ms"), Some("1"));
        assert_eq!(config.get("linger.ms"), Some("3"));
        assert_eq!(config.get("queue.buffering.max.ms"), None);
    }

    #[test]
    fn promises_cannot_be_switched_off() {
        for text in [
            "enable.auto.commit=true",
            "enable.auto.offset.store=true",
            "auto.offset.reset=earliest",
            "acks=1",
            "request.required.acks=0",
        ] {
            let properties = text.parse().unwrap();
            let error = config("k:1", &properties, &[]).unwrap_err().to_string();
            assert!(error.contains("is always"), "{text}: {error}");
        }
        assert!(config("k:1", &"enable.auto.commit=false;acks=all".parse().unwrap(), &[]).is_ok());
    }

    #[test]
    fn a_refused_property_is_named_and_a_secret_kept() {
        let refusal = |text: &str| {
            let config = config("k:1", &text.parse().unwrap(), &[]).unwrap();
            refused(config.create_native_config().err().unwrap()).to_string()
        };
        assert_eq!(refusal("linger.mss=1"), "librdkafka knows no property linger.mss");
        assert!(refusal("linger.ms=soon").contains("linger.ms"));
        let refusal = refusal("ssl.key.password=hun\0ter2");
        assert!(!refusal.contains("hun") && !refusal.contains("ter2"), "{refusal}");
    }
}
