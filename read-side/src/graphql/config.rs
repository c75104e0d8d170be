//! Settings of GraphQL: what it offers and its limits.

use std::time::Duration;

use clap::{Args, FromArgMatches, value_parser};
use millrace_platform::settings::{InvalidSetting, Switch, duration};

use super::execution::TrustedDocuments;
use super::schema::PAGE_MAX_LIMIT;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "GraphQL")]
pub struct GraphqlConfig {
    /// Allow introspection of the schema
    #[arg(long, env = "GRAPHQL_INTROSPECTION", value_name = "on|off", hide_possible_values = true, value_enum, default_value_t = Switch::On)]
    pub graphql_introspection: Switch,

    /// Suggest similar names in GraphQL errors
    #[arg(long, env = "GRAPHQL_SUGGESTIONS", value_name = "on|off", hide_possible_values = true, value_enum, default_value_t = Switch::On)]
    pub graphql_suggestions: Switch,

    /// Serve an editor to browsers at /graphql
    #[arg(long, env = "GRAPHQL_EDITOR", value_name = "on|off", hide_possible_values = true, value_enum, default_value_t = Switch::On)]
    pub graphql_editor: Switch,

    /// Folder of *.graphql files; only the operations in them are executed [default: any operation]
    #[arg(long, env = "GRAPHQL_TRUSTED_DOCUMENTS", value_name = "DIR", value_parser = TrustedDocuments::load)]
    pub graphql_trusted_documents: Option<TrustedDocuments>,

    /// Longest time to execute a GraphQL request
    #[arg(long, env = "GRAPHQL_TIMEOUT", value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub graphql_timeout: Duration,

    /// Largest GraphQL request in bytes
    #[arg(long, env = "GRAPHQL_BODY_BYTES_MAX", value_name = "BYTES", default_value_t = 64 * 1024, value_parser = value_parser!(u32).range(1024..=16 * 1024 * 1024))]
    pub graphql_body_bytes_max: u32,

    /// Most tokens of a GraphQL document
    #[arg(long, env = "GRAPHQL_TOKENS_MAX", value_name = "N", default_value_t = 2_000, value_parser = value_parser!(u32).range(10..=1_000_000))]
    pub graphql_tokens_max: u32,

    /// Most selections of a GraphQL document, with its fragments expanded
    #[arg(long, env = "GRAPHQL_SELECTIONS_MAX", value_name = "N", default_value_t = 5_000, value_parser = value_parser!(u32).range(10..=1_000_000))]
    pub graphql_selections_max: u32,

    /// Deepest nesting of fields in a GraphQL operation
    #[arg(long, env = "GRAPHQL_DEPTH_MAX", value_name = "N", default_value_t = 12, value_parser = value_parser!(u32).range(1..=30))]
    pub graphql_depth_max: u32,

    /// Most aliases of a GraphQL document, with its fragments expanded
    #[arg(long, env = "GRAPHQL_ALIASES_MAX", value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(0..=1_000_000))]
    pub graphql_aliases_max: u32,

    /// Most directives of a GraphQL document, with its fragments expanded
    #[arg(long, env = "GRAPHQL_DIRECTIVES_MAX", value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(0..=1_000_000))]
    pub graphql_directives_max: u32,

    /// Most fields of a GraphQL response, estimated from the operation's arguments
    #[arg(long, env = "GRAPHQL_COMPLEXITY_MAX", value_name = "N", default_value_t = 5_000, value_parser = value_parser!(u32).range(10..=1_000_000))]
    pub graphql_complexity_max: u32,

    /// Most entries in one page of a GraphQL list
    #[arg(long, env = "GRAPHQL_PAGE_MAX", value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(1..=i64::from(PAGE_MAX_LIMIT)))]
    pub graphql_page_max: u32,

    /// Most open WebSockets and event streams
    #[arg(long, env = "GRAPHQL_SOCKETS_MAX", value_name = "N", default_value_t = 2_000, value_parser = value_parser!(u32).range(0..=100_000))]
    pub graphql_sockets_max: u32,

    /// Most operations at the same time on one WebSocket
    #[arg(long, env = "GRAPHQL_SUBSCRIPTIONS_MAX", value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(1..=10_000))]
    pub graphql_subscriptions_max: u32,

    /// Longest time until a WebSocket sends connection_init
    #[arg(long, env = "GRAPHQL_SOCKET_INIT", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub graphql_socket_init: Duration,

    /// Time between two keep-alive messages on a WebSocket or event stream
    #[arg(long, env = "GRAPHQL_SOCKET_KEEP_ALIVE", value_name = "TIME", default_value = "15s", value_parser = interval)]
    pub graphql_socket_keep_alive: Duration,

    /// Other origins whose web pages may open a WebSocket, separated by commas [default: none]
    #[arg(long, env = "GRAPHQL_ORIGINS", value_name = "LIST", value_delimiter = ',')]
    pub graphql_origins: Vec<String>,
}

fn interval(text: &str) -> Result<Duration, InvalidSetting> {
    let interval = duration(text)?;
    if interval.is_zero() { Err(InvalidSetting("must be longer than 0s".to_owned())) } else { Ok(interval) }
}

impl Default for GraphqlConfig {
    /// The settings without arguments and environment variables.
    fn default() -> Self {
        let command =
            Self::augment_args(clap::Command::new("defaults")).mut_args(|arg| arg.env(None::<&str>));
        let matches = command.get_matches_from(["defaults"]);
        Self::from_arg_matches(&matches).expect("every setting has a default")
    }
}
