//! Settings of the command API.

use std::net::SocketAddr;

use clap::Args;
use millrace_platform::settings::listen_addr;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Command API")]
pub struct CommandConfig {
    /// Address of the command API
    #[arg(long, env = "COMMAND_ADDR", value_name = "ADDR", default_value = "127.0.0.1:8090", value_parser = listen_addr)]
    pub command_addr: SocketAddr,
}
