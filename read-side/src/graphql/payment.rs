//! The GraphQL types Payment and PaymentStatus.

use async_graphql::{Enum, ID, Object};

use super::scalars::{DateTime, Decimal};
use crate::view::Payment;

/// Where a payment stands.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "millrace_domain::event::PaymentStatus")]
pub(super) enum PaymentStatus {
    /// The order has been placed, the payment has not come to an end.
    Pending,
    /// Paid.
    Settled,
    /// Given up.
    Failed,
}

/// The payment of an order.
#[Object]
impl Payment {
    /// Id of the payment; null while it is pending.
    async fn payment_id(&self) -> Option<ID> {
        self.payment_id.as_ref().map(ID::from)
    }

    /// How much.
    async fn amount(&self) -> Decimal {
        Decimal(self.amount)
    }

    /// Of what, such as EUR.
    async fn currency(&self) -> &str {
        &self.currency
    }

    /// By which means; null when that is unknown.
    async fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// Where it stands.
    async fn status(&self) -> PaymentStatus {
        self.status.into()
    }

    /// When it came to its end; null while it is pending.
    async fn settled_at(&self) -> Option<DateTime> {
        self.settled_at.map(DateTime)
    }
}
