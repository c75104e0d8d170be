//! Parsed documents that have passed the guard, by text or hash: clients send the same few documents repeatedly, and
//! parsing and validation are half of the cost of a nested query. The cache also holds persisted queries.
//!
//! Only what depends on the text alone is cached. The size is limited by two generations: when the young one is full it
//! becomes the old one, which is dropped. Documents in use move to the young generation, and a client that never repeats
//! a document costs the others at most a miss.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::parser::parse_query;

use super::document::Document;
use super::document_hash::DocumentHash;
use super::errors::RequestError;
use super::guard::{self, DocumentLimits};
use super::trusted_documents::TrustedDocuments;
use crate::graphql::schema::ErrorCode;

/// Documents in each generation.
const GENERATION_MAX: usize = 256;
/// Longest text that is cached without being registered; a longer one is parsed each time.
const TEXT_BYTES_MAX: usize = 4 * 1024;

pub(super) struct DocumentCache {
    limits: DocumentLimits,
    trusted: Option<TrustedDocuments>,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Key, Arc<Document>>,
    old: HashMap<Key, Arc<Document>>,
}

/// A text that is not registered is its own key: SHA-256 would be slower than the hash of a map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Text(Box<str>),
    Hash(DocumentHash),
}

impl DocumentCache {
    /// With `trusted`, no other document is returned.
    pub(super) fn new(limits: DocumentLimits, trusted: Option<TrustedDocuments>) -> Self {
        Self { limits, trusted, generations: Mutex::default() }
    }

    /// The document with this text or hash. Both together register the text.
    ///
    /// # Errors
    /// If the hash is not registered, the document is not trusted, cannot be parsed or exceeds a limit.
    pub(super) fn get(
        &self,
        text: Option<&str>,
        hash: Option<DocumentHash>,
    ) -> Result<Arc<Document>, RequestError> {
        match (&self.trusted, text, hash) {
            (Some(trusted), text, hash) => self.get_trusted(trusted, text, hash),
            (None, Some(text), None) => self.get_by_text(text),
            (None, Some(text), Some(hash)) => self.register(text, hash),
            // Clients of the protocol compare the message.
            (None, None, Some(hash)) => self.generations().get(&Key::Hash(hash)).ok_or_else(|| {
                RequestError::new(ErrorCode::PersistedQueryNotFound, "PersistedQueryNotFound")
            }),
            (None, None, None) => {
                Err(RequestError::new(ErrorCode::ValidationFailed, "request without query; send one"))
            }
        }
    }

    fn get_trusted(
        &self,
        trusted: &TrustedDocuments,
        text: Option<&str>,
        hash: Option<DocumentHash>,
    ) -> Result<Arc<Document>, RequestError> {
        let text_hash = text.map(|text| DocumentHash::of(text.trim()));
        let hash = text_hash.or(hash);
        let document = hash.and_then(|hash| Some((hash, trusted.get(hash)?)));
        let (hash, text) = document.ok_or_else(|| {
            let message =
                "document not trusted; only the documents in GRAPHQL_TRUSTED_DOCUMENTS are executed";
            RequestError::new(ErrorCode::NotTrusted, message)
        })?;
        self.get_or_parse(Key::Hash(hash), text)
    }

    fn get_by_text(&self, text: &str) -> Result<Arc<Document>, RequestError> {
        if text.len() > TEXT_BYTES_MAX {
            return self.parse(text);
        }
        self.get_or_parse(Key::Text(text.into()), text)
    }

    fn register(&self, text: &str, hash: DocumentHash) -> Result<Arc<Document>, RequestError> {
        if DocumentHash::of(text) != hash {
            // The message of Apollo's servers, which clients compare.
            let message = "provided sha does not match query";
            return Err(RequestError::new(ErrorCode::PersistedQueryHash, message));
        }
        self.get_or_parse(Key::Hash(hash), text)
    }

    fn get_or_parse(&self, key: Key, text: &str) -> Result<Arc<Document>, RequestError> {
        if let Some(cached) = self.generations().get(&key) {
            return Ok(cached);
        }
        let document = self.parse(text)?;
        self.generations().insert(key, document.clone());
        Ok(document)
    }

    fn parse(&self, text: &str) -> Result<Arc<Document>, RequestError> {
        guard::check_text(text, &self.limits)?;
        let parsed = parse_query(text).map_err(RequestError::parse_failed)?;
        guard::check_document(&parsed, &self.limits)?;
        Ok(Arc::new(Document::new(parsed)))
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get(&mut self, key: &Key) -> Option<Arc<Document>> {
        if let Some(document) = self.young.get(key) {
            return Some(document.clone());
        }
        let (key, document) = self.old.remove_entry(key)?;
        self.insert(key, document.clone());
        Some(document)
    }

    fn insert(&mut self, key: Key, document: Arc<Document>) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, document);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::config::GraphqlConfig;

    fn cache() -> DocumentCache {
        DocumentCache::new(DocumentLimits::from_config(&GraphqlConfig::default()), None)
    }

    impl DocumentCache {
        fn len(&self) -> usize {
            let generations = self.generations();
            generations.young.len() + generations.old.len()
        }
    }

    #[test]
    fn a_text_is_parsed_once_and_the_cache_is_bounded() {
        let cache = cache();
        let get = |text: &str| cache.get(Some(text), None).unwrap();
        let first = get("{ __typename }");
        for n in 0..GENERATION_MAX * 3 {
            get(&format!("{{ a{n}: __typename }}"));
            assert!(cache.len() <= 2 * GENERATION_MAX);
            assert!(Arc::ptr_eq(&first, &get("{ __typename }")), "a document in use stays");
        }
        let before = cache.len();
        get(&format!("{{ {} }}", "__typename ".repeat(TEXT_BYTES_MAX / 10)));
        assert_eq!(cache.len(), before);
    }

    #[test]
    fn a_rejected_document_is_not_cached() {
        let cache = cache();
        for text in ["{", "", "{ ...A } fragment A on Query { ...A }", &"{a".repeat(100)] {
            cache.get(Some(text), None).unwrap_err();
            cache.get(Some(text), Some(DocumentHash::of(text))).unwrap_err();
        }
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn a_document_is_found_by_its_hash_once_it_was_sent_with_it() {
        let cache = cache();
        let text = "{ __typename }";
        let hash = DocumentHash::of(text);
        let code = |text, hash| cache.get(text, Some(hash)).map(drop).map_err(|error| error.code);
        assert_eq!(code(None, hash), Err(ErrorCode::PersistedQueryNotFound));
        assert_eq!(code(Some("{ a }"), hash), Err(ErrorCode::PersistedQueryHash));
        cache.get(Some(text), None).unwrap();
        assert_eq!(code(None, hash), Err(ErrorCode::PersistedQueryNotFound), "sent, but not registered");
        assert_eq!(code(Some(text), hash), Ok(()));
        assert_eq!(code(None, hash), Ok(()));
    }
}
