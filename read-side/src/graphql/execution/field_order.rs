//! Puts the fields of a response in the order in which they are selected, as the specification of GraphQL requires
//! (section "Serialized Map Ordering"). The library returns them in the order in which they were resolved.
//!
//! The order of an operation is computed once and kept with its document; sorting a response then takes one pass over its
//! objects.

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, Selection, SelectionSet};
use async_graphql::{Name, Value};

/// The fields of an object in order, each with the order of its own fields.
#[derive(Debug, Default)]
pub(super) struct FieldOrder(IndexMap<Name, FieldOrder>);

impl FieldOrder {
    /// The operation has passed the guard, so its fragments have no cycle and expand to a limited size.
    pub(super) fn of(document: &ExecutableDocument, operation: &OperationDefinition) -> Self {
        let mut order = Self::default();
        order.add(document, &operation.selection_set.node);
        order
    }

    /// Fields with the same response key are merged; the first determines the position.
    fn add(&mut self, document: &ExecutableDocument, set: &SelectionSet) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    let name = field.node.response_key().node.clone();
                    let inner = self.0.entry(name).or_default();
                    inner.add(document, &field.node.selection_set.node);
                }
                Selection::InlineFragment(inline) => self.add(document, &inline.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                        self.add(document, &fragment.node.selection_set.node);
                    }
                }
            }
        }
    }

    /// Sorts a response or a part of one.
    pub(super) fn sort(&self, value: &mut Value) {
        match value {
            Value::List(values) => values.iter_mut().for_each(|value| self.sort(value)),
            Value::Object(fields) => {
                if !self.is_sorted(fields) {
                    fields.sort_by_cached_key(|name, _| self.0.get_index_of(name));
                }
                for (name, value) in fields {
                    if let Some(inner) = self.0.get(name).filter(|inner| !inner.0.is_empty()) {
                        inner.sort(value);
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether the fields are in the selected order; some can be missing.
    fn is_sorted(&self, fields: &IndexMap<Name, Value>) -> bool {
        let mut selected = self.0.keys();
        fields.keys().all(|name| selected.any(|selected| selected == name))
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;

    fn sorted(query: &str, response: &serde_json::Value) -> String {
        let document = parse_query(query).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let mut value = Value::from_json(response.clone()).unwrap();
        FieldOrder::of(&document, &operation.node).sort(&mut value);
        serde_json::to_string(&value).unwrap()
    }

    #[test]
    fn fields_are_in_the_selected_order() {
        let response =
            json!({"a": 1, "b": [{"x": 1, "y": {"p": 1, "q": 2}}, null, {"y": null, "x": 2}], "c": null});
        for (query, expected) in [
            (
                "{ c b { y { q p } x } a }",
                r#"{"c":null,"b":[{"y":{"q":2,"p":1},"x":1},null,{"y":null,"x":2}],"a":1}"#,
            ),
            // The first selection determines the position, also in a fragment; inner selections are merged.
            (
                "{ ...F c a } fragment F on Query { b { x } ... on Query { a b { y { p } ...G } } } fragment G on B { y { q } }",
                r#"{"b":[{"x":1,"y":{"p":1,"q":2}},null,{"x":2,"y":null}],"a":1,"c":null}"#,
            ),
            (
                "{ skipped b: aliased { x y { p q } } a c }",
                r#"{"b":[{"x":1,"y":{"p":1,"q":2}},null,{"x":2,"y":null}],"a":1,"c":null}"#,
            ),
        ] {
            assert_eq!(sorted(query, &response), expected, "{query}");
        }
    }
}
