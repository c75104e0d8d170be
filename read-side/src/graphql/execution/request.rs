//! A request, as every transport passes it on.

use async_graphql::{Request, Variables};
use serde_json::{Map, Value};

use super::document::Document;
use super::document_hash::DocumentHash;
use super::errors::RequestError;
use crate::graphql::schema::ErrorCode;

#[derive(Debug, Default)]
pub(crate) struct GraphqlRequest {
    pub(crate) query: Option<String>,
    pub(crate) hash: Option<DocumentHash>,
    pub(crate) operation_name: Option<String>,
    pub(crate) variables: Variables,
}

impl GraphqlRequest {
    /// The request in the form of the library, over a parsed document.
    pub(super) fn with_document(&self, document: &Document) -> Request {
        // The library reads the text only if there is no parsed document.
        let mut request = Request::new("").variables(self.variables.clone());
        request.operation_name.clone_from(&self.operation_name);
        request.set_parsed_query(document.parsed.clone());
        request
    }
}

/// The hash in the extension `persistedQuery` of a request (Apollo's automatic persisted queries), if any.
///
/// # Errors
/// If the extension does not follow the protocol.
pub(crate) fn persisted_query_hash(
    extensions: &Map<String, Value>,
) -> Result<Option<DocumentHash>, RequestError> {
    let Some(extension) = extensions.get("persistedQuery") else { return Ok(None) };
    if extension.get("version").and_then(Value::as_u64) != Some(1) {
        // Clients compare the message.
        let message = "PersistedQueryNotSupported";
        return Err(RequestError::new(ErrorCode::PersistedQueryNotSupported, message));
    }
    let hash = extension.get("sha256Hash").and_then(Value::as_str).and_then(DocumentHash::parse);
    hash.map(Some).ok_or_else(|| {
        let message = "persistedQuery.sha256Hash must be 64 hexadecimal digits";
        RequestError::new(ErrorCode::PersistedQueryHash, message)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(extension: &Value) -> Result<Option<DocumentHash>, ErrorCode> {
        let extensions = json!({ "persistedQuery": extension });
        persisted_query_hash(extensions.as_object().unwrap()).map_err(|error| error.code)
    }

    #[test]
    fn a_hash_is_64_digits_of_either_case() {
        let hex = "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38";
        let hash = DocumentHash::of("{__typename}");
        assert_eq!(parse(&json!({"version": 1, "sha256Hash": hex})), Ok(Some(hash)));
        assert_eq!(parse(&json!({"version": 1, "sha256Hash": hex.to_uppercase()})), Ok(Some(hash)));
        let long = format!("{hex}0");
        for wrong in
            [json!(&hex[1..]), json!(long), json!(hex.replace('e', "g")), json!(5), json!("ä".repeat(32))]
        {
            let extension = json!({"version": 1, "sha256Hash": wrong});
            assert_eq!(parse(&extension), Err(ErrorCode::PersistedQueryHash), "{wrong}");
        }
        for version in [json!(2), json!("1"), json!(null)] {
            let extension = json!({"version": version, "sha256Hash": hex});
            assert_eq!(parse(&extension), Err(ErrorCode::PersistedQueryNotSupported), "{version}");
        }
        assert_eq!(persisted_query_hash(&Map::new()).map_err(|error| error.code), Ok(None));
    }
}
