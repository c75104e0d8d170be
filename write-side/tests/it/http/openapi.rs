//! The description of the routes: nothing is described that is not there, nothing is there that is not described.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Api, Method};

#[test]
fn routes_and_their_description_agree() {
    let api = Api::new();
    let document = api.get("/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths {
        for method in item.as_object().unwrap().keys() {
            let filled = path.replace("{id}", "0:0");
            let answer = api.send(method.to_uppercase().parse::<Method>().unwrap(), &filled, &[], "");
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(!answer.text().contains("no such route"), "{method} {path}");
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut routes = BTreeSet::new();
    for file in ["src/http.rs", "../shared/src/http.rs", "../shared/src/http/openapi.rs"] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let found = text.split(".route(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
        routes.extend(found.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    assert!(routes.contains("/order") && routes.contains("/health"), "{routes:?}");
    let silent: Vec<_> = routes.iter().filter(|route| !paths.contains_key(route.as_str())).collect();
    assert!(silent.is_empty(), "not described: {silent:?}");
}

#[test]
fn a_described_command_is_accepted() {
    let api = Api::new();
    let document = api.get("/openapi.json").json();
    let schema =
        &document["paths"]["/api/v1/orders"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    let required: Vec<_> =
        schema["required"].as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
    assert_eq!(required, ["userId", "amount"]);
    api.post("/api/v1/orders", r#"{"userId":"u","amount":1}"#).accepted();
    let page = api.get("/docs");
    assert!(page.header("content-security-policy").contains("script-src 'sha256-"));
}
