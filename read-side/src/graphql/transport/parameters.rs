//! The parameters of a GraphQL request, which are the same on every transport.

use async_graphql::Variables;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::graphql::execution::{GraphqlRequest, RequestError, persisted_query_hash};

/// `V` and `E` are the types of variables and extensions.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters<V, E> {
    pub(super) query: Option<String>,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Option<V>,
    pub(super) extensions: Option<E>,
}

pub(super) type JsonParameters = Parameters<Variables, Map<String, Value>>;

pub(super) enum ParametersError {
    /// Neither a document nor the hash of one.
    NoQuery,
    /// The hash is invalid.
    Rejected(RequestError),
}

/// The detail for [`ParametersError::NoQuery`].
pub(super) const NO_QUERY: &str = "query is missing; POST {\"query\": \"…\"} or GET /graphql?query=…";

impl JsonParameters {
    pub(super) fn into_request(self) -> Result<GraphqlRequest, ParametersError> {
        let hash = persisted_query_hash(&self.extensions.unwrap_or_default());
        let hash = hash.map_err(ParametersError::Rejected)?;
        let query = self.query.filter(|query| !query.is_empty());
        if query.is_none() && hash.is_none() {
            return Err(ParametersError::NoQuery);
        }
        let variables = self.variables.unwrap_or_default();
        Ok(GraphqlRequest { query, hash, operation_name: self.operation_name, variables })
    }
}
