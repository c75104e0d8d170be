//! The description of the routes: every described route exists, and what it describes is accepted.

use serde_json::Value;

use super::{Api, Method};

#[test]
fn every_described_route_exists() {
    let api = Api::new();
    let document = api.get("/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for path in
        ["/order", "/api/v1/users", "/api/v1/orders/batch", "/api/v1/events", "/health", "/ready", "/metrics"]
    {
        assert!(paths.contains_key(path), "{path} is not described");
    }
    for (path, item) in paths {
        for method in item.as_object().unwrap().keys() {
            let answer = api.send(method.to_uppercase().parse::<Method>().unwrap(), path, &[], "");
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(!answer.text().contains("route not found"), "{method} {path}");
        }
    }
}

#[test]
fn a_described_command_is_accepted() {
    let api = Api::new();
    let document = api.get("/openapi.json").json();
    let schemas = &document["components"]["schemas"];
    let required = |name: &str| schemas[name]["required"].clone();
    assert_eq!(required("CreateUser"), serde_json::json!(["email", "name"]));
    assert_eq!(required("SettlePayment"), serde_json::json!(["orderId", "amount", "status"]));
    assert_eq!(required("PlaceOrder"), Value::Null, "either form");
    assert!(schemas["Accepted"]["properties"]["eventId"].is_object());
    api.post("/api/v1/orders", r#"{"userId":"u","amount":1}"#).accepted();
    let page = api.get("/docs");
    assert!(page.header("content-security-policy").contains("script-src 'sha256-"));
}
