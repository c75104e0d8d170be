//! Documents that a request names by their hash: those that clients have registered, and those that are trusted.
//!
//! Automatic persisted queries speak Apollo's protocol: a client sends the SHA-256 of a document alone, and the document
//! with it only when it is told `PersistedQueryNotFound`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use async_graphql::parser::parse_query;
use millrace_platform::settings::InvalidSetting;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::errors::{Code, Refused};

/// The SHA-256 of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct DocumentHash([u8; 32]);

impl DocumentHash {
    pub(super) fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Reads 64 hexadecimal digits.
    fn parse(hex: &str) -> Option<Self> {
        let digits = hex.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
        }
        Some(Self(hash))
    }

    /// The hash in the extension `persistedQuery` of a request, when there is one.
    ///
    /// # Errors
    /// When the extension is there, but not as the protocol has it.
    pub(super) fn of_request(extensions: &Map<String, Value>) -> Result<Option<Self>, Refused> {
        let Some(extension) = extensions.get("persistedQuery") else { return Ok(None) };
        if extension.get("version").and_then(Value::as_u64) != Some(1) {
            return Err(Refused::new(Code::PersistedQueryNotSupported, "PersistedQueryNotSupported"));
        }
        let hash = extension.get("sha256Hash").and_then(Value::as_str).and_then(Self::parse);
        hash.map(Some).ok_or_else(|| {
            let message = "persistedQuery.sha256Hash must be 64 hexadecimal digits";
            Refused::new(Code::PersistedQueryHash, message)
        })
    }
}

/// The only documents that are executed, when there are such. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TrustedDocuments(Arc<HashMap<DocumentHash, Arc<str>>>);

impl TrustedDocuments {
    /// Reads every `*.graphql` file of a folder. Each can be asked for by its text or by the SHA-256 of its text, with
    /// or without the white space around it.
    ///
    /// # Errors
    /// [`InvalidSetting`], one line, when the folder has none or one of them cannot be read or parsed.
    pub fn load(folder: &str) -> Result<Self, InvalidSetting> {
        let invalid = |what: &Path, why: &dyn std::fmt::Display| {
            let why = why.to_string();
            InvalidSetting(format!("{}: {}", what.display(), why.lines().next().unwrap_or_default()))
        };
        let folder = Path::new(folder);
        let mut documents = HashMap::new();
        for entry in std::fs::read_dir(folder).map_err(|error| invalid(folder, &error))? {
            let path = entry.map_err(|error| invalid(folder, &error))?.path();
            if path.extension().is_none_or(|extension| extension != "graphql") {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(|error| invalid(&path, &error))?;
            parse_query(&text).map_err(|error| invalid(&path, &error))?;
            let text = Arc::<str>::from(text);
            documents.insert(DocumentHash::of(text.trim()), text.clone());
            documents.insert(DocumentHash::of(&text), text);
        }
        if documents.is_empty() {
            return Err(invalid(folder, &"there is no *.graphql file in it"));
        }
        Ok(Self(Arc::new(documents)))
    }

    /// The text of a trusted document.
    pub(super) fn get(&self, hash: DocumentHash) -> Option<&Arc<str>> {
        self.0.get(&hash)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(extension: &Value) -> Result<Option<DocumentHash>, Code> {
        let extensions = json!({ "persistedQuery": extension });
        DocumentHash::of_request(extensions.as_object().unwrap()).map_err(|refused| refused.code)
    }

    #[test]
    fn a_hash_is_64_digits_of_either_case() {
        let hex = "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38";
        let hash = DocumentHash::of("{__typename}");
        assert_eq!(asked(&json!({"version": 1, "sha256Hash": hex})), Ok(Some(hash)));
        assert_eq!(asked(&json!({"version": 1, "sha256Hash": hex.to_uppercase()})), Ok(Some(hash)));
        let long = format!("{hex}0");
        for wrong in
            [json!(&hex[1..]), json!(long), json!(hex.replace('e', "g")), json!(5), json!("ä".repeat(32))]
        {
            let extension = json!({"version": 1, "sha256Hash": wrong});
            assert_eq!(asked(&extension), Err(Code::PersistedQueryHash), "{wrong}");
        }
        for version in [json!(2), json!("1"), json!(null)] {
            let extension = json!({"version": version, "sha256Hash": hex});
            assert_eq!(asked(&extension), Err(Code::PersistedQueryNotSupported), "{version}");
        }
        assert_eq!(DocumentHash::of_request(&Map::new()).map_err(|refused| refused.code), Ok(None));
    }

    #[test]
    fn a_folder_that_cannot_be_trusted_is_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let refusal = || TrustedDocuments::load(path).unwrap_err().to_string();
        assert!(refusal().contains("no *.graphql"), "{}", refusal());
        std::fs::write(folder.path().join("a.graphql"), "{ user(").unwrap();
        assert!(refusal().contains("a.graphql: ") && !refusal().contains('\n'), "{}", refusal());
        assert!(TrustedDocuments::load("/nowhere/at/all").unwrap_err().to_string().contains("/nowhere"));
        std::fs::write(folder.path().join("a.graphql"), "{ __typename }\n").unwrap();
        let trusted = TrustedDocuments::load(path).unwrap();
        assert!(trusted.get(DocumentHash::of("{ __typename }")).is_some());
        assert!(trusted.get(DocumentHash::of("{ __typename }\n")).is_some());
        assert!(trusted.get(DocumentHash::of("{__typename}")).is_none());
    }
}
