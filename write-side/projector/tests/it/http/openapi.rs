//! The description of the admin routes: every described route exists, every route is described.

use super::Api;
use reqwest::Method;

#[test]
fn every_described_route_exists() {
    let api = Api::new();
    let document = api.get("/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/api/v1/dlq/messages/{id}") && paths.contains_key("/api/v1/replay/batch"));
    for (path, item) in paths {
        for method in item.as_object().unwrap().keys() {
            let filled = path.replace("{id}", "0:0");
            let answer = api.send(method.to_uppercase().parse::<Method>().unwrap(), &filled, &[], "");
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(!answer.text().contains("route not found"), "{method} {path}");
        }
    }
    let page = api.get("/");
    for path in paths.keys() {
        assert!(page.text().contains(path), "{path} is not on the page at /");
    }
}
