//! The flat camelCase format: `eventId`, `eventType` and `timestamp` beside the fields (S1 in docs/events.md).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::DecodeError;
use super::event_envelope::{Decoded, Envelope};
use super::wire::{self, Item, Str};
use crate::event::{
    Event, EventType, InventoryAdjusted, OrderPlaced, PaymentSettled, QUANTITY_MAX, UserCreated,
};
use crate::text::{Email, Name};
use crate::timestamp::Timestamp;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FlatCamel<'a> {
    #[serde(borrow)]
    event_id: Option<Str<'a>>,
    #[serde(borrow)]
    event_type: Option<Str<'a>>,
    #[serde(borrow)]
    timestamp: Option<Str<'a>>,
    #[serde(borrow)]
    user_id: Option<Str<'a>>,
    #[serde(borrow)]
    email: Option<Str<'a>>,
    #[serde(borrow)]
    first_name: Option<Str<'a>>,
    #[serde(borrow)]
    last_name: Option<Str<'a>>,
    #[serde(borrow)]
    order_id: Option<Str<'a>>,
    #[serde(borrow)]
    total_amount: Option<&'a RawValue>,
    #[serde(borrow)]
    currency: Option<Str<'a>>,
    #[serde(borrow)]
    items: Option<Vec<Item<'a>>>,
    #[serde(borrow)]
    placed_at: Option<Str<'a>>,
    #[serde(borrow)]
    payment_id: Option<Str<'a>>,
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    #[serde(borrow)]
    payment_method: Option<Str<'a>>,
    #[serde(borrow)]
    status: Option<Str<'a>>,
    #[serde(borrow)]
    settled_at: Option<Str<'a>>,
    #[serde(borrow)]
    sku: Option<Str<'a>>,
    quantity: Option<i64>,
    #[serde(borrow)]
    adjustment_type: Option<Str<'a>>,
    #[serde(borrow)]
    reason: Option<Str<'a>>,
}

pub(super) fn decode(text: &str) -> Result<Decoded, DecodeError> {
    let body: FlatCamel<'_> = wire::from_json(text)?;
    let kind = wire::required("eventType", body.event_type.as_ref())?;
    let event_type = EventType::parse(kind).ok_or_else(|| DecodeError::UnknownType(kind.to_string()))?;
    let occurred_at = wire::time("timestamp", body.timestamp.as_ref())?;
    let event_id = wire::id("eventId", body.event_id.as_ref())?;
    let event = match event_type {
        EventType::UserCreated => body.user().map(Event::UserCreated),
        EventType::OrderPlaced => body.order(occurred_at).map(Event::OrderPlaced),
        EventType::PaymentSettled => body.payment(occurred_at).map(Event::PaymentSettled),
        EventType::InventoryAdjusted => body.adjustment().map(Event::InventoryAdjusted),
    }?;
    let ids = [&body.event_id, &body.user_id, &body.payment_id];
    let other_keys = ids.into_iter().flatten().map(|id| Box::from(&**id)).collect();
    let envelope = Envelope { event_id, occurred_at, correlation_id: None, event };
    Ok(Decoded { envelope, other_keys })
}

impl FlatCamel<'_> {
    fn user(&self) -> Result<UserCreated, DecodeError> {
        let first = wire::required("firstName", self.first_name.as_deref())?;
        let last = wire::required("lastName", self.last_name.as_deref())?;
        let full = format!("{first} {last}");
        Ok(UserCreated {
            user_id: wire::id("userId", self.user_id.as_ref())?,
            email: wire::parsed("email", self.email.as_ref(), Email::parse_address)?,
            name: Name::parse(full.trim()).map_err(|error| wire::invalid("firstName", error))?,
        })
    }

    fn order(&self, occurred_at: Timestamp) -> Result<OrderPlaced, DecodeError> {
        Ok(OrderPlaced {
            order_id: wire::id("orderId", self.order_id.as_ref())?,
            user_id: wire::id("userId", self.user_id.as_ref())?,
            amount: wire::amount("totalAmount", self.total_amount)?,
            currency: wire::currency(self.currency.as_ref())?,
            status: wire::order_status(self.status.as_ref())?,
            placed_at: wire::time_or("placedAt", self.placed_at.as_ref(), occurred_at)?,
            items: wire::items(self.items.as_deref())?,
        })
    }

    fn payment(&self, occurred_at: Timestamp) -> Result<PaymentSettled, DecodeError> {
        Ok(PaymentSettled {
            payment_id: wire::id("paymentId", self.payment_id.as_ref())?,
            order_id: wire::id("orderId", self.order_id.as_ref())?,
            amount: wire::amount("amount", self.amount)?,
            currency: wire::currency(self.currency.as_ref())?,
            method: wire::optional_text("paymentMethod", self.payment_method.as_ref())?,
            status: wire::payment_status(self.status.as_ref())?,
            settled_at: wire::time_or("settledAt", self.settled_at.as_ref(), occurred_at)?,
        })
    }

    fn adjustment(&self) -> Result<InventoryAdjusted, DecodeError> {
        let quantity = wire::whole("quantity", self.quantity, 0..=QUANTITY_MAX)?;
        let delta = wire::parsed("adjustmentType", self.adjustment_type.as_ref(), |text| match text {
            "add" => Ok(quantity),
            "subtract" => Ok(-quantity),
            _ => Err("must be add or subtract"),
        })?;
        Ok(InventoryAdjusted {
            sku: wire::id("sku", self.sku.as_ref())?,
            delta,
            reason: wire::optional_text("reason", self.reason.as_ref())?,
            reported_quantity: None,
        })
    }
}
