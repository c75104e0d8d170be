//! Checks variables against their declared types, for the common types. A valid document whose variables fit needs no
//! further validation.

use async_graphql::parser::types::{BaseType, OperationDefinition, Type};
use async_graphql::{Value, Variables};

/// Returns false also for a type that is not checked here; the library then validates.
pub(super) fn fit(operation: &OperationDefinition, variables: &Variables) -> bool {
    operation.variable_definitions.iter().all(|definition| {
        let definition = &definition.node;
        match variables.get(&definition.name.node) {
            Some(value) => fits(&definition.var_type.node, value),
            None => definition.var_type.node.nullable || definition.default_value.is_some(),
        }
    })
}

fn fits(declared: &Type, value: &Value) -> bool {
    match (&declared.base, value) {
        (_, Value::Null) => declared.nullable,
        (BaseType::List(of), Value::List(values)) => values.iter().all(|value| fits(of, value)),
        (BaseType::Named(name), Value::String(_)) => matches!(name.as_str(), "ID" | "String"),
        (BaseType::Named(name), Value::Boolean(_)) => name.as_str() == "Boolean",
        (BaseType::Named(name), Value::Number(number)) => {
            let fits_int = number.as_i64().is_some_and(|number| i32::try_from(number).is_ok());
            name.as_str() == "Int" && fits_int
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;

    #[test]
    fn variables_fit_their_declared_types() {
        let query = "query ($id: ID!, $ids: [ID!], $n: Int = 5, $on: Boolean, $sort: Sort) { a }";
        let document = parse_query(query).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        for (variables, expected) in [
            (json!({"id": "a"}), true),
            (json!({"id": "a", "ids": ["b", "c"], "n": 1, "on": true, "more": {}}), true),
            (json!({"id": "a", "ids": null, "n": null}), true),
            (json!({"id": "a", "ids": ["b", null]}), false),
            (json!({"id": "a", "ids": "b"}), false),
            (json!({}), false),
            (json!({"id": null}), false),
            (json!({"id": ["a"]}), false),
            (json!({"id": "a", "n": 3_000_000_000_u32}), false),
            (json!({"id": "a", "n": 1.5}), false),
            (json!({"id": "a", "n": "1"}), false),
            (json!({"id": "a", "on": 1}), false),
            (json!({"id": "a", "sort": "UP"}), false),
        ] {
            let parsed = Variables::from_json(variables.clone());
            assert_eq!(fit(&operation.node, &parsed), expected, "{variables}");
        }
    }
}
