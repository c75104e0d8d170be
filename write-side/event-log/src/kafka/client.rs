//! The configuration, the log messages and the errors of every Kafka client.

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::settings::{KafkaProperties, is_secret};
use crate::error::LogError;

/// Properties that the guarantees of Millrace depend on. A setting cannot change them.
const FIXED: &[(&str, &str)] = &[
    // A 202 means that the record is durable.
    ("acks", "all"),
    // The checkpoint in the read model is authoritative. Offsets that librdkafka stores or resets by itself lose
    // records.
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "false"),
    // `group.rs` answers rebalances with the incremental calls, which only this strategy allows.
    ("partition.assignment.strategy", "cooperative-sticky"),
];

/// Aliases of the properties that are set here, with their canonical names. librdkafka accepts both, and `ClientConfig`
/// does not keep an order, so two values for one property would have an undefined result.
const ALIASES: &[(&str, &str)] = &[
    ("metadata.broker.list", "bootstrap.servers"),
    ("request.required.acks", "acks"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("compression.codec", "compression.type"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
];

/// The configuration of a client: `defaults`, overridden by the properties of the user.
pub(super) fn config(
    brokers: &str,
    properties: &KafkaProperties,
    defaults: &[(&str, &str)],
) -> Result<ClientConfig, LogError> {
    let mut config = ClientConfig::new();
    config
        .set_log_level(RDKafkaLogLevel::Info)
        .set("bootstrap.servers", brokers)
        .set("client.id", "millrace")
        .set("socket.keepalive.enable", "true")
        // Reconnect within two seconds after a broker returns.
        .set("reconnect.backoff.max.ms", "2000");
    for (name, value) in defaults {
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
        Some((_, fixed)) if !value.eq_ignore_ascii_case(fixed) => {
            Err(LogError::Fatal(format!("the Kafka property {name} is always {fixed}; remove it")))
        }
        _ => Ok(()),
    }
}

/// The error of a client that could not be created: one line, without the value of a secret.
pub(super) fn creation_error(error: KafkaError) -> LogError {
    LogError::Fatal(match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _) => {
            format!("unknown librdkafka property {name}")
        }
        KafkaError::ClientConfig(_, _, name, _) if is_secret(&name) => {
            format!("invalid value for the librdkafka property {name}")
        }
        KafkaError::ClientConfig(_, reason, name, _) => {
            format!("invalid value for the librdkafka property {name}: {}", reason.trim())
        }
        KafkaError::Nul(_) => "a Kafka property contains a zero byte".to_owned(),
        KafkaError::ClientCreation(reason) => format!("failed to create the Kafka client: {}", reason.trim()),
        other => format!("failed to create the Kafka client: {other}"),
    })
}

/// Refuses an invalid broker list.
pub(super) fn check_brokers(brokers: &str) -> Result<(), LogError> {
    // librdkafka would only log an invalid list and never connect.
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

/// Forwards librdkafka's log messages to `tracing`.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoggingContext;

impl ClientContext for LoggingContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(target: "millrace::event_log", %error, reason, "Kafka client");
    }
}

pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        // FAIL and ERROR are reported through `error` as well. CONFWARN complains about properties of the other kind of
        // client, which KAFKA_PROPERTIES passes to both.
        _ if ["FAIL", "ERROR", "CONFWARN"].contains(&facility) => {
            tracing::debug!(target: "millrace::event_log", facility, "{message}");
        }
        RDKafkaLogLevel::Debug => tracing::trace!(target: "millrace::event_log", facility, "{message}"),
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
            tracing::debug!(target: "millrace::event_log", facility, "{message}");
        }
        _ => tracing::warn!(target: "millrace::event_log", facility, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_a_broker_list() {
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
    fn the_user_overrides_defaults_under_either_name() {
        let properties = "delivery.timeout.ms=1;linger.ms=2;queue.buffering.max.ms=3".parse().unwrap();
        let defaults = [("message.timeout.ms", "10000"), ("linger.ms", "1")];
        let config = config("k:1", &properties, &defaults).unwrap();
        assert_eq!(config.get("message.timeout.ms"), Some("1"));
        assert_eq!(config.get("linger.ms"), Some("3"));
        assert_eq!(config.get("queue.buffering.max.ms"), None);
    }

    #[test]
    fn fixed_properties_cannot_be_changed() {
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
    fn an_invalid_property_is_named_and_a_secret_hidden() {
        let error = |text: &str| {
            let config = config("k:1", &text.parse().unwrap(), &[]).unwrap();
            creation_error(config.create_native_config().err().unwrap()).to_string()
        };
        assert_eq!(error("linger.mss=1"), "unknown librdkafka property linger.mss");
        assert!(error("linger.ms=soon").contains("linger.ms"));
        let error = error("ssl.key.password=hun\0ter2");
        assert!(!error.contains("hun") && !error.contains("ter2"), "{error}");
    }
}
