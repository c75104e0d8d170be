//! Settings of the read side alone; those that both sides read stand in `shared::settings`.

use std::net::SocketAddr;

/// Settings of the read side.
#[derive(Debug, Clone, clap::Args)]
pub struct ReadConfig {
    /// API_ADDR: address of the read API (REST, GraphQL, health)
    #[arg(long, env = "API_ADDR", value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub api_addr: SocketAddr,
}
