//! The description of the write side's routes by OpenAPI 3.1. Commands are read field by field, in more than one
//! spelling, so what they take is described here in the spelling that we recommend.

use serde_json::{Map, Value, json};
use shared::http::openapi::{Described, HttpMethod, OpenApi, describe, document};

const JSON: &str = "application/json";

pub(super) fn write_side() -> OpenApi {
    let mut document = document("Millrace write side", "text/plain");
    describe(&mut document, commands());
    describe(&mut document, dead_letters());
    describe(&mut document, circuit_breaker());
    document
}

fn commands() -> [Described; 7] {
    let command = |path, takes, summary| Described::post(path, "commands", takes, 202, summary);
    let bare_order = object(
        &["id", "user_id", "total", "status", "timestamp"],
        &[
            ("id", text()),
            ("user_id", text()),
            ("total", amount()),
            ("status", text()),
            ("timestamp", time()),
        ],
    );
    let batch = object(
        &["orders"],
        &[(
            "orders",
            json!({ "type": "array", "minItems": 1, "maxItems": crate::command::BATCH_ORDERS_MAX, "items": order() }),
        )],
    );
    [
        command("/api/v1/users", user(), "Create a user, or tell of one again"),
        command("/api/v1/orders", order(), "Place an order"),
        command("/api/v1/orders/batch", batch, "Place many orders, each with its own result"),
        command("/api/v1/payments", payment(), "Settle the payment of an order, or let it fail"),
        command("/api/v1/inventory-adjustments", adjustment(), "Change the stock of a SKU"),
        command(
            "/api/v1/events",
            json!({ "type": "object" }),
            "Append events of any known shape; many as application/x-ndjson",
        ),
        command("/order", bare_order, "Place an order in the form of the oldest producers"),
    ]
}

fn dead_letters() -> [Described; 7] {
    let get = |path, summary| Described::get(path, "dead letters", JSON, summary);
    let post = |path, takes, summary| Described::post(path, "dead letters", takes, 200, summary);
    let delete = |path, summary| Described::bare(HttpMethod::Delete, path, "dead letters", summary);
    let max = || json!({ "type": "integer", "minimum": 0 });
    let boolean = || json!({ "type": "boolean" });
    let filter = object(
        &[],
        &[("type", text()), ("reason", text()), ("event_id", text()), ("from", time()), ("to", time())],
    );
    let replay = object(
        &[],
        &[
            ("ids", json!({ "type": "array", "items": text() })),
            ("event_ids", json!({ "type": "array", "items": text() })),
            ("filter", filter),
            ("dry_run", boolean()),
            ("max_messages", max()),
        ],
    );
    let replay_time = object(
        &["start_time", "end_time"],
        &[("start_time", time()), ("end_time", time()), ("dry_run", boolean()), ("max_messages", max())],
    );
    [
        get("/api/v1/dlq/messages", "Dead letters, newest first")
            .query(&["limit", "offset", "type", "reason", "event_id", "from", "to"]),
        get("/api/v1/dlq/messages/{id}", "A dead letter with its payload and what went wrong"),
        get("/api/v1/dlq/stats", "How many there are, by reason and type"),
        delete("/api/v1/dlq/messages/{id}", "Discard a dead letter"),
        delete("/api/v1/dlq/clear", "Discard all of them").query(&["confirm"]),
        post("/api/v1/replay", replay, "Send letters through the log again"),
        post(
            "/api/v1/replay/batch",
            replay_time,
            "Send the letters of a range of time through the log again",
        ),
    ]
}

fn circuit_breaker() -> [Described; 2] {
    let route = |method, path, summary| Described::bare(method, path, "circuit breaker", summary);
    [
        route(
            HttpMethod::Get,
            "/api/v1/circuit-breaker/status",
            "Whether the store is given work, and why not",
        ),
        route(HttpMethod::Post, "/api/v1/circuit-breaker/reset", "Close the circuit breaker by hand"),
    ]
}

fn user() -> Value {
    object(&["email", "name"], &[("userId", text()), ("email", text()), ("name", text())])
}

fn order() -> Value {
    let item = object(
        &["sku", "quantity", "unitPrice"],
        &[("sku", text()), ("quantity", json!({ "type": "integer", "minimum": 1 })), ("unitPrice", amount())],
    );
    object(
        &["userId", "amount"],
        &[
            ("orderId", text()),
            ("userId", text()),
            ("amount", amount()),
            ("currency", text()),
            ("status", text()),
            ("placedAt", time()),
            ("items", json!({ "type": "array", "items": item })),
        ],
    )
}

fn payment() -> Value {
    object(
        &["orderId", "amount", "status"],
        &[
            ("paymentId", text()),
            ("orderId", text()),
            ("amount", amount()),
            ("currency", text()),
            ("method", text()),
            ("status", json!({ "type": "string", "enum": ["SETTLED", "FAILED"] })),
            ("settledAt", time()),
        ],
    )
}

fn adjustment() -> Value {
    object(
        &["sku", "delta"],
        &[
            ("sku", text()),
            ("delta", json!({ "type": "integer" })),
            ("reason", text()),
            ("reportedQuantity", json!({ "type": "integer" })),
        ],
    )
}

fn object(required: &[&str], properties: &[(&str, Value)]) -> Value {
    let properties: Map<_, _> =
        properties.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn amount() -> Value {
    json!({ "type": "number", "minimum": 0 })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}
