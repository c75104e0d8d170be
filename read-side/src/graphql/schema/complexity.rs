//! What lists cost, for the limit on complexity. A list whose arguments are invalid costs nothing, because its field is
//! going to fail.

/// Upper limit of the setting GRAPHQL_PAGE_MAX.
pub(crate) const PAGE_MAX_LIMIT: u32 = 1_000;
/// Entries of a page by default.
pub(super) const PAGE_DEFAULT: u32 = 20;

/// The entries of a list, each with the fields that are selected of it.
pub(super) fn list(entries: usize, child_complexity: usize) -> usize {
    entries.saturating_mul(child_complexity.saturating_add(1)).saturating_add(1)
}

/// A page of a connection.
pub(super) fn page(first: Option<i32>, last: Option<i32>, child_complexity: usize) -> usize {
    let entries = first.or(last).map_or(Some(PAGE_DEFAULT), |entries| u32::try_from(entries).ok());
    let entries = entries.filter(|entries| *entries <= PAGE_MAX_LIMIT).unwrap_or_default();
    list(entries as usize, child_complexity)
}
