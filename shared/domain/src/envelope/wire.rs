//! Field parsers that the formats and the commands share: borrowed strings, required and optional fields.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::DecodeError;
use crate::amount::Amount;
use crate::event::{Event, EventType, InventoryAdjusted, ORDER_ITEMS_MAX, OrderItem, OrderPlaced};
use crate::event::{PaymentSettled, PaymentStatus, QUANTITY_MAX, UserCreated};
use crate::id::{InvalidId, Sku};
use crate::text::{Currency, Email, Name, OrderStatus, Text};
use crate::timestamp::Timestamp;

/// A JSON string, borrowed from the payload unless it holds escapes.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Str<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> From<&'a str> for Str<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Str<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl Deref for Str<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Reads JSON. The error distinguishes invalid JSON from JSON with other fields.
pub(super) fn from_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => DecodeError::InvalidType(error),
        _ => DecodeError::InvalidJson(error),
    })
}

/// The value of a required field.
///
/// # Errors
/// [`DecodeError::MissingField`].
pub fn required<T>(field: &'static str, value: Option<T>) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::MissingField(field))
}

/// The error for a field with an invalid value.
pub fn invalid(field: &'static str, problem: impl fmt::Display) -> DecodeError {
    DecodeError::InvalidField { field, problem: problem.to_string() }
}

/// A required text field, parsed. An empty text is treated as absent.
///
/// # Errors
/// [`DecodeError::MissingField`] or [`DecodeError::InvalidField`].
pub fn parsed<T, E: fmt::Display>(
    field: &'static str,
    value: Option<&Str<'_>>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, DecodeError> {
    let text = required(field, value.filter(|text| !text.is_empty()))?;
    parse(text).map_err(|error| invalid(field, error))
}

/// An optional text field, parsed if it is present. An empty text is treated as absent.
///
/// # Errors
/// [`DecodeError::InvalidField`].
pub fn optional<T, E: fmt::Display>(
    field: &'static str,
    value: Option<&Str<'_>>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, DecodeError> {
    match value {
        Some(text) if !text.is_empty() => parse(text).map(Some).map_err(|error| invalid(field, error)),
        _ => Ok(None),
    }
}

/// An optional text field of at most `MAX` characters.
pub(super) fn optional_text<const MAX: usize>(
    field: &'static str,
    value: Option<&Str<'_>>,
) -> Result<Option<Text<MAX>>, DecodeError> {
    optional(field, value, Text::parse)
}

/// A required amount, read from the digits in the payload and never through a float.
///
/// # Errors
/// [`DecodeError::MissingField`] or [`DecodeError::InvalidField`].
pub fn amount(field: &'static str, value: Option<&RawValue>) -> Result<Amount, DecodeError> {
    let number = required(field, value)?;
    Amount::parse(number.get()).map_err(|error| invalid(field, error))
}

/// A required time.
///
/// # Errors
/// [`DecodeError::MissingField`] or [`DecodeError::InvalidField`].
pub fn time(field: &'static str, value: Option<&Str<'_>>) -> Result<Timestamp, DecodeError> {
    parsed(field, value, Timestamp::parse)
}

/// An optional time with a default.
///
/// # Errors
/// [`DecodeError::InvalidField`].
pub fn time_or(
    field: &'static str,
    value: Option<&Str<'_>>,
    default: Timestamp,
) -> Result<Timestamp, DecodeError> {
    Ok(optional(field, value, Timestamp::parse)?.unwrap_or(default))
}

/// An optional currency; USD by default.
///
/// # Errors
/// [`DecodeError::InvalidField`].
pub fn currency(value: Option<&Str<'_>>) -> Result<Currency, DecodeError> {
    Ok(optional("currency", value, Currency::parse)?.unwrap_or(Currency::USD))
}

/// A payment status, in the words of any format.
///
/// # Errors
/// [`DecodeError::MissingField`] or [`DecodeError::InvalidField`].
pub fn payment_status(value: Option<&Str<'_>>) -> Result<PaymentStatus, DecodeError> {
    parsed("status", value, |text| {
        PaymentStatus::parse(text).ok_or("must be SETTLED, FAILED, PENDING or completed")
    })
}

/// A required integer within a range.
///
/// # Errors
/// [`DecodeError::MissingField`] or [`DecodeError::InvalidField`].
pub fn whole(
    field: &'static str,
    value: Option<i64>,
    range: std::ops::RangeInclusive<i64>,
) -> Result<i64, DecodeError> {
    let number = required(field, value)?;
    if range.contains(&number) {
        return Ok(number);
    }
    Err(invalid(field, format_args!("must be between {} and {}", range.start(), range.end())))
}

/// A change of stock.
///
/// # Errors
/// [`DecodeError::MissingField`] or [`DecodeError::InvalidField`].
pub fn delta(field: &'static str, value: Option<i64>) -> Result<i64, DecodeError> {
    whole(field, value, -QUANTITY_MAX..=QUANTITY_MAX)
}

/// An item of an order, as in the canonical form, in the flat camelCase format (which says `price`) and in commands.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item<'a> {
    #[serde(borrow)]
    sku: Option<Str<'a>>,
    quantity: Option<i64>,
    #[serde(borrow, alias = "price")]
    unit_price: Option<&'a RawValue>,
}

impl Item<'_> {
    fn parse(&self) -> Result<OrderItem, DecodeError> {
        Ok(OrderItem {
            sku: parsed("items.sku", self.sku.as_ref(), Sku::parse)?,
            quantity: whole("items.quantity", self.quantity, 1..=QUANTITY_MAX)?,
            unit_price: amount("items.unitPrice", self.unit_price)?,
        })
    }
}

/// The items of an order; empty when the field is absent.
///
/// # Errors
/// [`DecodeError`] for too many items or an invalid one.
pub fn items(items: Option<&[Item<'_>]>) -> Result<Vec<OrderItem>, DecodeError> {
    let items = items.unwrap_or_default();
    if items.len() > ORDER_ITEMS_MAX {
        return Err(invalid(
            "items",
            format_args!("has {} entries; at most {ORDER_ITEMS_MAX} are allowed", items.len()),
        ));
    }
    items.iter().map(Item::parse).collect()
}

/// The fields of all four event types in camelCase: `data` of a CloudEvent, `payload` of the payload envelope, the
/// body of a command.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields<'a> {
    #[serde(borrow)]
    pub user_id: Option<Str<'a>>,
    #[serde(borrow)]
    pub email: Option<Str<'a>>,
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub order_id: Option<Str<'a>>,
    #[serde(borrow)]
    pub payment_id: Option<Str<'a>>,
    #[serde(borrow)]
    pub amount: Option<&'a RawValue>,
    #[serde(borrow)]
    pub currency: Option<Str<'a>>,
    #[serde(borrow)]
    pub status: Option<Str<'a>>,
    #[serde(borrow)]
    pub placed_at: Option<Str<'a>>,
    #[serde(borrow)]
    pub settled_at: Option<Str<'a>>,
    #[serde(borrow)]
    pub method: Option<Str<'a>>,
    #[serde(borrow)]
    pub items: Option<Vec<Item<'a>>>,
    #[serde(borrow)]
    pub sku: Option<Str<'a>>,
    pub delta: Option<i64>,
    #[serde(borrow)]
    pub reason: Option<Str<'a>>,
    pub reported_quantity: Option<i64>,
}

impl Fields<'_> {
    /// The event of that type; times default to `occurred_at`.
    ///
    /// # Errors
    /// [`DecodeError`] for the first field that is missing or wrong.
    pub fn event(&self, event_type: EventType, occurred_at: Timestamp) -> Result<Event, DecodeError> {
        match event_type {
            EventType::UserCreated => self.user().map(Event::UserCreated),
            EventType::OrderPlaced => self.order(occurred_at).map(Event::OrderPlaced),
            EventType::PaymentSettled => self.payment(occurred_at).map(Event::PaymentSettled),
            EventType::InventoryAdjusted => self.adjustment().map(Event::InventoryAdjusted),
        }
    }

    fn user(&self) -> Result<UserCreated, DecodeError> {
        Ok(UserCreated {
            user_id: id("userId", self.user_id.as_ref())?,
            email: parsed("email", self.email.as_ref(), Email::parse_address)?,
            name: parsed("name", self.name.as_ref(), Name::parse)?,
        })
    }

    fn order(&self, occurred_at: Timestamp) -> Result<OrderPlaced, DecodeError> {
        Ok(OrderPlaced {
            order_id: id("orderId", self.order_id.as_ref())?,
            user_id: id("userId", self.user_id.as_ref())?,
            amount: amount("amount", self.amount)?,
            currency: currency(self.currency.as_ref())?,
            status: order_status(self.status.as_ref())?,
            placed_at: time_or("placedAt", self.placed_at.as_ref(), occurred_at)?,
            items: items(self.items.as_deref())?,
        })
    }

    fn payment(&self, occurred_at: Timestamp) -> Result<PaymentSettled, DecodeError> {
        Ok(PaymentSettled {
            payment_id: id("paymentId", self.payment_id.as_ref())?,
            order_id: id("orderId", self.order_id.as_ref())?,
            amount: amount("amount", self.amount)?,
            currency: currency(self.currency.as_ref())?,
            method: optional_text("method", self.method.as_ref())?,
            status: payment_status(self.status.as_ref())?,
            settled_at: time_or("settledAt", self.settled_at.as_ref(), occurred_at)?,
        })
    }

    fn adjustment(&self) -> Result<InventoryAdjusted, DecodeError> {
        Ok(InventoryAdjusted {
            sku: id("sku", self.sku.as_ref())?,
            delta: delta("delta", self.delta)?,
            reason: optional_text("reason", self.reason.as_ref())?,
            reported_quantity: self.reported_quantity,
        })
    }
}

/// The status of an order; PLACED by default.
///
/// # Errors
/// [`DecodeError::InvalidField`].
pub fn order_status(value: Option<&Str<'_>>) -> Result<OrderStatus, DecodeError> {
    Ok(optional("status", value, OrderStatus::parse)?.unwrap_or(OrderStatus::PLACED))
}

/// A required identifier.
///
/// # Errors
/// [`DecodeError::MissingField`] or [`DecodeError::InvalidField`].
pub fn id<T: ParseId>(field: &'static str, value: Option<&Str<'_>>) -> Result<T, DecodeError> {
    parsed(field, value, T::parse_id)
}

/// The newtypes of [`crate::id`], for [`id`].
pub trait ParseId: Sized {
    fn parse_id(text: &str) -> Result<Self, InvalidId>;
}

macro_rules! parse_id {
    ($($name:ident),*) => {$(
        impl ParseId for crate::id::$name {
            fn parse_id(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }
    )*};
}

parse_id!(UserId, OrderId, PaymentId, Sku, EventId);
