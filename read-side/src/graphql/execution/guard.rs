//! Rejects small documents that are expensive to process, before they are processed. The library's own limits apply too
//! late: [`check_text`] runs before a document is parsed, [`check_document`] before it is validated.

mod document;
mod text;

pub(super) use self::document::check_document;
pub(super) use self::text::check_text;

use super::errors::RequestError;
use crate::graphql::config::GraphqlConfig;
use crate::graphql::schema::ErrorCode;

/// Deepest nesting of brackets of all kinds: selections up to the limit below, and their arguments.
const BRACKETS_MAX: usize = 64;
/// Deepest nesting of selections, with fragments expanded. It limits every recursion over the document.
const LEVELS_MAX: usize = 32;
/// Deepest nesting of lists in an introspection query. Editors need two; each further one multiplies the response by the
/// size of the schema.
const INTROSPECTION_LISTS_MAX: usize = 3;

#[derive(Debug, Clone, Copy)]
pub(super) struct DocumentLimits {
    /// Of the text.
    tokens: usize,
    /// Fields, spreads and inline fragments, with fragments expanded.
    selections: usize,
    /// With fragments expanded.
    aliases: usize,
    /// With fragments expanded.
    directives: usize,
    /// Whether introspection is allowed.
    introspection: bool,
}

impl DocumentLimits {
    pub(super) fn from_config(config: &GraphqlConfig) -> Self {
        Self {
            tokens: config.graphql_tokens_max as usize,
            selections: config.graphql_selections_max as usize,
            aliases: config.graphql_aliases_max as usize,
            directives: config.graphql_directives_max as usize,
            introspection: config.graphql_introspection.is_on(),
        }
    }
}

/// Why the guard rejects a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum GuardError {
    #[error("query has more than {0} tokens")]
    TooManyTokens(usize),
    #[error("query has more than {0} selections with its fragments expanded")]
    TooManySelections(usize),
    #[error("query has more than {0} aliases with its fragments expanded")]
    TooManyAliases(usize),
    #[error("query has more than {0} directives with its fragments expanded")]
    TooManyDirectives(usize),
    #[error("query nests more than {BRACKETS_MAX} brackets")]
    TooManyBrackets,
    #[error("query nests more than {LEVELS_MAX} levels of selections")]
    TooDeep,
    #[error("fragment {0:?} contains itself")]
    FragmentCycle(String),
    #[error("introspection query nests more than {INTROSPECTION_LISTS_MAX} lists")]
    IntrospectionTooDeep,
    #[error("introspection is disabled")]
    IntrospectionDisabled,
}

impl From<GuardError> for RequestError {
    fn from(error: GuardError) -> Self {
        let code = match &error {
            GuardError::TooManyTokens(_)
            | GuardError::TooManySelections(_)
            | GuardError::TooManyAliases(_)
            | GuardError::TooManyDirectives(_) => ErrorCode::TooLarge,
            GuardError::TooManyBrackets | GuardError::TooDeep | GuardError::IntrospectionTooDeep => {
                ErrorCode::TooDeep
            }
            GuardError::FragmentCycle(_) => ErrorCode::FragmentCycle,
            GuardError::IntrospectionDisabled => ErrorCode::IntrospectionDisabled,
        };
        Self::new(code, error.to_string())
    }
}
