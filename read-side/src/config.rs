//! Settings of the read side. Settings that other roles share are in `millrace_platform::settings`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, FromArgMatches};
use millrace_platform::settings::{duration, listen_addr};

pub use crate::graphql::config::GraphqlConfig;

use crate::access::ReadTokens;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Queries")]
pub struct ReadConfig {
    /// Address of the read API: REST, GraphQL
    #[arg(long, env = "API_ADDR", value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = listen_addr, global = true)]
    pub api_addr: SocketAddr,

    /// Longest time that a read waits for the write of its Consistency-Token
    #[arg(long, env = "CONSISTENCY_WAIT", value_name = "TIME", default_value = "2s", value_parser = duration, global = true)]
    pub consistency_wait: Duration,

    /// File of bearer tokens, one per line. If set, REST and GraphQL require one; a WebSocket can send it in
    /// connection_init
    #[arg(long, env = "READ_TOKENS_FILE", value_name = "FILE", value_parser = ReadTokens::load, global = true)]
    pub read_tokens_file: Option<ReadTokens>,

    #[command(flatten)]
    pub graphql: GraphqlConfig,
}

impl Default for ReadConfig {
    /// The settings without arguments and environment variables.
    fn default() -> Self {
        let command =
            Self::augment_args(clap::Command::new("defaults")).mut_args(|arg| arg.env(None::<&str>));
        let matches = command.get_matches_from(["defaults"]);
        Self::from_arg_matches(&matches).expect("every setting has a default")
    }
}
