//! The upgrade from HTTP to a WebSocket: its origin, its sub-protocol and its limits.

use std::sync::Arc;
use std::time::Duration;

use async_graphql_axum::GraphQLProtocol;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use millrace_platform::problem::Problem;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::websocket::{self, PROTOCOL, Session, SocketTimes};
use crate::consistency::Consistency;
use crate::graphql::config::GraphqlConfig;
use crate::graphql::execution::Executor;
use crate::http::access::Unauthenticated;

/// Longest time to send one message.
const SEND_MAX: Duration = Duration::from_secs(10);

/// The settings of all WebSockets.
#[derive(Clone)]
pub(super) struct WebSockets {
    consistency: Consistency,
    times: SocketTimes,
    operations_max: usize,
    bytes_max: usize,
    /// Trusted origins besides the server's own.
    origins: Arc<[String]>,
}

impl WebSockets {
    pub(super) fn new(consistency: Consistency, config: &GraphqlConfig) -> Self {
        Self {
            consistency,
            times: SocketTimes {
                init: config.graphql_socket_init,
                keep_alive: config.graphql_socket_keep_alive,
                send: SEND_MAX,
            },
            operations_max: config.graphql_subscriptions_max as usize,
            bytes_max: config.graphql_body_bytes_max as usize,
            origins: config.graphql_origins.clone().into(),
        }
    }

    pub(super) fn keep_alive(&self) -> Duration {
        self.times.keep_alive
    }

    /// Checks that a page of this origin may open a WebSocket: browsers apply no CORS to WebSockets.
    ///
    /// # Errors
    /// 403
    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        // Only browsers send an origin.
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or_default();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        let is_own = authority.is_some() && authority == host;
        if is_own || self.origins.iter().any(|trusted| trusted == origin) {
            return Ok(());
        }
        let problem = Problem::new(StatusCode::FORBIDDEN, "origin");
        Err(problem.detail("origin not allowed; add it to GRAPHQL_ORIGINS"))
    }

    /// Upgrades the connection. `protocol` is the GraphQL sub-protocol that the client prefers, if it offers one.
    pub(super) fn upgrade(
        self,
        upgrade: WebSocketUpgrade,
        protocol: Option<GraphQLProtocol>,
        executor: Executor,
        unauthenticated: Option<Unauthenticated>,
        shutdown: CancellationToken,
        permit: OwnedSemaphorePermit,
    ) -> Response {
        let Self { consistency, times, operations_max, bytes_max, .. } = self;
        let session = Session { times, operations_max, consistency, unauthenticated, shutdown };
        // GraphQLProtocol also recognises the legacy graphql-ws, which a client can offer beside the supported protocol.
        // Without a supported protocol the WebSocket is opened and closed with 4406, which browsers show to a page; they
        // hide the status of a rejected upgrade.
        let upgrade = match protocol {
            Some(_) => upgrade.protocols([PROTOCOL]),
            None => upgrade,
        };
        upgrade
            .max_message_size(bytes_max)
            .max_frame_size(bytes_max)
            .on_upgrade(move |socket| websocket::serve(socket, executor, session, permit))
    }
}
