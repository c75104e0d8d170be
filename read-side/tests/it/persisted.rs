//! Documents by hash: Apollo's automatic persisted queries, and trusted documents.

use millrace_read_side::config::GraphqlConfig;
use millrace_read_side::graphql::TrustedDocuments;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::seed::{Answer, ReadSide};

const QUERY: &str = "query ($id: ID!) { user(id: $id) { name } }";

fn hex(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn post(read_side: &ReadSide, query: Option<&str>, hash: Option<&str>) -> Answer {
    let mut body = json!({ "variables": { "id": "customer-59" } });
    if let Some(query) = query {
        body["query"] = json!(query);
    }
    if let Some(hash) = hash {
        body["extensions"] = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } });
    }
    read_side.post(body.to_string()).await
}

fn code(answer: &Answer) -> Value {
    answer.json()["errors"][0]["extensions"]["code"].clone()
}

#[tokio::test]
async fn a_registered_document_is_found_by_its_hash() {
    let read_side = ReadSide::seeded();
    let hash = hex(QUERY);
    let unknown = post(&read_side, None, Some(&hash)).await;
    assert_eq!(unknown.status, 400);
    assert_eq!(unknown.json()["errors"][0]["message"], "PersistedQueryNotFound");
    assert_eq!(code(&unknown), "PERSISTED_QUERY_NOT_FOUND");

    let name = json!({"data": {"user": {"name": "Puja Srivastava"}}});
    assert_eq!(post(&read_side, Some(QUERY), Some(&hash)).await.json(), name);
    assert_eq!(post(&read_side, None, Some(&hash)).await.json(), name);
    let extensions =
        format!("%7B%22persistedQuery%22:%7B%22version%22:1,%22sha256Hash%22:%22{hash}%22%7D%7D");
    let variables = "%7B%22id%22:%22customer-59%22%7D";
    let by_get = read_side.get(&format!("/graphql?extensions={extensions}&variables={variables}")).await;
    assert_eq!(by_get.json(), name);
}

#[tokio::test]
async fn a_hash_must_match_its_text() {
    let read_side = ReadSide::seeded();
    let hash = hex(QUERY);
    let poisoned = post(&read_side, Some("query ($id: ID!) { user(id: $id) { email } }"), Some(&hash)).await;
    assert_eq!(poisoned.json()["errors"][0]["message"], "provided sha does not match query");
    assert_eq!(code(&post(&read_side, None, Some(&hash)).await), "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(code(&post(&read_side, Some(QUERY), Some("abc")).await), "PERSISTED_QUERY_HASH_MISMATCH");
    // A document that the guard rejects cannot be registered.
    let bomb = "{ ...A } fragment A on Query { ...A }";
    assert_eq!(code(&post(&read_side, Some(bomb), Some(&hex(bomb))).await), "FRAGMENT_CYCLE");
    assert_eq!(code(&post(&read_side, None, Some(&hex(bomb))).await), "PERSISTED_QUERY_NOT_FOUND");
}

#[tokio::test]
async fn with_trusted_documents_no_other_is_executed() {
    let queries = concat!(env!("CARGO_MANIFEST_DIR"), "/../graphql/queries");
    let trusted = TrustedDocuments::load(queries).unwrap();
    let config = GraphqlConfig { graphql_trusted_documents: Some(trusted), ..GraphqlConfig::default() };
    let read_side = ReadSide::with_graphql(config);
    let text = std::fs::read_to_string(format!("{queries}/user_with_orders.graphql")).unwrap();
    for (query, hash) in [
        (Some(text.as_str()), None),
        (Some(text.trim()), None),
        (None, Some(hex(&text))),
        (None, Some(hex(text.trim()))),
    ] {
        let answer = post(&read_side, query, hash.as_deref()).await;
        assert_eq!(answer.json()["data"]["user"]["name"], "Puja Srivastava", "{}", answer.text());
    }
    for (query, hash) in [
        (Some(QUERY), None),
        (None, Some(hex(QUERY))),
        (Some(QUERY), Some(hex(QUERY))),
        (Some(QUERY), Some(hex(&text))),
        (Some("{"), None),
    ] {
        let answer = post(&read_side, query, hash.as_deref()).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert_eq!(code(&answer), "DOCUMENT_NOT_TRUSTED");
    }
}
