//! Execution of requests, whichever transport they arrive on: documents and their limits, queries, subscriptions.

mod batches;
mod document;
mod document_cache;
mod document_hash;
mod errors;
mod executor;
mod field_order;
mod guard;
mod operation_metrics;
mod request;
mod response;
mod shared_streams;
mod subscriptions;
mod trusted_documents;
mod variables;

pub use self::trusted_documents::TrustedDocuments;

pub(crate) use self::document::Document;
pub(crate) use self::errors::RequestError;
pub(crate) use self::executor::Executor;
pub(crate) use self::request::{GraphqlRequest, persisted_query_hash};
pub(crate) use self::response::{GraphqlResponse, ResponseStatus, to_json};
pub(crate) use self::shared_streams::SubscriptionMessage;
