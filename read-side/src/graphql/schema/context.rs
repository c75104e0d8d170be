//! What fields take from the context of their execution: the loaders and the page limit.

use std::sync::Arc;

use async_graphql::{Context, Result};

use super::errors::invalid_value;
use super::loaders::Loaders;

/// Most entries of a list, from the setting GRAPHQL_PAGE_MAX.
pub(crate) struct PageMax(pub(crate) u32);

/// The loaders of this request.
pub(super) fn loaders<'a>(context: &Context<'a>) -> &'a Loaders {
    context.data_unchecked::<Arc<Loaders>>()
}

pub(super) fn page_max(context: &Context<'_>) -> u32 {
    context.data_unchecked::<PageMax>().0
}

/// Checks the argument `name`, a number of entries.
///
/// # Errors
/// INVALID_VALUE unless the number is from 1 to the page limit.
pub(super) fn page_limit(context: &Context<'_>, name: &str, entries: i32) -> Result<u32> {
    let max = page_max(context);
    let limit = u32::try_from(entries).ok().filter(|entries| (1..=max).contains(entries));
    limit.ok_or_else(|| invalid_value(format!("{name} is {entries}; it must be from 1 to {max}")))
}
