//! Trusted documents: if a folder of them is set, no other document is executed.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use async_graphql::parser::parse_query;
use millrace_platform::settings::InvalidSetting;

use super::document_hash::DocumentHash;

/// The documents of a folder, by hash. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TrustedDocuments(Arc<HashMap<DocumentHash, Arc<str>>>);

impl TrustedDocuments {
    /// Reads every `*.graphql` file of a folder. A request names a document by its text or by the SHA-256 of its text,
    /// with or without the white space around it.
    ///
    /// # Errors
    /// [`InvalidSetting`], in one line, if the folder has no document or one that cannot be read or parsed.
    pub fn load(folder: &str) -> Result<Self, InvalidSetting> {
        let invalid = |path: &Path, error: &dyn std::fmt::Display| {
            let error = error.to_string();
            InvalidSetting(format!("{}: {}", path.display(), error.lines().next().unwrap_or_default()))
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
            return Err(invalid(folder, &"no *.graphql file found"));
        }
        Ok(Self(Arc::new(documents)))
    }

    pub(super) fn get(&self, hash: DocumentHash) -> Option<&Arc<str>> {
        self.0.get(&hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_folder_is_rejected_in_one_line() {
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
