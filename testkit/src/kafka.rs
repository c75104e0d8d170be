//! A real Kafka broker, when one is named.
