//! The transports of GraphQL: HTTP, WebSocket, server-sent events; and the editor for browsers.

mod connection_init;
mod handler;
mod http_response;
mod media_types;
mod parameters;
mod playground;
mod server_sent_events;
mod upgrade;
mod websocket;

pub(super) use self::handler::routes;
pub(super) use self::playground::routes as playground_routes;
