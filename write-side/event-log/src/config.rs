//! Settings of the event log.

use clap::Args;

use crate::LogSettings;
use crate::kafka::{KafkaProperties, KafkaSettings};

/// How the log is used.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Event log")]
pub struct LogConfig {
    /// Partitions of a log or topic that is made new
    #[arg(long, env = "PARTITIONS", value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=1024), global = true)]
    pub partitions: i32,

    /// Consumer group of the projector on Kafka
    #[arg(long, env = "KAFKA_GROUP_ID", value_name = "NAME", default_value = "millrace", global = true)]
    pub kafka_group_id: String,

    /// librdkafka properties, passed through: name=value;name=value (for TLS and SASL, say)
    #[arg(
        long,
        env = "KAFKA_PROPERTIES",
        value_name = "LIST",
        default_value = "",
        hide_env_values = true,
        hide_default_value = true,
        global = true
    )]
    pub kafka_properties: KafkaProperties,
}

impl LogConfig {
    /// As the log takes them.
    pub fn settings(&self) -> LogSettings {
        let kafka =
            KafkaSettings { group: self.kafka_group_id.clone(), properties: self.kafka_properties.clone() };
        LogSettings { partitions: self.partitions, kafka }
    }
}
