//! The parameters of a request, as every transport has them.

use async_graphql::Variables;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Asked;
use super::errors::Refused;
use super::persisted::DocumentHash;

/// `V` and `E` are the forms that variables and extensions come in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters<V, E> {
    pub(super) query: Option<String>,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Option<V>,
    pub(super) extensions: Option<E>,
}

/// As JSON has them.
pub(super) type JsonParameters = Parameters<Variables, Map<String, Value>>;

/// Parameters that ask for nothing.
pub(super) enum NotAsked {
    /// Neither a document nor the hash of one: not a GraphQL request at all.
    NoQuery,
    /// The hash cannot be read.
    Refused(Refused),
}

/// What a client should have sent.
pub(super) const NO_QUERY: &str = "query is missing: POST {\"query\": \"…\"} or GET /graphql?query=…";

impl JsonParameters {
    pub(super) fn asked(self) -> Result<Asked, NotAsked> {
        let hash =
            DocumentHash::of_request(&self.extensions.unwrap_or_default()).map_err(NotAsked::Refused)?;
        let query = self.query.filter(|query| !query.is_empty());
        if query.is_none() && hash.is_none() {
            return Err(NotAsked::NoQuery);
        }
        let variables = self.variables.unwrap_or_default();
        Ok(Asked { query, hash, operation_name: self.operation_name, variables })
    }
}
