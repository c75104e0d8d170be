//! Limits a parsed document before it is validated. The library's validation walks a fragment again for each spread, so
//! 900 bytes in which each fragment spreads the next twice cost seconds of CPU. Here each fragment is measured once.

use std::collections::HashMap;

use async_graphql::parser::types::{
    Directive, ExecutableDocument, FragmentDefinition, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned};

use super::{DocumentLimits, GuardError, INTROSPECTION_LISTS_MAX, LEVELS_MAX};

/// Measures all operations and all fragments, used or not, because the library validates all of them.
pub(in crate::graphql::execution) fn check_document(
    document: &ExecutableDocument,
    limits: &DocumentLimits,
) -> Result<(), GuardError> {
    let measured = HashMap::with_capacity(document.fragments.len());
    let mut meter = Meter { fragments: &document.fragments, limits, measured };
    let mut total = Size::default();
    for name in document.fragments.keys() {
        total.add(meter.fragment(name, 0)?, limits)?;
    }
    for (_, operation) in document.operations.iter() {
        total.directives += operation.node.directives.len();
        total.add(meter.selections(&operation.node.selection_set.node, 0)?, limits)?;
    }
    Ok(())
}

/// The size of a part of a document, with fragments expanded.
#[derive(Clone, Copy, Default)]
struct Size {
    selections: usize,
    aliases: usize,
    directives: usize,
    levels: usize,
    introspection_lists: usize,
}

impl Size {
    /// Adds a sibling part and checks the sum.
    fn add(&mut self, other: Self, limits: &DocumentLimits) -> Result<(), GuardError> {
        self.selections = self.selections.saturating_add(other.selections);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.directives = self.directives.saturating_add(other.directives);
        self.levels = self.levels.max(other.levels);
        self.introspection_lists = self.introspection_lists.max(other.introspection_lists);
        match () {
            () if self.selections > limits.selections => {
                Err(GuardError::TooManySelections(limits.selections))
            }
            () if self.aliases > limits.aliases => Err(GuardError::TooManyAliases(limits.aliases)),
            () if self.directives > limits.directives => {
                Err(GuardError::TooManyDirectives(limits.directives))
            }
            () if self.levels > LEVELS_MAX => Err(GuardError::TooDeep),
            () if self.introspection_lists > INTROSPECTION_LISTS_MAX => Err(GuardError::IntrospectionTooDeep),
            () => Ok(()),
        }
    }
}

struct Meter<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    limits: &'a DocumentLimits,
    /// `None` while a fragment is being measured: meeting it again is a cycle.
    measured: HashMap<&'a str, Option<Size>>,
}

impl<'a> Meter<'a> {
    fn fragment(&mut self, name: &'a Name, level: usize) -> Result<Size, GuardError> {
        match self.measured.get(name.as_str()) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(GuardError::FragmentCycle(name.to_string())),
            None => {}
        }
        let Some(fragment) = self.fragments.get(name) else {
            return Ok(Size::default()); // The library reports the unknown fragment with its line and column.
        };
        self.measured.insert(name, None);
        let mut size = self.selections(&fragment.node.selection_set.node, level)?;
        size.directives += fragment.node.directives.len();
        self.measured.insert(name, Some(size));
        Ok(size)
    }

    fn selections(&mut self, set: &'a SelectionSet, level: usize) -> Result<Size, GuardError> {
        if level > LEVELS_MAX {
            return Err(GuardError::TooDeep);
        }
        let mut total = Size::default();
        for selection in &set.items {
            let mut size = self.selection(&selection.node, level + 1)?;
            size.selections += 1;
            size.directives += directives(&selection.node).len();
            size.levels += 1;
            total.add(size, self.limits)?;
        }
        Ok(total)
    }

    /// The inner selections, and the alias and list of a field.
    fn selection(&mut self, selection: &'a Selection, level: usize) -> Result<Size, GuardError> {
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
            return Err(GuardError::IntrospectionDisabled);
        }
        let mut size = self.selections(&field.selection_set.node, level)?;
        size.aliases += usize::from(field.alias.is_some());
        size.introspection_lists += usize::from(is_introspection_list(name));
        Ok(size)
    }
}

fn directives(selection: &Selection) -> &[Positioned<Directive>] {
    match selection {
        Selection::Field(field) => &field.node.directives,
        Selection::InlineFragment(inline) => &inline.node.directives,
        Selection::FragmentSpread(spread) => &spread.node.directives,
    }
}

/// The list fields through which an introspection query can return to a type. No field of the schema has such a name.
fn is_introspection_list(field: &str) -> bool {
    matches!(field, "fields" | "inputFields" | "interfaces" | "possibleTypes")
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::super::check_text;
    use super::*;

    const LIMITS: DocumentLimits = DocumentLimits {
        tokens: 20_000,
        selections: 5_000,
        aliases: 10,
        directives: 10,
        introspection: true,
    };

    fn checked(query: &str) -> Result<(), GuardError> {
        check_text(query, &LIMITS).unwrap();
        check_document(&parse_query(query).unwrap(), &LIMITS)
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
    fn accepts_ordinary_queries() {
        assert_eq!(checked("{ user(id: 1) { ...A ...A } } fragment A on User { name }"), Ok(()));
        assert_eq!(checked("{ ...Unknown }"), Ok(()));
    }

    #[test]
    fn rejects_a_fragment_bomb_by_its_size() {
        assert_eq!(checked(&chain(25, 2)), Err(GuardError::TooManySelections(5_000)));
        // 3 to the power of 30 would not fit a 32 bit count, 100 to the power of 30 no count at all.
        assert_eq!(checked(&chain(30, 100)), Err(GuardError::TooManySelections(5_000)));
    }

    #[test]
    fn rejects_cycles() {
        let own = checked("{ ...A } fragment A on Query { ...A }");
        assert_eq!(own, Err(GuardError::FragmentCycle("A".to_owned())));
        let query = "{ __typename } fragment A on Query { ...B } fragment B on Query { ... { ...A } }";
        assert!(matches!(checked(query), Err(GuardError::FragmentCycle(_))));
    }

    #[test]
    fn rejects_depth_whether_it_comes_from_fields_or_fragments() {
        assert_eq!(checked(&chain(400, 1)), Err(GuardError::TooDeep));
        let nested = format!("{}name{}", "{ a ".repeat(40), "}".repeat(40));
        assert_eq!(checked(&nested), Err(GuardError::TooDeep));
    }

    #[test]
    fn counts_every_operation() {
        let many = (0..60).map(|n| format!("query Q{n} {{ {} }} ", "name ".repeat(100)));
        assert_eq!(checked(&many.collect::<String>()), Err(GuardError::TooManySelections(5_000)));
    }

    #[test]
    fn rejects_nested_introspection_lists() {
        let nested = |times: usize| {
            let (open, close) = ("fields { type { ".repeat(times), "} }".repeat(times));
            format!("{{ __schema {{ types {{ {open} name {close} }} }} }}")
        };
        assert_eq!(checked(&nested(3)), Ok(()));
        assert_eq!(checked(&nested(4)), Err(GuardError::IntrospectionTooDeep));
    }

    #[test]
    fn counts_aliases_and_directives_through_fragments() {
        let bomb = |what: &str, times: usize| {
            let spreads = "...F ".repeat(times);
            format!("{{ {spreads} }} fragment F on Query {{ {what} }}")
        };
        // The definition of the fragment counts too.
        assert_eq!(checked(&bomb("a: __typename", 9)), Ok(()));
        assert_eq!(checked(&bomb("a: __typename", 10)), Err(GuardError::TooManyAliases(10)));
        assert_eq!(checked(&bomb("__typename @skip(if: true)", 9)), Ok(()));
        assert_eq!(checked(&bomb("__typename @skip(if: true)", 10)), Err(GuardError::TooManyDirectives(10)));
        let many = format!("query {} {{ __typename }}", "@a ".repeat(11));
        assert_eq!(checked(&many), Err(GuardError::TooManyDirectives(10)));
    }

    #[test]
    fn rejects_introspection_if_it_is_disabled() {
        let limits = DocumentLimits { introspection: false, ..LIMITS };
        let check = |query: &str| check_document(&parse_query(query).unwrap(), &limits);
        assert_eq!(check("{ __typename }"), Ok(()));
        for query in [
            "{ s: __schema { types { name } } }",
            "{ ...A } fragment A on Query { __type(name: \"User\") { name } }",
        ] {
            assert_eq!(check(query), Err(GuardError::IntrospectionDisabled), "{query}");
        }
    }
}
