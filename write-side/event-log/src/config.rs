//! Settings of the event log.

use clap::Args;

use crate::LogSettings;
use crate::kafka::{KafkaProperties, KafkaSettings};

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Event log")]
pub struct LogConfig {
    /// Partitions of a new event log or topic
    ///
    /// An existing log or topic keeps its number of partitions.
    #[arg(long, env = "PARTITIONS", value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=1024))]
    pub partitions: i32,

    /// Consumer group of the projector in Kafka
    #[arg(long, env = "KAFKA_GROUP_ID", value_name = "NAME", default_value = "millrace")]
    pub kafka_group_id: String,

    /// Properties of librdkafka: name=value;name=value [default: none]
    ///
    /// For TLS and SASL: security.protocol=SASL_SSL;sasl.mechanism=SCRAM-SHA-512;sasl.username=…;sasl.password=…
    #[arg(
        long,
        env = "KAFKA_PROPERTIES",
        value_name = "LIST",
        default_value = "",
        hide_default_value = true
    )]
    pub kafka_properties: KafkaProperties,
}

impl LogConfig {
    pub fn settings(&self) -> LogSettings {
        let kafka =
            KafkaSettings { group: self.kafka_group_id.clone(), properties: self.kafka_properties.clone() };
        LogSettings { partitions: self.partitions, kafka }
    }
}
