//! The OpenAPI document: it describes every route and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::Value;

use crate::seed::ReadSide;

/// A path with its placeholders replaced.
fn filled(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_described_route_exists() {
    let read_side = ReadSide::seeded();
    let document = read_side.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 12, "{paths:?}");
    for (path, item) in paths {
        for method in item.as_object().unwrap().keys() {
            let request = Request::builder().method(method.to_uppercase().as_str()).uri(filled(path));
            let answer = read_side.send(request.body(Body::empty()).unwrap()).await;
            assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert!(!answer.text().contains("route not found"), "{method} {path}");
        }
    }
}

/// Every `.route("…` in this crate and in the routes of every service. The other routes are described by their handlers.
fn routes_in_code() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [
        "src/http.rs",
        "src/rest.rs",
        "src/graphql/transport/handler.rs",
        "../shared/platform/src/http.rs",
        "../shared/platform/src/http/openapi.rs",
    ];
    let mut routes = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let found = text.split(".route(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
        routes.extend(found.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    routes
}

#[tokio::test]
async fn every_route_is_described() {
    let read_side = ReadSide::seeded();
    let document = read_side.get("/openapi.json").await.json();
    let routes = routes_in_code();
    assert!(routes.contains("/graphql") && routes.contains("/health"), "{routes:?}");
    let undescribed: Vec<_> =
        routes.iter().filter(|route| document["paths"].get(route.as_str()).is_none()).collect();
    assert!(undescribed.is_empty(), "not described: {undescribed:?}");
}

#[tokio::test]
async fn every_reference_has_a_target() {
    let read_side = ReadSide::seeded();
    let answer = read_side.get("/openapi.json").await;
    let document = answer.json();
    let references: BTreeSet<_> =
        answer.text().split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(references.contains("/components/schemas/Problem"), "{references:?}");
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn answers_match_their_schema() {
    let read_side = ReadSide::seeded();
    let document = read_side.get("/openapi.json").await.json();
    for (route, path) in [
        ("/users/{id}", "/users/customer-2"),
        ("/orders/{id}", "/orders/invoice-20"),
        ("/orders", "/orders"),
        ("/users", "/users"),
        ("/inventory/{sku}", "/inventory/track-2"),
    ] {
        let pointer = ["paths", route, "get", "responses", "200", "content", "application/json", "schema"];
        let schema = pointer.iter().fold(&document, |value, key| &value[*key]);
        fits(&document, schema, &read_side.get(path).await.json(), route);
    }
}

/// The part of JSON Schema that the document uses: types, required properties, references, lists, alternatives.
fn fits(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        return fits(document, document.pointer(&reference[1..]).unwrap(), value, at);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        fits(document, part, value, at);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let actual = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() && types.contains(&"integer") => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.contains(&actual), "{at}: {actual} instead of {types:?}");
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let property = value.get(name).unwrap_or_else(|| panic!("{at}.{name} is missing"));
        fits(document, &schema["properties"][name], property, &format!("{at}.{name}"));
    }
    for item in value.as_array().into_iter().flatten() {
        fits(document, &schema["items"], item, &format!("{at}[]"));
    }
}

#[tokio::test]
async fn the_docs_page_loads_nothing_from_other_hosts() {
    let read_side = ReadSide::seeded();
    let page = read_side.get("/docs").await;
    assert!(page.header(header::CONTENT_TYPE).starts_with("text/html"));
    let policy = page.header(header::CONTENT_SECURITY_POLICY);
    assert!(policy.contains("script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.text().contains("://"), "nothing is loaded from other hosts");
}
