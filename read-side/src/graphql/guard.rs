//! Refuses documents that are small to send but ruinous to read, before anything reads them.
//!
//! The library's own limits come too late for two of them. Values nested some thousand deep (`{a:{a:{a:…`) exhaust
//! the stack of its parser, which ends the process: [`check_text`] counts brackets before it parses. And its checks
//! walk every fragment spread anew, so that 900 bytes in which each fragment spreads the next twice cost seconds of
//! CPU: [`check_document`] measures each fragment once and reuses its extent, before anything is validated.

use std::collections::HashMap;

use async_graphql::parser::types::{
    Directive, ExecutableDocument, FragmentDefinition, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned};

use super::errors::{Code, Refused};
use crate::config::GraphqlConfig;

/// Deepest nesting of brackets of all kinds: fields to the limit below, and arguments within.
const BRACKETS_MAX: usize = 64;
/// Deepest nesting of selections, fragments included. Bounds every recursion over the document, ours and the library's.
const LEVELS_MAX: usize = 32;
/// Deepest nesting of lists of the schema within lists of the schema. Editors ask for two; each more multiplies the
/// answer by the size of the schema.
const INTROSPECTION_LISTS_MAX: usize = 3;

/// How much a document may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Words and signs of the text.
    tokens: usize,
    /// Fields, spreads and inline fragments once all fragments are expanded.
    selections: usize,
    /// Aliases, counted so.
    aliases: usize,
    /// Directives, counted so.
    directives: usize,
    /// Whether the schema may be asked for.
    introspection: bool,
}

impl Limits {
    pub(super) fn of(config: &GraphqlConfig) -> Self {
        Self {
            tokens: config.graphql_tokens_max as usize,
            selections: config.graphql_selections_max as usize,
            aliases: config.graphql_aliases_max as usize,
            directives: config.graphql_directives_max as usize,
            introspection: config.graphql_introspection.is_on(),
        }
    }
}

/// Why a document is not executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("The query has more than {0} words and signs.")]
    TooManyTokens(usize),
    #[error("The query has more than {0} selections once its fragments are expanded.")]
    TooManySelections(usize),
    #[error("The query has more than {0} aliases once its fragments are expanded.")]
    TooManyAliases(usize),
    #[error("The query has more than {0} directives once its fragments are expanded.")]
    TooManyDirectives(usize),
    #[error("The query has more than {BRACKETS_MAX} brackets within each other.")]
    TooManyBrackets,
    #[error("The query is nested more than {LEVELS_MAX} levels deep.")]
    TooDeep,
    #[error("The fragment {0:?} contains itself.")]
    FragmentCycle(String),
    #[error("The query nests lists of the schema more than {INTROSPECTION_LISTS_MAX} deep.")]
    IntrospectionTooDeep,
    #[error("The schema cannot be asked for here.")]
    IntrospectionDisabled,
}

/// Counts words and signs, and how deep the brackets go; those in strings and comments left out.
pub(super) fn check_text(query: &str, limits: &Limits) -> Result<(), Refusal> {
    let mut rest = query.as_bytes();
    let mut open = 0_usize;
    let mut tokens = 0_usize;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        tokens += usize::from(!is_ignored(*byte));
        match byte {
            b'{' | b'[' | b'(' if open == BRACKETS_MAX => return Err(Refusal::TooManyBrackets),
            b'{' | b'[' | b'(' => open += 1,
            b'}' | b']' | b')' => open = open.saturating_sub(1),
            b'#' => rest = after_comment(after),
            b'"' => rest = after_string(after),
            b if is_of_word(*b) => rest = after_word(after),
            _ => {}
        }
        if tokens > limits.tokens {
            return Err(Refusal::TooManyTokens(limits.tokens));
        }
    }
    Ok(())
}

fn is_ignored(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b',' | b'#')
}

/// Of a name or a number.
fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn after_word(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !is_of_word(*byte));
    &text[end.unwrap_or(text.len())..]
}

fn after_comment(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    &text[end.unwrap_or(text.len())..]
}

/// What follows the string whose opening quote stands before `text`. As in the parser, what begins like a block
/// string but never ends is an empty string with something behind it, and a quote that is never closed is no string.
fn after_string(text: &[u8]) -> &[u8] {
    let block = text.strip_prefix(b"\"\"").and_then(after_block_string);
    block.or_else(|| after_line_string(text)).unwrap_or(text)
}

fn after_block_string(mut text: &[u8]) -> Option<&[u8]> {
    while !text.is_empty() {
        if let Some(after) = text.strip_prefix(b"\"\"\"") {
            return Some(after);
        }
        text = text.strip_prefix(b"\\\"\"\"").unwrap_or(&text[1..]);
    }
    None
}

fn after_line_string(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = match text {
            [b'"', after @ ..] => return Some(after),
            [b'\\', _, after @ ..] => after,
            [] | [b'\n' | b'\r', ..] => return None,
            [_, after @ ..] => after,
        };
    }
}

/// Measures all operations and all fragments, used or not, for the library checks them all.
pub(super) fn check_document(document: &ExecutableDocument, limits: &Limits) -> Result<(), Refusal> {
    let measured = HashMap::with_capacity(document.fragments.len());
    let mut census = Census { fragments: &document.fragments, limits, measured };
    let mut total = Extent::default();
    for name in document.fragments.keys() {
        total.add(census.fragment(name, 0)?, limits)?;
    }
    for (_, operation) in document.operations.iter() {
        total.directives += operation.node.directives.len();
        total.add(census.selections(&operation.node.selection_set.node, 0)?, limits)?;
    }
    Ok(())
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::TooManyTokens(_)
            | Refusal::TooManySelections(_)
            | Refusal::TooManyAliases(_)
            | Refusal::TooManyDirectives(_) => Code::TooLarge,
            Refusal::TooManyBrackets | Refusal::TooDeep | Refusal::IntrospectionTooDeep => Code::TooDeep,
            Refusal::FragmentCycle(_) => Code::FragmentCycle,
            Refusal::IntrospectionDisabled => Code::IntrospectionDisabled,
        };
        Self::new(code, refusal.to_string())
    }
}

/// How far a part of the document reaches, with all its fragments expanded.
#[derive(Clone, Copy, Default)]
struct Extent {
    selections: usize,
    aliases: usize,
    directives: usize,
    levels: usize,
    introspection_lists: usize,
}

impl Extent {
    /// Puts another part beside this one.
    fn add(&mut self, other: Self, limits: &Limits) -> Result<(), Refusal> {
        self.selections = self.selections.saturating_add(other.selections);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.directives = self.directives.saturating_add(other.directives);
        self.levels = self.levels.max(other.levels);
        self.introspection_lists = self.introspection_lists.max(other.introspection_lists);
        match () {
            () if self.selections > limits.selections => Err(Refusal::TooManySelections(limits.selections)),
            () if self.aliases > limits.aliases => Err(Refusal::TooManyAliases(limits.aliases)),
            () if self.directives > limits.directives => Err(Refusal::TooManyDirectives(limits.directives)),
            () if self.levels > LEVELS_MAX => Err(Refusal::TooDeep),
            () if self.introspection_lists > INTROSPECTION_LISTS_MAX => Err(Refusal::IntrospectionTooDeep),
            () => Ok(()),
        }
    }
}

struct Census<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    limits: &'a Limits,
    /// `None` while a fragment is being measured: meeting it again then is a cycle.
    measured: HashMap<&'a str, Option<Extent>>,
}

impl<'a> Census<'a> {
    fn fragment(&mut self, name: &'a Name, level: usize) -> Result<Extent, Refusal> {
        match self.measured.get(name.as_str()) {
            Some(Some(extent)) => return Ok(*extent),
            Some(None) => return Err(Refusal::FragmentCycle(name.to_string())),
            None => {}
        }
        let Some(fragment) = self.fragments.get(name) else {
            return Ok(Extent::default()); // The library says it better: unknown fragment, at line and column.
        };
        self.measured.insert(name, None);
        let mut extent = self.selections(&fragment.node.selection_set.node, level)?;
        extent.directives += fragment.node.directives.len();
        self.measured.insert(name, Some(extent));
        Ok(extent)
    }

    fn selections(&mut self, set: &'a SelectionSet, level: usize) -> Result<Extent, Refusal> {
        if level > LEVELS_MAX {
            return Err(Refusal::TooDeep);
        }
        let mut total = Extent::default();
        for selection in &set.items {
            let mut extent = self.selection(&selection.node, level + 1)?;
            extent.selections += 1;
            extent.directives += directives(&selection.node).len();
            extent.levels += 1;
            total.add(extent, self.limits)?;
        }
        Ok(total)
    }

    /// What is inside a selection, and what a field has beyond that.
    fn selection(&mut self, selection: &'a Selection, level: usize) -> Result<Extent, Refusal> {
        let field = match selection {
            Selection::Field(field) => &field.node,
            Selection::InlineFragment(inline) => {
                return self.selections(&inline.node.selection_set.node, level);
            }
            Selection::FragmentSpread(spread) => {
                return self.fragment(&spread.node.fragment_name.node, level);
            }
        };
        let name = field.name.node.as_str();
        if !self.limits.introspection && matches!(name, "__schema" | "__type") {
            return Err(Refusal::IntrospectionDisabled);
        }
        let mut extent = self.selections(&field.selection_set.node, level)?;
        extent.aliases += usize::from(field.alias.is_some());
        extent.introspection_lists += usize::from(is_introspection_list(name));
        Ok(extent)
    }
}

fn directives(selection: &Selection) -> &[Positioned<Directive>] {
    match selection {
        Selection::Field(field) => &field.node.directives,
        Selection::InlineFragment(inline) => &inline.node.directives,
        Selection::FragmentSpread(spread) => &spread.node.directives,
    }
}

/// The lists of types through which an introspection query can come back to where it was. No field of ours is
/// called so.
fn is_introspection_list(field: &str) -> bool {
    matches!(field, "fields" | "inputFields" | "interfaces" | "possibleTypes")
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    const LIMITS: Limits =
        Limits { tokens: 20_000, selections: 5_000, aliases: 10, directives: 10, introspection: true };

    fn checked(query: &str) -> Result<(), Refusal> {
        check_text(query, &LIMITS).unwrap();
        check_document(&parse_query(query).unwrap(), &LIMITS)
    }

    fn brackets(query: &str) -> Result<(), Refusal> {
        check_text(query, &LIMITS)
    }

    /// `links` fragments, each of which spreads the next `times` times.
    fn chain(links: usize, times: usize) -> String {
        let mut query = "{ ...F0 }".to_owned();
        for link in 0..links {
            let spreads = format!("...F{} ", link + 1).repeat(times);
            query.push_str(&format!(" fragment F{link} on Query {{ {spreads} }}"));
        }
        query + &format!(" fragment F{links} on Query {{ __typename }}")
    }

    #[test]
    fn counts_the_brackets_that_the_parser_sees() {
        let (open, close) = ("[".repeat(BRACKETS_MAX), "]".repeat(BRACKETS_MAX));
        for query in [
            format!("{open}{close}{open}"),
            format!("{open}#{open}\n{close}{open}"),
            format!(r#"{open}"{open}\"{open}"{close}{open}"#),
            format!(r#"{open}"\\"{close}""{open}"#),
            format!(r#"{open}"""{open}"\"""{open}"""{close}{open}"#),
        ] {
            assert_eq!(brackets(&query), Ok(()), "{query}");
        }
        for query in [
            format!("{open}["),
            format!("{open}#{close}\n["),
            format!("{open}#{close}\r["),
            format!(r#"{open}"{close}"["#),
            format!(r#"{open}"\\"["#),
            format!(r#"{open}"\"{close}"["#),
            format!(r#"{open}"""{close}"\"""{close}"""["#),
            format!(r#"{open}""["#),
            format!(r#"{open}"""x"["#), // no block string, for it has no end
            format!("{open}\"\n[\""),
        ] {
            assert_eq!(brackets(&query), Err(Refusal::TooManyBrackets), "{query}");
        }
    }

    #[test]
    fn lets_ordinary_queries_pass() {
        assert_eq!(checked("{ user(id: 1) { ...A ...A } } fragment A on User { name }"), Ok(()));
        assert_eq!(checked("{ ...Unknown }"), Ok(()));
    }

    #[test]
    fn refuses_a_fragment_bomb_by_its_size() {
        assert_eq!(checked(&chain(25, 2)), Err(Refusal::TooManySelections(5_000)));
        // 3 to the power of 30 would not fit a 32 bit count, 100 to the power of 30 no count at all.
        assert_eq!(checked(&chain(30, 100)), Err(Refusal::TooManySelections(5_000)));
    }

    #[test]
    fn refuses_cycles() {
        let own = checked("{ ...A } fragment A on Query { ...A }");
        assert_eq!(own, Err(Refusal::FragmentCycle("A".to_owned())));
        let query = "{ __typename } fragment A on Query { ...B } fragment B on Query { ... { ...A } }";
        assert!(matches!(checked(query), Err(Refusal::FragmentCycle(_))));
    }

    #[test]
    fn refuses_depth_whether_it_comes_from_fields_or_fragments() {
        assert_eq!(checked(&chain(400, 1)), Err(Refusal::TooDeep));
        let nested = format!("{}name{}", "{ a ".repeat(40), "}".repeat(40));
        assert_eq!(checked(&nested), Err(Refusal::TooDeep));
    }

    #[test]
    fn counts_every_operation() {
        let many = (0..60).map(|n| format!("query Q{n} {{ {} }} ", "name ".repeat(100)));
        assert_eq!(checked(&many.collect::<String>()), Err(Refusal::TooManySelections(5_000)));
    }

    #[test]
    fn refuses_lists_of_the_schema_within_each_other() {
        let nested = |times: usize| {
            let (open, close) = ("fields { type { ".repeat(times), "} }".repeat(times));
            format!("{{ __schema {{ types {{ {open} name {close} }} }} }}")
        };
        assert_eq!(checked(&nested(3)), Ok(()));
        assert_eq!(checked(&nested(4)), Err(Refusal::IntrospectionTooDeep));
    }

    #[test]
    fn counts_words_and_signs() {
        let limits = Limits { tokens: 8, ..LIMITS };
        for query in [
            "{ user ( id : 1 ) }",
            "{,,,user(id:1)}   # { { {",
            r#"{ a(b: "one word, whatever { is in it") }"#,
            r#"{ a(b: """one "word" """) }"#,
        ] {
            assert_eq!(check_text(query, &limits), Ok(()), "{query}");
        }
        for query in ["{ user ( id : 1 ) x }", "{ a b c d e f g h", "!!!!!!!!!", "äääää"] {
            assert_eq!(check_text(query, &limits), Err(Refusal::TooManyTokens(8)), "{query}");
        }
    }

    #[test]
    fn counts_aliases_and_directives_through_fragments() {
        let bomb = |what: &str, times: usize| {
            let spreads = "...F ".repeat(times);
            format!("{{ {spreads} }} fragment F on Query {{ {what} }}")
        };
        // The fragment itself counts as well.
        assert_eq!(checked(&bomb("a: __typename", 9)), Ok(()));
        assert_eq!(checked(&bomb("a: __typename", 10)), Err(Refusal::TooManyAliases(10)));
        assert_eq!(checked(&bomb("__typename @skip(if: true)", 9)), Ok(()));
        assert_eq!(checked(&bomb("__typename @skip(if: true)", 10)), Err(Refusal::TooManyDirectives(10)));
        let many = format!("query {} {{ __typename }}", "@a ".repeat(11));
        assert_eq!(checked(&many), Err(Refusal::TooManyDirectives(10)));
    }

    #[test]
    fn refuses_the_schema_where_it_is_not_offered() {
        let limits = Limits { introspection: false, ..LIMITS };
        let check = |query: &str| check_document(&parse_query(query).unwrap(), &limits);
        assert_eq!(check("{ __typename }"), Ok(()));
        for query in [
            "{ s: __schema { types { name } } }",
            "{ ...A } fragment A on Query { __type(name: \"User\") { name } }",
        ] {
            assert_eq!(check(query), Err(Refusal::IntrospectionDisabled), "{query}");
        }
    }
}
