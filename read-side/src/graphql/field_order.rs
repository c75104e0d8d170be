//! The fields of an answer in the order in which they were asked for, as the specification of GraphQL has it (section
//! "Serialized Map Ordering"). The library gives them in the order in which they were resolved.
//!
//! The order of an operation is worked out once for each document and kept with it; to put an answer in order then costs
//! a look at each of its objects.

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, Selection, SelectionSet};
use async_graphql::{Name, Value};

/// What may stand in an object, in order, and the same of what stands in there.
#[derive(Debug, Default)]
pub(super) struct FieldOrder(IndexMap<Name, FieldOrder>);

impl FieldOrder {
    /// Of an operation that has passed the guard: its fragments end, and once expanded they are not many.
    pub(super) fn of(document: &ExecutableDocument, operation: &OperationDefinition) -> Self {
        let mut order = Self::default();
        order.take(document, &operation.selection_set.node);
        order
    }

    /// Fields of the same name are one; the first says where it stands.
    fn take(&mut self, document: &ExecutableDocument, set: &SelectionSet) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    let name = field.node.response_key().node.clone();
                    let inside = self.0.entry(name).or_default();
                    inside.take(document, &field.node.selection_set.node);
                }
                Selection::InlineFragment(inline) => self.take(document, &inline.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                        self.take(document, &fragment.node.selection_set.node);
                    }
                }
            }
        }
    }

    /// Puts an answer, or a part of one, in order.
    pub(super) fn put(&self, value: &mut Value) {
        match value {
            Value::List(values) => values.iter_mut().for_each(|value| self.put(value)),
            Value::Object(fields) => {
                if !self.is_order_of(fields) {
                    fields.sort_by_cached_key(|name, _| self.0.get_index_of(name));
                }
                for (name, value) in fields {
                    if let Some(inside) = self.0.get(name).filter(|inside| !inside.0.is_empty()) {
                        inside.put(value);
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether the fields come as they were asked for; some of what was asked for may be left out.
    fn is_order_of(&self, fields: &IndexMap<Name, Value>) -> bool {
        let mut asked = self.0.keys();
        fields.keys().all(|name| asked.any(|asked| asked == name))
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;

    fn ordered(query: &str, answer: &serde_json::Value) -> String {
        let document = parse_query(query).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let mut value = Value::from_json(answer.clone()).unwrap();
        FieldOrder::of(&document, &operation.node).put(&mut value);
        serde_json::to_string(&value).unwrap()
    }

    #[test]
    fn fields_stand_as_they_were_asked_for() {
        let answer =
            json!({"a": 1, "b": [{"x": 1, "y": {"p": 1, "q": 2}}, null, {"y": null, "x": 2}], "c": null});
        for (query, expected) in [
            (
                "{ c b { y { q p } x } a }",
                r#"{"c":null,"b":[{"y":{"q":2,"p":1},"x":1},null,{"y":null,"x":2}],"a":1}"#,
            ),
            // The first mention counts, wherever it stands; what is inside is put together.
            (
                "{ ...F c a } fragment F on Query { b { x } ... on Query { a b { y { p } ...G } } } fragment G on B { y { q } }",
                r#"{"b":[{"x":1,"y":{"p":1,"q":2}},null,{"x":2,"y":null}],"a":1,"c":null}"#,
            ),
            (
                "{ skipped b: aliased { x y { p q } } a c }",
                r#"{"b":[{"x":1,"y":{"p":1,"q":2}},null,{"x":2,"y":null}],"a":1,"c":null}"#,
            ),
        ] {
            assert_eq!(ordered(query, &answer), expected, "{query}");
        }
    }
}
