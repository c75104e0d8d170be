//! Settings of the read side alone; those that both sides read stand in `millrace_platform::settings`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, FromArgMatches, value_parser};
use millrace_platform::settings::{InvalidSetting, Switch, duration, listen_addr};

use crate::access::ReadTokens;
use crate::graphql::TrustedDocuments;

/// The most that GRAPHQL_PAGE_MAX can be set to.
pub(crate) const GRAPHQL_PAGE_MAX: u32 = 1_000;

/// Settings of the read side.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Queries")]
pub struct ReadConfig {
    /// Address of the read API: REST, GraphQL
    #[arg(long, env = "API_ADDR", value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = listen_addr, global = true)]
    pub api_addr: SocketAddr,

    /// How long a read with a Consistency-Token waits for what was written
    #[arg(long, env = "CONSISTENCY_WAIT", value_name = "TIME", default_value = "2s", value_parser = duration, global = true)]
    pub consistency_wait: Duration,

    /// File of tokens, one a line; with it, REST and GraphQL answer only who brings one of them as a bearer (a WebSocket
    /// may bring it in its first message). JWT are for a gateway in front of this
    #[arg(long, env = "READ_TOKENS_FILE", value_name = "FILE", value_parser = ReadTokens::load, global = true)]
    pub read_tokens_file: Option<ReadTokens>,

    /// What GraphQL offers, and how much of it one request may ask for.
    #[command(flatten)]
    pub graphql: GraphqlConfig,
}

/// What GraphQL offers, and how much of it one request may ask for.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "GraphQL")]
pub struct GraphqlConfig {
    /// Whether clients may ask GraphQL for its schema
    #[arg(long, env = "GRAPHQL_INTROSPECTION", value_name = "on|off", hide_possible_values = true, value_enum, default_value_t = Switch::On, global = true)]
    pub graphql_introspection: Switch,

    /// Whether GraphQL's errors suggest names that exist
    #[arg(long, env = "GRAPHQL_SUGGESTIONS", value_name = "on|off", hide_possible_values = true, value_enum, default_value_t = Switch::On, global = true)]
    pub graphql_suggestions: Switch,

    /// Whether a browser gets an editor at /graphql
    #[arg(long, env = "GRAPHQL_EDITOR", value_name = "on|off", hide_possible_values = true, value_enum, default_value_t = Switch::On, global = true)]
    pub graphql_editor: Switch,

    /// Folder of *.graphql files that are the only operations to be executed
    #[arg(long, env = "GRAPHQL_TRUSTED_DOCUMENTS", value_name = "DIR", value_parser = TrustedDocuments::load, global = true)]
    pub graphql_trusted_documents: Option<TrustedDocuments>,

    /// Longest time to answer a GraphQL request
    #[arg(long, env = "GRAPHQL_TIMEOUT", value_name = "TIME", default_value = "5s", value_parser = duration, global = true)]
    pub graphql_timeout: Duration,

    /// Largest GraphQL request
    #[arg(long, env = "GRAPHQL_BODY_BYTES_MAX", value_name = "BYTES", default_value_t = 64 * 1024, value_parser = value_parser!(u32).range(1024..=16 * 1024 * 1024), global = true)]
    pub graphql_body_bytes_max: u32,

    /// Most words and signs of a GraphQL document
    #[arg(long, env = "GRAPHQL_TOKENS_MAX", value_name = "N", default_value_t = 2_000, value_parser = value_parser!(u32).range(10..=1_000_000), global = true)]
    pub graphql_tokens_max: u32,

    /// Most selections of a GraphQL document once its fragments are expanded
    #[arg(long, env = "GRAPHQL_SELECTIONS_MAX", value_name = "N", default_value_t = 5_000, value_parser = value_parser!(u32).range(10..=1_000_000), global = true)]
    pub graphql_selections_max: u32,

    /// Deepest nesting of fields of a GraphQL operation
    #[arg(long, env = "GRAPHQL_DEPTH_MAX", value_name = "N", default_value_t = 12, value_parser = value_parser!(u32).range(1..=30), global = true)]
    pub graphql_depth_max: u32,

    /// Most aliases of a GraphQL document once its fragments are expanded
    #[arg(long, env = "GRAPHQL_ALIASES_MAX", value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(0..=1_000_000), global = true)]
    pub graphql_aliases_max: u32,

    /// Most directives of a GraphQL document once its fragments are expanded
    #[arg(long, env = "GRAPHQL_DIRECTIVES_MAX", value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(0..=1_000_000), global = true)]
    pub graphql_directives_max: u32,

    /// Most fields of a GraphQL answer, as far as the operation's arguments tell
    #[arg(long, env = "GRAPHQL_COMPLEXITY_MAX", value_name = "N", default_value_t = 5_000, value_parser = value_parser!(u32).range(10..=1_000_000), global = true)]
    pub graphql_complexity_max: u32,

    /// Most entries of one GraphQL list
    #[arg(long, env = "GRAPHQL_PAGE_MAX", value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(1..=i64::from(GRAPHQL_PAGE_MAX)), global = true)]
    pub graphql_page_max: u32,

    /// Most WebSockets and event streams of GraphQL at once
    #[arg(long, env = "GRAPHQL_SOCKETS_MAX", value_name = "N", default_value_t = 2_000, value_parser = value_parser!(u32).range(0..=100_000), global = true)]
    pub graphql_sockets_max: u32,

    /// Most operations at once on one WebSocket
    #[arg(long, env = "GRAPHQL_SUBSCRIPTIONS_MAX", value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(1..=10_000), global = true)]
    pub graphql_subscriptions_max: u32,

    /// Longest time until a WebSocket introduces itself
    #[arg(long, env = "GRAPHQL_SOCKET_INIT", value_name = "TIME", default_value = "10s", value_parser = duration, global = true)]
    pub graphql_socket_init: Duration,

    /// Time between two signs of life on a WebSocket or event stream
    #[arg(long, env = "GRAPHQL_SOCKET_KEEP_ALIVE", value_name = "TIME", default_value = "15s", value_parser = pause, global = true)]
    pub graphql_socket_keep_alive: Duration,

    /// Origins besides our own whose pages may open a WebSocket, separated by commas
    #[arg(long, env = "GRAPHQL_ORIGINS", value_name = "LIST", value_delimiter = ',', global = true)]
    pub graphql_origins: Vec<String>,
}

/// A duration that something is repeated after.
fn pause(text: &str) -> Result<Duration, InvalidSetting> {
    let pause = duration(text)?;
    if pause.is_zero() { Err(InvalidSetting("must be longer than nothing".to_owned())) } else { Ok(pause) }
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

impl Default for GraphqlConfig {
    fn default() -> Self {
        ReadConfig::default().graphql
    }
}
