//! The ports of a process, bound before anything else starts: a port that is taken is a start-up error.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::roles::Roles;
use crate::cli::Settings;
use crate::usage;

/// Listeners on the addresses of the roles.
pub(super) struct Listeners {
    pub(super) commands: Option<TcpListener>,
    pub(super) admin: Option<TcpListener>,
    pub(super) queries: Option<TcpListener>,
    pub(super) metrics: Option<TcpListener>,
}

impl Listeners {
    pub(super) async fn bind(settings: &Settings, roles: Roles) -> anyhow::Result<Self> {
        let bind = async |wanted: bool, setting, address: SocketAddr| {
            if !wanted {
                return Ok(None);
            }
            millrace_platform::http::bind(setting, address).await.map(Some).map_err(usage)
        };
        let metrics = match settings.metrics_addr.0 {
            Some(address) => bind(true, "METRICS_ADDR", address).await?,
            None => None,
        };
        Ok(Self {
            commands: bind(roles.commands, "COMMAND_ADDR", settings.commands.command_addr).await?,
            admin: bind(roles.projector, "ADMIN_ADDR", settings.admin.admin_addr).await?,
            queries: bind(roles.read_side, "API_ADDR", settings.read.api_addr).await?,
            metrics,
        })
    }
}
