//! Documents that have been parsed and passed the guard, by their text: clients send the same few over and over, and
//! parsing is a third of what a nested query costs.
//!
//! Only what depends on nothing but the text is kept. Bounded: when it is full it starts anew, so that clients who
//! never repeat themselves cost it nothing but a miss.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::ServerError;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::ExecutableDocument;

use super::guard;

/// Documents kept.
const DOCUMENTS_MAX: usize = 128;
/// Longest text that is kept; a longer one is parsed each time.
const TEXT_BYTES_MAX: usize = 4 * 1024;

#[derive(Default)]
pub(super) struct Documents(Mutex<HashMap<Box<str>, Arc<ExecutableDocument>>>);

impl Documents {
    /// The document of that text.
    ///
    /// # Errors
    /// When it cannot be parsed or the guard refuses it.
    pub(super) fn parse(&self, text: &str) -> Result<Arc<ExecutableDocument>, ServerError> {
        if let Some(known) = self.known().get(text) {
            return Ok(known.clone());
        }
        guard::check_text(text)?;
        let document = parse_query(text)?;
        guard::check_document(&document)?;
        let document = Arc::new(document);
        if text.len() <= TEXT_BYTES_MAX {
            self.keep(text, document.clone());
        }
        Ok(document)
    }

    fn keep(&self, text: &str, document: Arc<ExecutableDocument>) {
        let mut known = self.known();
        if known.len() >= DOCUMENTS_MAX {
            known.clear();
        }
        known.insert(text.into(), document);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<ExecutableDocument>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_parsed_once_and_the_number_kept_is_bounded() {
        let documents = Documents::default();
        let first = documents.parse("{ __typename }").unwrap();
        assert!(Arc::ptr_eq(&first, &documents.parse("{ __typename }").unwrap()));
        for n in 0..DOCUMENTS_MAX * 2 {
            documents.parse(&format!("{{ a{n}: __typename }}")).unwrap();
            assert!(documents.known().len() <= DOCUMENTS_MAX);
        }
        let long = format!("{{ {} }}", "__typename ".repeat(TEXT_BYTES_MAX / 10));
        documents.parse(&long).unwrap();
        assert!(!documents.known().contains_key(&*long));
    }

    #[test]
    fn what_is_refused_is_not_kept() {
        let documents = Documents::default();
        for text in ["{", "", "{ ...A } fragment A on Query { ...A }", &"{a".repeat(100)] {
            documents.parse(text).unwrap_err();
        }
        assert!(documents.known().is_empty());
    }
}
