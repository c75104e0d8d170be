//! The input types that filter lists.

use async_graphql::{InputObject, Result};
use millrace_domain::text::OrderStatus;

use super::errors::invalid_value;
use super::scalars::DateTime;
use crate::page::{Page, SortKey};

/// Filters a list of orders.
#[derive(InputObject, Default)]
pub(super) struct OrderFilter {
    /// Only orders with this status, for example PLACED.
    status: Option<String>,
    /// Only orders placed at this time or later.
    placed_from: Option<DateTime>,
    /// Only orders placed before this time.
    placed_before: Option<DateTime>,
}

/// Filters a list of users.
#[derive(InputObject, Default)]
pub(super) struct UserFilter {
    /// Only users created at this time or later.
    created_from: Option<DateTime>,
    /// Only users created before this time.
    created_before: Option<DateTime>,
}

impl OrderFilter {
    /// The status in its canonical spelling.
    ///
    /// # Errors
    /// INVALID_VALUE
    pub(super) fn status(&self) -> Result<Option<OrderStatus>> {
        let status = self.status.as_deref().map(OrderStatus::parse).transpose();
        status.map_err(|error| invalid_value(format!("filter.status {error}")))
    }

    pub(super) fn apply(&self, page: Page) -> Page {
        between(page, self.placed_from.as_ref(), self.placed_before.as_ref())
    }
}

impl UserFilter {
    pub(super) fn apply(&self, page: Page) -> Page {
        between(page, self.created_from.as_ref(), self.created_before.as_ref())
    }
}

fn between(mut page: Page, from: Option<&DateTime>, before: Option<&DateTime>) -> Page {
    if let Some(from) = from {
        page = page.newer_than(SortKey::start_of(from.0));
    }
    if let Some(before) = before {
        page = page.older_than(SortKey::start_of(before.0));
    }
    page
}
