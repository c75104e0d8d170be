//! Refuses documents that are small to send but ruinous to read, before anything reads them.
//!
//! The library's own limits come too late for two of them. Values nested some thousand deep (`{a:{a:{a:…`) exhaust
//! the stack of its parser, which ends the process: [`check_text`] counts brackets before it parses. And its checks
//! walk every fragment spread anew, so that 900 bytes in which each fragment spreads the next twice cost seconds of
//! CPU: [`check_document`] measures each fragment once and reuses its extent, before anything is validated.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, FragmentDefinition, Selection, SelectionSet};
use async_graphql::{Name, Positioned, ServerError, Value};

/// Most fields, spreads and inline fragments of a document once all fragments are expanded.
const NODES_MAX: usize = 5_000;
/// Deepest nesting of brackets of all kinds: fields to the limit below, and arguments within.
const BRACKETS_MAX: usize = 64;
/// Deepest nesting of selections, fragments included. Bounds every recursion over the document, ours and the library's.
const LEVELS_MAX: usize = 32;
/// Deepest nesting of lists of the schema within lists of the schema. Editors ask for two; each more multiplies the
/// answer by the size of the schema.
const INTROSPECTION_LISTS_MAX: usize = 3;

/// Why a document is not executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("The query has more than {NODES_MAX} selections once its fragments are expanded.")]
    TooManyNodes,
    #[error("The query has more than {BRACKETS_MAX} brackets within each other.")]
    TooManyBrackets,
    #[error("The query is nested more than {LEVELS_MAX} levels deep.")]
    TooDeep,
    #[error("The fragment {0:?} contains itself.")]
    FragmentCycle(String),
    #[error("The query nests lists of the schema more than {INTROSPECTION_LISTS_MAX} deep.")]
    IntrospectionTooDeep,
}

/// Counts how deep the brackets go, those in strings and comments left out.
pub(super) fn check_text(query: &str) -> Result<(), Refusal> {
    let mut rest = query.as_bytes();
    let mut open = 0_usize;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'{' | b'[' | b'(' if open == BRACKETS_MAX => return Err(Refusal::TooManyBrackets),
            b'{' | b'[' | b'(' => open += 1,
            b'}' | b']' | b')' => open = open.saturating_sub(1),
            b'#' => rest = after_comment(after),
            b'"' => rest = after_string(after),
            _ => {}
        }
    }
    Ok(())
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
pub(super) fn check_document(document: &ExecutableDocument) -> Result<(), Refusal> {
    let mut census =
        Census { fragments: &document.fragments, measured: HashMap::with_capacity(document.fragments.len()) };
    let mut total = Extent::default();
    for name in document.fragments.keys() {
        total.add(census.fragment(name, 0)?)?;
    }
    for (_, operation) in document.operations.iter() {
        total.add(census.selections(&operation.node.selection_set.node, 0)?)?;
    }
    Ok(())
}

impl From<Refusal> for ServerError {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::TooManyNodes => "QUERY_TOO_LARGE",
            Refusal::TooManyBrackets | Refusal::TooDeep | Refusal::IntrospectionTooDeep => "QUERY_TOO_DEEP",
            Refusal::FragmentCycle(_) => "FRAGMENT_CYCLE",
        };
        let mut error = Self::new(refusal.to_string(), None);
        let extensions = error.extensions.get_or_insert_default();
        extensions.set("code", Value::from(code));
        error
    }
}

/// How far a part of the document reaches, with all its fragments expanded.
#[derive(Clone, Copy, Default)]
struct Extent {
    nodes: usize,
    levels: usize,
    introspection_lists: usize,
}

impl Extent {
    /// Puts another part beside this one.
    fn add(&mut self, other: Self) -> Result<(), Refusal> {
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.levels = self.levels.max(other.levels);
        self.introspection_lists = self.introspection_lists.max(other.introspection_lists);
        match () {
            () if self.nodes > NODES_MAX => Err(Refusal::TooManyNodes),
            () if self.levels > LEVELS_MAX => Err(Refusal::TooDeep),
            () if self.introspection_lists > INTROSPECTION_LISTS_MAX => Err(Refusal::IntrospectionTooDeep),
            () => Ok(()),
        }
    }
}

struct Census<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
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
        let extent = self.selections(&fragment.node.selection_set.node, level)?;
        self.measured.insert(name, Some(extent));
        Ok(extent)
    }

    fn selections(&mut self, set: &'a SelectionSet, level: usize) -> Result<Extent, Refusal> {
        if level > LEVELS_MAX {
            return Err(Refusal::TooDeep);
        }
        let mut total = Extent::default();
        for selection in &set.items {
            let (mut extent, is_list) = match &selection.node {
                Selection::Field(field) => {
                    let inside = self.selections(&field.node.selection_set.node, level + 1)?;
                    (inside, is_introspection_list(&field.node.name.node))
                }
                Selection::InlineFragment(inline) => {
                    (self.selections(&inline.node.selection_set.node, level + 1)?, false)
                }
                Selection::FragmentSpread(spread) => {
                    (self.fragment(&spread.node.fragment_name.node, level + 1)?, false)
                }
            };
            extent.nodes += 1;
            extent.levels += 1;
            extent.introspection_lists += usize::from(is_list);
            total.add(extent)?;
        }
        Ok(total)
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

    fn checked(query: &str) -> Result<(), Refusal> {
        check_text(query).unwrap();
        check_document(&parse_query(query).unwrap())
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
            assert_eq!(check_text(&query), Ok(()), "{query}");
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
            assert_eq!(check_text(&query), Err(Refusal::TooManyBrackets), "{query}");
        }
    }

    #[test]
    fn lets_ordinary_queries_pass() {
        assert_eq!(checked("{ user(id: 1) { ...A ...A } } fragment A on User { name }"), Ok(()));
        assert_eq!(checked("{ ...Unknown }"), Ok(()));
    }

    #[test]
    fn refuses_a_fragment_bomb_by_its_size() {
        assert_eq!(checked(&chain(25, 2)), Err(Refusal::TooManyNodes));
        // 3 to the power of 30 would not fit a 32 bit count, 100 to the power of 30 no count at all.
        assert_eq!(checked(&chain(30, 100)), Err(Refusal::TooManyNodes));
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
        assert_eq!(checked(&many.collect::<String>()), Err(Refusal::TooManyNodes));
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
}
