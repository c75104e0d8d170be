//! Settings of the read side alone; those that both sides read stand in `shared::settings`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, FromArgMatches};
use shared::settings::duration;

/// Settings of the read side.
#[derive(Debug, Clone, Args)]
pub struct ReadConfig {
    /// API_ADDR: address of the read API (REST, GraphQL, health)
    #[arg(long, env = "API_ADDR", value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub api_addr: SocketAddr,

    /// How long a read with a Consistency-Token waits for what was written
    #[arg(long, env = "CONSISTENCY_WAIT", value_name = "TIME", default_value = "2s", value_parser = duration, global = true)]
    pub consistency_wait: Duration,
}

impl Default for ReadConfig {
    /// What an empty command line in an empty environment gives.
    fn default() -> Self {
        let command =
            Self::augment_args(clap::Command::new("defaults")).mut_args(|arg| arg.env(None::<&str>));
        let matches = command.get_matches_from(["defaults"]);
        Self::from_arg_matches(&matches).expect("every setting has a default")
    }
}
