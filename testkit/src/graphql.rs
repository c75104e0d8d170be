//! Hostile GraphQL documents, and the bytes of a WebSocket client.

use serde_json::Value;

/// The request that opens a WebSocket for graphql-transport-ws.
pub const UPGRADE: &str = "GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    sec-websocket-protocol: graphql-transport-ws\r\n\r\n";

/// A small document that would be very expensive to execute.
pub struct HostileDocument {
    /// A description for the messages of a test.
    pub what: &'static str,
    pub document: String,
    /// The expected error code.
    pub code: &'static str,
}

/// One document of each known kind.
pub fn hostile_documents() -> Vec<HostileDocument> {
    let aliases: String = (0..600).map(|n| format!("a{n}:__typename ")).collect();
    let links = (0..25).map(|n| format!("fragment F{n} on User{{...F{m} ...F{m}}}", m = n + 1));
    let fragments = links.collect::<String>() + "fragment F25 on User{name}";
    let through_the_schema = "recentOrders(limit:1){user{".repeat(7) + "name" + &"}}".repeat(7);
    let introspection = "fields{type{".repeat(8) + "name" + &"}}".repeat(8);
    let directives = "@skip(if:false)".repeat(200);
    let ids = (0..200).map(|n| format!("\"u{n}\" ")).collect::<String>();
    [
        ("600 aliases", format!("{{{aliases}}}"), "QUERY_TOO_LARGE"),
        (
            "25 fragments, each twice in the one before",
            format!("{{user(id:1){{...F0}}}}{fragments}"),
            "QUERY_TOO_LARGE",
        ),
        ("10,000 levels", "{a".repeat(10_000) + &"}".repeat(10_000), "QUERY_TOO_DEEP"),
        ("user of order of user of …", format!("{{user(id:1){{{through_the_schema}}}}}"), "QUERY_TOO_DEEP"),
        (
            "a circle of fragments",
            "{...A} fragment A on Query{...B} fragment B on Query{...A}".to_owned(),
            "FRAGMENT_CYCLE",
        ),
        ("a million orders", "{orders(first:1000000){nodes{orderId}}}".to_owned(), "INVALID_VALUE"),
        (
            "100 orders of 100 users",
            "{users(first:100){nodes{orders(first:100){nodes{items{sku}}}}}}".to_owned(),
            "QUERY_TOO_COMPLEX",
        ),
        (
            "a cursor that is none",
            "{orders(first:5 after:\"no cursor\"){nodes{orderId}}}".to_owned(),
            "INVALID_VALUE",
        ),
        (
            "the schema of the schema of …",
            format!("{{__schema{{types{{{introspection}}}}}}}"),
            "QUERY_TOO_DEEP",
        ),
        ("200 directives", format!("{{__typename {directives}}}"), "QUERY_TOO_LARGE"),
        ("200 ids", format!("{{usersById(ids:[{ids}]){{name}}}}"), "INVALID_VALUE"),
        (
            "an argument of 60,000 bytes",
            format!("{{nothing(with:\"{}\")}}", "x".repeat(60_000)),
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ]
    .map(|(what, document, code)| HostileDocument { what, document, code })
    .into()
}

/// A WebSocket text frame of a client. The mask is zero, so that the payload is not changed.
pub fn frame(message: &Value) -> Vec<u8> {
    let text = message.to_string();
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&[0x81, 0xFE, length[0], length[1], 0, 0, 0, 0], text.as_bytes()].concat()
}
