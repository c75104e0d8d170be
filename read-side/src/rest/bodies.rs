//! The bodies of REST answers that are more than a view.

use serde::Serialize;
use utoipa::ToSchema;

use crate::view::{InventoryItem, Order, Payment, User};

/// An order in a list, with its payment inside.
#[derive(Serialize, ToSchema)]
pub(super) struct OrderWithPayment {
    #[serde(flatten)]
    order: Order,
    payment: Option<Payment>,
}

impl From<Order> for OrderWithPayment {
    fn from(mut order: Order) -> Self {
        let payment = order.payment.take();
        Self { order, payment }
    }
}

/// A user and their latest orders.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserWithOrders {
    pub(super) user: User,
    /// The latest five, newest first.
    pub(super) recent_orders: Vec<OrderWithPayment>,
}

/// An order with its payment beside it.
#[derive(Serialize, ToSchema)]
pub(super) struct OrderAndPayment {
    pub(super) order: Order,
    pub(super) payment: Option<Payment>,
}

/// Users without paging.
#[derive(Serialize, ToSchema)]
pub(super) struct Users {
    pub(super) users: Vec<User>,
}

/// The stock of one SKU.
#[derive(Serialize, ToSchema)]
pub(super) struct Stock {
    pub(super) item: InventoryItem,
}

/// A page of users, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct UsersPage {
    pub(super) users: Vec<User>,
    /// The cursor for `after`; null on the last page.
    pub(super) next: Option<String>,
    /// The cursor for `before`; null on the first page.
    pub(super) previous: Option<String>,
}

/// A page of orders, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct OrdersPage {
    pub(super) orders: Vec<OrderWithPayment>,
    /// The cursor for `after`; null on the last page.
    pub(super) next: Option<String>,
    /// The cursor for `before`; null on the first page.
    pub(super) previous: Option<String>,
}
