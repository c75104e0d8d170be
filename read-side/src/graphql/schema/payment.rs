//! The GraphQL types Payment and PaymentStatus.

use async_graphql::{Enum, ID, Object};

use super::scalars::{DateTime, Decimal};
use crate::view::Payment;

/// The status of a payment.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "millrace_domain::event::PaymentStatus")]
pub(super) enum PaymentStatus {
    /// The order is placed, the payment is not complete.
    Pending,
    /// Paid.
    Settled,
    /// The payment was declined or abandoned.
    Failed,
}

/// The payment of an order.
#[Object]
impl Payment {
    /// Id of the payment; null while it is pending.
    async fn payment_id(&self) -> Option<ID> {
        self.payment_id.as_ref().map(ID::from)
    }

    /// Amount of the payment.
    async fn amount(&self) -> Decimal {
        Decimal(self.amount)
    }

    /// Currency of the amount, for example EUR.
    async fn currency(&self) -> &str {
        &self.currency
    }

    /// Payment method, for example card; null if it is unknown.
    async fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// Status of the payment.
    async fn status(&self) -> PaymentStatus {
        self.status.into()
    }

    /// Time at which the payment was settled or failed; null while it is pending.
    async fn settled_at(&self) -> Option<DateTime> {
        self.settled_at.map(DateTime)
    }
}
