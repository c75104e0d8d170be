//! The address of the event log: the setting `EVENT_LOG`.

use std::path::PathBuf;
use std::str::FromStr;

use millrace_platform::settings::InvalidSetting;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventLogUrl {
    /// `embedded:DIR`
    Embedded(PathBuf),
    /// `kafka://host:port,…/topic`
    Kafka {
        /// `host:port,…`
        brokers: String,
        topic: String,
    },
}

/// The topic of the embedded log, and the default topic of Kafka.
pub const DEFAULT_TOPIC: &str = "events";

impl EventLogUrl {
    /// The topic's name in positions, consistency tokens and dead letters.
    pub fn topic(&self) -> &str {
        match self {
            Self::Embedded(_) => DEFAULT_TOPIC,
            Self::Kafka { topic, .. } => topic,
        }
    }
}

impl FromStr for EventLogUrl {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || InvalidSetting("expected embedded:DIR or kafka://host:port,…/topic".to_owned());
        if let Some(rest) = text.strip_prefix("kafka://") {
            return match rest.split_once('/') {
                Some((brokers, topic))
                    if !brokers.is_empty() && !topic.is_empty() && !topic.contains('/') =>
                {
                    Ok(Self::Kafka { brokers: brokers.to_owned(), topic: topic.to_owned() })
                }
                _ => Err(expected()),
            };
        }
        match text.strip_prefix("embedded:") {
            Some(dir) if !dir.is_empty() => Ok(Self::Embedded(dir.into())),
            _ => Err(expected()),
        }
    }
}
