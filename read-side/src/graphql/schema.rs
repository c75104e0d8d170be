//! The GraphQL schema: one file for each type. Fields read through the loaders of their request and know neither how a
//! document is executed nor how it arrived.

mod complexity;
mod connection;
mod context;
mod errors;
mod filters;
mod global_id;
mod inventory_item;
mod loader;
mod loaders;
mod node;
mod order;
mod order_item;
mod payment;
mod query;
mod scalars;
mod subscription;
mod user;

use async_graphql::{EmptyMutation, SDLExportOptions, SchemaBuilder};

pub(crate) use self::complexity::PAGE_MAX_LIMIT;
pub(crate) use self::context::PageMax;
pub(crate) use self::errors::{ErrorCode, INTERNAL};
pub(crate) use self::loaders::Loaders;
pub(crate) use self::subscription::Purpose;

use self::query::Query;
use self::subscription::SubscriptionRoot;

pub(crate) type Schema = async_graphql::Schema<Query, EmptyMutation, SubscriptionRoot>;

/// The schema without limits. Its fields need a [`PageMax`], the [`Loaders`] of the request and, for subscriptions, a
/// [`Purpose`] in their context.
pub(crate) fn builder() -> SchemaBuilder<Query, EmptyMutation, SubscriptionRoot> {
    Schema::build(Query, EmptyMutation, SubscriptionRoot)
}

/// The schema in GraphQL's schema definition language, as in `graphql/schema.graphql`.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().include_specified_by().use_space_ident();
    builder().finish().sdl_with_options(options)
}
