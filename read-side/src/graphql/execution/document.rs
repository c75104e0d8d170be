//! A parsed document and what depends on its text alone.

use std::sync::atomic::{AtomicBool, Ordering};

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, OperationType,
};
use async_graphql::{Name, Value};

use super::field_order::FieldOrder;

#[derive(Debug)]
pub(crate) struct Document {
    pub(super) parsed: ExecutableDocument,
    /// Whether validation has succeeded before, which does not depend on variables.
    is_valid: AtomicBool,
    /// By operation name; `None` for the anonymous operation.
    field_orders: Vec<(Option<Name>, FieldOrder)>,
}

impl Document {
    /// `parsed` has passed the guard.
    pub(super) fn new(parsed: ExecutableDocument) -> Self {
        let orders = parsed.operations.iter();
        let orders =
            orders.map(|(name, operation)| (name.cloned(), FieldOrder::of(&parsed, &operation.node)));
        Self { field_orders: orders.collect(), parsed, is_valid: AtomicBool::new(false) }
    }

    /// The operation that is executed for a requested name, and its own name. `None` if the library is going to reject
    /// the request.
    pub(super) fn operation(&self, name: Option<&str>) -> Option<(Option<&str>, &OperationDefinition)> {
        match (&self.parsed.operations, name) {
            (DocumentOperations::Single(operation), _) => Some((None, &operation.node)),
            (DocumentOperations::Multiple(operations), requested) => operations
                .iter()
                .find(|(name, _)| requested.is_none_or(|requested| name.as_str() == requested))
                .map(|(name, operation)| (Some(name.as_str()), &operation.node)),
        }
    }

    pub(crate) fn operation_type(&self, name: Option<&str>) -> OperationType {
        self.operation(name).map_or(OperationType::Query, |(_, operation)| operation.ty)
    }

    /// Puts the fields of an answer in the order in which the operation selects them.
    pub(super) fn sort_fields(&self, operation: Option<&str>, data: &mut Value) {
        let mut orders = self.field_orders.iter();
        let order = orders.find(|(name, _)| operation.is_none() || name.as_deref() == operation);
        if let Some((_, order)) = order {
            order.sort(data);
        }
    }

    pub(super) fn is_known_to_be_valid(&self) -> bool {
        self.is_valid.load(Ordering::Relaxed)
    }

    pub(super) fn mark_valid(&self) {
        self.is_valid.store(true, Ordering::Relaxed);
    }
}
