//! The flat PascalCase format (S2 in docs/events.md). Type names end in `Event`.
//!
//! Its system documents the fields in camelCase and sends them in PascalCase, so both are accepted.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::DecodeError;
use super::event_envelope::{Decoded, Envelope};
use super::wire::{self, Str};
use crate::event::{Event, EventType, InventoryAdjusted, OrderPlaced, PaymentSettled, UserCreated};
use crate::text::{Email, Name};
use crate::timestamp::Timestamp;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FlatPascal<'a> {
    #[serde(borrow, alias = "eventId")]
    event_id: Option<Str<'a>>,
    #[serde(borrow, alias = "eventType")]
    event_type: Option<Str<'a>>,
    #[serde(borrow, alias = "timestamp")]
    timestamp: Option<Str<'a>>,
    #[serde(borrow, alias = "userId")]
    user_id: Option<Str<'a>>,
    #[serde(borrow, alias = "email")]
    email: Option<Str<'a>>,
    #[serde(borrow, alias = "name")]
    name: Option<Str<'a>>,
    #[serde(borrow, alias = "orderId")]
    order_id: Option<Str<'a>>,
    #[serde(borrow, alias = "paymentId")]
    payment_id: Option<Str<'a>>,
    #[serde(borrow, alias = "amount")]
    amount: Option<&'a RawValue>,
    #[serde(borrow, alias = "currency")]
    currency: Option<Str<'a>>,
    #[serde(borrow, alias = "status")]
    status: Option<Str<'a>>,
    #[serde(borrow, alias = "sku")]
    sku: Option<Str<'a>>,
    #[serde(alias = "quantityChange")]
    quantity_change: Option<i64>,
    #[serde(alias = "newQuantity")]
    new_quantity: Option<i64>,
}

/// Type and event id are in the body, or else in the headers of the record.
pub(super) fn decode(
    text: &str,
    header_type: Option<&str>,
    header_id: Option<&str>,
) -> Result<Decoded, DecodeError> {
    let body: FlatPascal<'_> = wire::from_json(text)?;
    let kind = wire::required("EventType", body.event_type.as_deref().or(header_type))?;
    let event_type = EventType::parse(kind.strip_suffix("Event").unwrap_or(kind))
        .ok_or_else(|| DecodeError::UnknownType(kind.to_owned()))?;
    let occurred_at = wire::time("Timestamp", body.timestamp.as_ref())?;
    let header_id = header_id.map(Str::from);
    let event_id = wire::id("EventId", body.event_id.as_ref().or(header_id.as_ref()))?;
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

impl FlatPascal<'_> {
    fn user(&self) -> Result<UserCreated, DecodeError> {
        Ok(UserCreated {
            user_id: wire::id("UserId", self.user_id.as_ref())?,
            email: wire::parsed("Email", self.email.as_ref(), Email::parse_address)?,
            name: wire::parsed("Name", self.name.as_ref(), Name::parse)?,
        })
    }

    fn order(&self, occurred_at: Timestamp) -> Result<OrderPlaced, DecodeError> {
        Ok(OrderPlaced {
            order_id: wire::id("OrderId", self.order_id.as_ref())?,
            user_id: wire::id("UserId", self.user_id.as_ref())?,
            amount: wire::amount("Amount", self.amount)?,
            currency: wire::currency(self.currency.as_ref())?,
            status: wire::order_status(self.status.as_ref())?,
            placed_at: occurred_at,
            items: Vec::new(),
        })
    }

    fn payment(&self, occurred_at: Timestamp) -> Result<PaymentSettled, DecodeError> {
        Ok(PaymentSettled {
            payment_id: wire::id("PaymentId", self.payment_id.as_ref())?,
            order_id: wire::id("OrderId", self.order_id.as_ref())?,
            amount: wire::amount("Amount", self.amount)?,
            currency: wire::currency(self.currency.as_ref())?,
            method: None,
            status: wire::payment_status(self.status.as_ref())?,
            settled_at: occurred_at,
        })
    }

    fn adjustment(&self) -> Result<InventoryAdjusted, DecodeError> {
        Ok(InventoryAdjusted {
            sku: wire::id("Sku", self.sku.as_ref())?,
            delta: wire::delta("QuantityChange", self.quantity_change)?,
            reason: None,
            reported_quantity: self.new_quantity,
        })
    }
}
