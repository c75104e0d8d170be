//! Documents that have been parsed and passed the guard, by the hash of their text: clients send the same few over and
//! over, and parsing and validating are half of what a nested query costs. The same store answers persisted queries.
//!
//! Only what depends on nothing but the text is kept. Bounded: two generations, of which the older is dropped when the
//! younger is full, so that documents in use stay and clients who never repeat themselves cost it nothing but a miss.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::parser::parse_query;
use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{Name, Value};

use super::errors::{Code, Refused};
use super::field_order::FieldOrder;
use super::guard::{self, Limits};
use super::persisted::{DocumentHash, TrustedDocuments};

/// Documents kept in each generation.
const GENERATION_MAX: usize = 256;
/// Longest text that is kept unless a client registers it; a longer one is parsed each time.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// A document that may be executed.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) parsed: ExecutableDocument,
    /// Whether the schema has been found to allow it, whatever its variables.
    valid: AtomicBool,
    /// Of each operation by its name; the one without a name has none.
    orders: Vec<(Option<Name>, FieldOrder)>,
}

impl Document {
    /// A document that has passed the guard.
    fn new(parsed: ExecutableDocument) -> Self {
        let operations = parsed.operations.iter();
        let orders =
            operations.map(|(name, operation)| (name.cloned(), FieldOrder::of(&parsed, &operation.node)));
        Self { orders: orders.collect(), parsed, valid: AtomicBool::new(false) }
    }

    /// Puts what an operation was answered in the order in which it was asked for.
    pub(super) fn put_in_order(&self, operation: Option<&str>, answer: &mut Value) {
        let mut orders = self.orders.iter();
        if let Some((_, order)) = orders.find(|(name, _)| operation.is_none() || name.as_deref() == operation)
        {
            order.put(answer);
        }
    }

    pub(super) fn is_known_to_be_valid(&self) -> bool {
        self.valid.load(Ordering::Relaxed)
    }

    pub(super) fn note_that_it_is_valid(&self) {
        self.valid.store(true, Ordering::Relaxed);
    }
}

pub(super) struct Documents {
    limits: Limits,
    trusted: Option<TrustedDocuments>,
    known: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Key, Arc<Document>>,
    old: HashMap<Key, Arc<Document>>,
}

/// What a document is found by. A text that nobody has registered is not hashed the slow way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Text(Box<str>),
    Hash(DocumentHash),
}

impl Documents {
    pub(super) fn new(limits: Limits, trusted: Option<TrustedDocuments>) -> Self {
        Self { limits, trusted, known: Mutex::default() }
    }

    /// The document that a request sends, or names by its hash.
    ///
    /// # Errors
    /// When there is none of that hash, or it cannot be parsed, or the guard refuses it, or it is not trusted.
    pub(super) fn find(
        &self,
        text: Option<&str>,
        hash: Option<DocumentHash>,
    ) -> Result<Arc<Document>, Refused> {
        match (&self.trusted, text, hash) {
            (Some(trusted), text, hash) => self.trusted(trusted, text, hash),
            (None, Some(text), None) => self.sent(text),
            (None, Some(text), Some(hash)) => self.register(text, hash),
            (None, None, Some(hash)) => self.known().get(&Key::Hash(hash)).ok_or_else(not_found),
            (None, None, None) => Err(Refused::new(Code::ValidationFailed, "The request has no query.")),
        }
    }

    fn trusted(
        &self,
        trusted: &TrustedDocuments,
        text: Option<&str>,
        hash: Option<DocumentHash>,
    ) -> Result<Arc<Document>, Refused> {
        let of_text = text.map(|text| DocumentHash::of(text.trim()));
        let hash = of_text.or(hash);
        let found = hash.and_then(|hash| Some((hash, trusted.get(hash)?)));
        let (hash, text) = found
            .ok_or_else(|| Refused::new(Code::NotTrusted, "Only trusted documents are executed here."))?;
        self.found_or_parsed(Key::Hash(hash), text)
    }

    fn sent(&self, text: &str) -> Result<Arc<Document>, Refused> {
        if text.len() > TEXT_BYTES_MAX {
            return self.parse(text);
        }
        self.found_or_parsed(Key::Text(text.into()), text)
    }

    fn register(&self, text: &str, hash: DocumentHash) -> Result<Arc<Document>, Refused> {
        if DocumentHash::of(text) != hash {
            return Err(Refused::new(Code::PersistedQueryHash, "provided sha does not match query"));
        }
        self.found_or_parsed(Key::Hash(hash), text)
    }

    fn found_or_parsed(&self, key: Key, text: &str) -> Result<Arc<Document>, Refused> {
        if let Some(known) = self.known().get(&key) {
            return Ok(known);
        }
        let document = self.parse(text)?;
        self.known().keep(key, document.clone());
        Ok(document)
    }

    fn parse(&self, text: &str) -> Result<Arc<Document>, Refused> {
        guard::check_text(text, &self.limits)?;
        let parsed = parse_query(text).map_err(Refused::unparsable)?;
        guard::check_document(&parsed, &self.limits)?;
        Ok(Arc::new(Document::new(parsed)))
    }

    fn known(&self) -> MutexGuard<'_, Generations> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The words that clients of the protocol look for.
fn not_found() -> Refused {
    Refused::new(Code::PersistedQueryNotFound, "PersistedQueryNotFound")
}

impl Generations {
    fn get(&mut self, key: &Key) -> Option<Arc<Document>> {
        if let Some(document) = self.young.get(key) {
            return Some(document.clone());
        }
        let (key, document) = self.old.remove_entry(key)?;
        self.keep(key, document.clone());
        Some(document)
    }

    fn keep(&mut self, key: Key, document: Arc<Document>) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, document);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GraphqlConfig;

    fn documents() -> Documents {
        Documents::new(Limits::of(&GraphqlConfig::default()), None)
    }

    impl Documents {
        fn kept(&self) -> usize {
            let known = self.known();
            known.young.len() + known.old.len()
        }
    }

    #[test]
    fn a_text_is_parsed_once_and_the_number_kept_is_bounded() {
        let documents = documents();
        let find = |text: &str| documents.find(Some(text), None).unwrap();
        let first = find("{ __typename }");
        for n in 0..GENERATION_MAX * 3 {
            find(&format!("{{ a{n}: __typename }}"));
            assert!(documents.kept() <= 2 * GENERATION_MAX);
            assert!(Arc::ptr_eq(&first, &find("{ __typename }")), "what is in use stays");
        }
        let kept = documents.kept();
        find(&format!("{{ {} }}", "__typename ".repeat(TEXT_BYTES_MAX / 10)));
        assert_eq!(documents.kept(), kept);
    }

    #[test]
    fn what_is_refused_is_not_kept() {
        let documents = documents();
        for text in ["{", "", "{ ...A } fragment A on Query { ...A }", &"{a".repeat(100)] {
            documents.find(Some(text), None).unwrap_err();
            documents.find(Some(text), Some(DocumentHash::of(text))).unwrap_err();
        }
        assert_eq!(documents.kept(), 0);
    }

    #[test]
    fn a_document_is_found_by_its_hash_once_it_was_sent_with_it() {
        let documents = documents();
        let text = "{ __typename }";
        let hash = DocumentHash::of(text);
        let code = |text, hash| documents.find(text, Some(hash)).map(drop).map_err(|refused| refused.code);
        assert_eq!(code(None, hash), Err(Code::PersistedQueryNotFound));
        assert_eq!(code(Some("{ a }"), hash), Err(Code::PersistedQueryHash));
        documents.find(Some(text), None).unwrap();
        assert_eq!(code(None, hash), Err(Code::PersistedQueryNotFound), "sent, but not registered");
        assert_eq!(code(Some(text), hash), Ok(()));
        assert_eq!(code(None, hash), Ok(()));
    }
}
