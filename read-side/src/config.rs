//! Settings of the read side.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, FromArgMatches};
use millrace_platform::settings::{duration, listen_addr};

pub use crate::graphql::config::GraphqlConfig;

use crate::access::ReadTokens;

/// Settings of the read side.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Read side")]
pub struct ReadConfig {
    /// Address of REST and GraphQL
    #[arg(long, env = "API_ADDR", value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = listen_addr)]
    pub api_addr: SocketAddr,

    /// Longest wait of a read with a Consistency-Token
    #[arg(long, env = "CONSISTENCY_WAIT", value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub consistency_wait: Duration,

    /// Bearer tokens that clients need, one per line [default: none]
    ///
    /// With the file, REST and GraphQL answer only requests with one of its tokens.
    /// A WebSocket may send its token in the first message instead. The tokens are opaque text: for JWT, put a gateway in
    /// front.
    #[arg(long, env = "READ_TOKENS_FILE", value_name = "FILE", value_parser = ReadTokens::load)]
    pub read_tokens_file: Option<ReadTokens>,

    #[command(flatten)]
    pub graphql: GraphqlConfig,
}

impl Default for ReadConfig {
    /// The values of an empty command line in an empty environment.
    fn default() -> Self {
        let command =
            Self::augment_args(clap::Command::new("defaults")).mut_args(|arg| arg.env(None::<&str>));
        let matches = command.get_matches_from(["defaults"]);
        Self::from_arg_matches(&matches).expect("every setting has a default")
    }
}
