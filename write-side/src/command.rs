//! Commands: wishes in JSON, parsed into the events that grant them. Pure: no IO.
//!
//! A command's body has the fields of its event. Ids that the sender leaves out are made here; everything else that
//! is missing or wrong is an error that names the field.

use serde::Deserialize;
use serde_json::value::RawValue;
use shared::envelope::wire::{self, Fields};
use shared::envelope::{ProductOrder, decode_bare_order, read_object};
use shared::event::{Event, PaymentStatus};
use shared::text::CorrelationId;
use shared::{DecodeError, Envelope, EventType, Timestamp};
use uuid::Uuid;

/// Most orders in one batch.
pub const BATCH_ORDERS_MAX: usize = 1_000;

/// What a command is told beside its body.
#[derive(Debug, Clone)]
pub struct Context {
    /// When it arrived; the time of its event.
    pub now: Timestamp,
    /// What ties it to its events.
    pub correlation_id: CorrelationId,
    /// What all ids that are made come from, so that the same command makes them again; `None` for new ones each time.
    pub seed: Option<Uuid>,
}

impl Context {
    /// The same for one of several commands that came together.
    pub fn nth(&self, index: u32) -> Self {
        let seed = self.seed.map(|seed| Uuid::new_v5(&seed, &index.to_be_bytes()));
        Self { seed, ..self.clone() }
    }

    /// An id for what the sender left unnamed.
    fn id(&self, of: &str) -> Uuid {
        self.seed.map_or_else(Uuid::now_v7, |seed| Uuid::new_v5(&seed, of.as_bytes()))
    }

    fn envelope(&self, event: Event) -> Envelope {
        let envelope = Envelope::new(event, self.now, Some(self.correlation_id.clone()));
        match self.seed {
            Some(_) => Envelope { event_id: self.id("event").into(), ..envelope },
            None => envelope,
        }
    }
}

/// `POST /api/v1/users` {userId?, email, name}.
///
/// # Errors
/// [`DecodeError`] that names the field.
pub fn create_user(body: &[u8], context: &Context) -> Result<Envelope, DecodeError> {
    let mut fields: Fields<'_> = read_object(body)?;
    fields.user_id.get_or_insert_with(|| context.id("user").to_string().into());
    fields.event(EventType::UserCreated, context.now).map(|event| context.envelope(event))
}

/// `POST /api/v1/orders` {orderId?, userId, amount, currency?, status?, placedAt?, items?}, or in S3's words
/// {customer_id, product_id, quantity, price}.
///
/// # Errors
/// [`DecodeError`] that names the field.
pub fn place_order(body: &[u8], context: &Context) -> Result<Envelope, DecodeError> {
    let mut product: ProductOrder<'_> = read_object(body)?;
    let event = if product.customer_id.is_some() || product.product_id.is_some() {
        product.id.get_or_insert_with(|| context.id("order").to_string().into());
        Event::OrderPlaced(product.parse(context.now)?)
    } else {
        let mut fields: Fields<'_> = read_object(body)?;
        fields.order_id.get_or_insert_with(|| context.id("order").to_string().into());
        fields.event(EventType::OrderPlaced, context.now)?
    };
    Ok(context.envelope(event))
}

/// `POST /api/v1/payments` {paymentId?, orderId, amount, currency?, method?, status, settledAt?}.
///
/// # Errors
/// [`DecodeError`] that names the field.
pub fn settle_payment(body: &[u8], context: &Context) -> Result<Envelope, DecodeError> {
    let mut fields: Fields<'_> = read_object(body)?;
    fields.payment_id.get_or_insert_with(|| context.id("payment").to_string().into());
    let event = fields.event(EventType::PaymentSettled, context.now)?;
    match &event {
        Event::PaymentSettled(payment) if payment.status == PaymentStatus::Pending => {
            Err(wire::invalid("status", "must be SETTLED or FAILED"))
        }
        _ => Ok(context.envelope(event)),
    }
}

/// `POST /api/v1/inventory-adjustments` {sku, delta, reason?, reportedQuantity?}.
///
/// # Errors
/// [`DecodeError`] that names the field.
pub fn adjust_inventory(body: &[u8], context: &Context) -> Result<Envelope, DecodeError> {
    let fields: Fields<'_> = read_object(body)?;
    fields.event(EventType::InventoryAdjusted, context.now).map(|event| context.envelope(event))
}

/// `POST /order`: S4's {id, user_id, total, status, timestamp}. The same order twice is the same event.
///
/// # Errors
/// [`DecodeError`] that names the field.
pub fn take_bare_order(body: &[u8], topic: &str, context: &Context) -> Result<Envelope, DecodeError> {
    let mut envelope = decode_bare_order(body, topic)?;
    envelope.correlation_id = Some(context.correlation_id.clone());
    Ok(envelope)
}

/// `POST /api/v1/orders/batch`: {"orders": […]} or the list alone; each order as its own JSON text.
///
/// # Errors
/// [`DecodeError`] when there is no list, or it is empty or too long.
pub fn split_batch(body: &[u8]) -> Result<Vec<&RawValue>, DecodeError> {
    #[derive(Deserialize)]
    struct Batch<'a> {
        #[serde(borrow)]
        orders: Option<Vec<&'a RawValue>>,
    }
    let is_list = body.trim_ascii_start().starts_with(b"[");
    let orders = if is_list {
        serde_json::from_slice(body).map_err(DecodeError::InvalidJson)?
    } else {
        wire::required("orders", read_object::<Batch<'_>>(body)?.orders)?
    };
    if orders.is_empty() || orders.len() > BATCH_ORDERS_MAX {
        let problem = format!("has {} entries; 1 to {BATCH_ORDERS_MAX} are allowed", orders.len());
        return Err(wire::invalid("orders", problem));
    }
    Ok(orders)
}

#[cfg(test)]
mod tests {
    use shared::Amount;

    use super::*;

    fn context() -> Context {
        Context { now: Timestamp::now(), correlation_id: CorrelationId::parse("c-1").unwrap(), seed: None }
    }

    #[test]
    fn makes_the_ids_that_are_left_out() {
        let user = create_user(br#"{"email":"a@b","name":"Ada"}"#, &context()).unwrap();
        assert_eq!(user.event.partition_key().len(), 36);
        let given = create_user(br#"{"userId":"u-1","email":"a@b","name":"Ada"}"#, &context()).unwrap();
        assert_eq!(given.event.partition_key(), "u-1");
        assert_eq!(given.correlation_id.unwrap().as_str(), "c-1");
    }

    #[test]
    fn a_seed_makes_the_same_ids_again() {
        let seeded = Context { seed: Some(Uuid::from_u128(7)), ..context() };
        let user = |context: &Context| create_user(br#"{"email":"a@b","name":"Ada"}"#, context).unwrap();
        assert_eq!(user(&seeded), user(&seeded));
        assert_ne!(user(&seeded), user(&seeded.nth(1)));
        assert_ne!(user(&seeded.nth(0)).event_id, user(&seeded.nth(1)).event_id);
        assert_ne!(user(&context()).event_id, user(&context()).event_id);
    }

    #[test]
    fn takes_orders_in_both_words() {
        let ours = place_order(br#"{"userId":"u","amount":149.99}"#, &context()).unwrap();
        assert!(matches!(ours.event, Event::OrderPlaced(o) if o.amount == Amount::parse("149.99").unwrap()));
        let body = br#"{"customer_id":"u","product_id":"p","quantity":2,"price":29.99}"#;
        let theirs = place_order(body, &context()).unwrap();
        assert!(matches!(theirs.event, Event::OrderPlaced(o) if o.amount == Amount::parse("59.98").unwrap()));
    }

    #[test]
    fn errors_name_the_field() {
        let reason = |result: Result<Envelope, DecodeError>| result.unwrap_err().to_string();
        assert_eq!(reason(place_order(b"{}", &context())), "the field userId is missing");
        assert_eq!(
            reason(place_order(
                br#"{"customer_id":"u","product_id":"p","quantity":0,"price":1}"#,
                &context()
            )),
            "the field quantity must lie between 1 and 1000000000"
        );
        let negative = br#"{"userId":"u","amount":-1}"#;
        assert_eq!(reason(place_order(negative, &context())), "the field amount must not be negative");
        assert_eq!(
            reason(settle_payment(br#"{"orderId":"o","amount":1}"#, &context())),
            "the field status is missing"
        );
        assert_eq!(reason(adjust_inventory(br#"{"sku":"s"}"#, &context())), "the field delta is missing");
        assert!(matches!(create_user(b"[]", &context()), Err(DecodeError::UnrecognisedShape)));
    }

    #[test]
    fn batches_have_bounds() {
        assert_eq!(split_batch(br#"{"orders":[{},{}]}"#).unwrap().len(), 2);
        assert_eq!(split_batch(b" [{}]").unwrap().len(), 1);
        assert!(split_batch(br#"{"orders":[]}"#).is_err());
        let many = format!("[{}]", vec!["{}"; BATCH_ORDERS_MAX + 1].join(","));
        assert!(split_batch(many.as_bytes()).unwrap_err().to_string().contains("1001 entries"));
    }
}
