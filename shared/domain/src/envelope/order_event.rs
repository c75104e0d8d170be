//! The order event: snake_case, with the whole order under `data.order` (S3 in docs/events.md).

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::error::DecodeError;
use super::event_envelope::{Decoded, Envelope};
use super::wire::{self, Str};
use crate::event::{Event, OrderItem, OrderPlaced, QUANTITY_MAX};
use crate::id::{EventId, Sku};
use crate::text::OrderStatus;
use crate::timestamp::Timestamp;

#[derive(Deserialize)]
struct OrderEvent<'a> {
    #[serde(borrow)]
    event_id: Option<Str<'a>>,
    #[serde(borrow)]
    correlation_id: Option<Str<'a>>,
    #[serde(borrow)]
    event_type: Option<Str<'a>>,
    #[serde(borrow)]
    aggregate_id: Option<Str<'a>>,
    version: Option<i64>,
    #[serde(borrow)]
    timestamp: Option<Str<'a>>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    order: Option<ProductOrder<'a>>,
}

/// An order for one product, with the field names of the order event. Commands accept it too.
#[derive(Debug, Deserialize)]
pub struct ProductOrder<'a> {
    /// Commands may also call it `orderId` or `order_id`.
    #[serde(borrow, alias = "orderId", alias = "order_id")]
    pub id: Option<Str<'a>>,
    #[serde(borrow)]
    pub customer_id: Option<Str<'a>>,
    #[serde(borrow)]
    pub product_id: Option<Str<'a>>,
    /// At least 1.
    pub quantity: Option<i64>,
    /// Of one unit.
    #[serde(borrow)]
    pub price: Option<&'a RawValue>,
    /// USD by default.
    #[serde(borrow)]
    pub currency: Option<Str<'a>>,
    /// PLACED by default.
    #[serde(borrow)]
    pub status: Option<Str<'a>>,
    /// RFC 3339; the time of the event by default.
    #[serde(borrow)]
    pub created_at: Option<Str<'a>>,
}

pub(super) fn decode(text: &str) -> Result<Decoded, DecodeError> {
    let body: OrderEvent<'_> = wire::from_json(text)?;
    let order = body.data.as_ref().and_then(|data| data.order.as_ref());
    let order = order.ok_or(DecodeError::UnrecognisedShape)?;
    let kind = wire::required("event_type", body.event_type.as_ref())?;
    let status = match &**kind {
        "order.created" | "order.updated" => None,
        "order.cancelled" => Some(OrderStatus::CANCELLED),
        "order.completed" => Some(OrderStatus::COMPLETED),
        _ => return Err(DecodeError::UnknownType(kind.to_string())),
    };
    match wire::required("version", body.version)? {
        1 | 2 => {}
        other => return Err(DecodeError::UnknownVersion(other.to_string())),
    }
    let occurred_at = wire::time("timestamp", body.timestamp.as_ref())?;
    let mut placed = order.parse(occurred_at)?;
    if let Some(status) = status {
        placed.status = status;
    }
    if body.aggregate_id.as_ref().is_some_and(|id| **id != *placed.order_id.as_str()) {
        return Err(wire::invalid("aggregate_id", "differs from data.order.id"));
    }
    let event_id = event_id(wire::required("event_id", body.event_id.as_deref())?, placed.order_id.as_str())?;
    let other_keys = [&body.event_id, &order.customer_id];
    let other_keys = other_keys.into_iter().flatten().map(|id| Box::from(&**id)).collect();
    let correlation_id = wire::optional_text("correlation_id", body.correlation_id.as_ref())?;
    let event = Event::OrderPlaced(placed);
    Ok(Decoded { envelope: Envelope { event_id, occurred_at, correlation_id, event }, other_keys })
}

fn event_id(event_id: &str, order_id: &str) -> Result<EventId, DecodeError> {
    // Within one second this system gives the same event id to events of different orders, so that only both ids
    // together identify an event. They are hashed when they are too long for an id.
    EventId::parse(event_id).map_err(|error| wire::invalid("event_id", error))?;
    let both = format!("{event_id}:{order_id}");
    Ok(EventId::parse(&both).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, both.as_bytes()).into()))
}

impl ProductOrder<'_> {
    /// The order. `placed_at` defaults to `occurred_at`; the amount is quantity × price.
    ///
    /// # Errors
    /// [`DecodeError`] for the first field that is missing or wrong.
    pub fn parse(&self, occurred_at: Timestamp) -> Result<OrderPlaced, DecodeError> {
        let quantity = wire::whole("quantity", self.quantity, 1..=QUANTITY_MAX)?;
        let unit_price = wire::amount("price", self.price)?;
        let too_large = || wire::invalid("price", "times the quantity is larger than 922337203685477.5807");
        let sku: Sku = wire::id("product_id", self.product_id.as_ref())?;
        Ok(OrderPlaced {
            order_id: wire::id("id", self.id.as_ref())?,
            user_id: wire::id("customer_id", self.customer_id.as_ref())?,
            amount: unit_price.times(quantity).ok_or_else(too_large)?,
            currency: wire::currency(self.currency.as_ref())?,
            status: wire::order_status(self.status.as_ref())?,
            placed_at: wire::time_or("created_at", self.created_at.as_ref(), occurred_at)?,
            items: vec![OrderItem { sku, quantity, unit_price }],
        })
    }
}
