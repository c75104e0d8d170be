//! The write side's one integration test binary (each further one would link librdkafka and OpenSSL again).

mod oracle;
mod projection;
mod projector;
mod world;
