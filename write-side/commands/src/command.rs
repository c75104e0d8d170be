//! Parses JSON command bodies into events. Pure.
//!
//! A command's body has the fields of its event. An id that the client leaves out is generated here; any other field
//! that is missing or invalid is an error that names it.

use millrace_domain::envelope::wire::{self, Fields, Item, Str};
use millrace_domain::envelope::{ProductOrder, decode_bare_order, read_object};
use millrace_domain::event::{Event, PaymentStatus};
use millrace_domain::text::CorrelationId;
use millrace_domain::{DecodeError, Envelope, EventType, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

/// Most orders in one batch.
pub const BATCH_ORDERS_MAX: usize = 1_000;

/// What a command's events need beside its body.
#[derive(Debug, Clone)]
pub struct Context {
    /// When it arrived; the time of its event.
    pub now: Timestamp,
    /// Joins it to its events.
    pub correlation_id: CorrelationId,
    /// Where generated ids are derived from, so that the same command generates them again; `None` for new ids.
    pub seed: Option<Uuid>,
}

impl Context {
    /// The same for one of several commands that came together.
    pub fn nth(&self, index: u32) -> Self {
        let seed = self.seed.map(|seed| Uuid::new_v5(&seed, &index.to_be_bytes()));
        Self { seed, ..self.clone() }
    }

    /// A generated id.
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

/// The body of `POST /api/v1/users`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateUser<'a> {
    /// Generated when absent.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    user_id: Option<Str<'a>>,
    #[serde(borrow)]
    #[schema(value_type = String, required)]
    email: Option<Str<'a>>,
    #[serde(borrow)]
    #[schema(value_type = String, required)]
    name: Option<Str<'a>>,
}

/// The body of `POST /api/v1/orders`: `userId` and `amount`, or, for one product, `customer_id`, `product_id`, `quantity`
/// and `price`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlaceOrder<'a> {
    /// Generated when absent.
    #[serde(borrow, alias = "id", alias = "order_id")]
    #[schema(value_type = Option<String>)]
    order_id: Option<Str<'a>>,
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    user_id: Option<Str<'a>>,
    #[serde(borrow)]
    #[schema(value_type = Option<f64>, minimum = 0)]
    amount: Option<&'a RawValue>,
    /// ISO 4217; USD when absent.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    currency: Option<Str<'a>>,
    /// PLACED when absent.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    status: Option<Str<'a>>,
    /// Now when absent.
    #[serde(borrow)]
    #[schema(value_type = Option<String>, format = DateTime)]
    placed_at: Option<Str<'a>>,
    #[serde(borrow)]
    #[schema(value_type = Option<Vec<OrderItem>>)]
    items: Option<Vec<Item<'a>>>,
    #[serde(borrow, rename = "customer_id")]
    #[schema(value_type = Option<String>)]
    customer_id: Option<Str<'a>>,
    #[serde(borrow, rename = "product_id")]
    #[schema(value_type = Option<String>)]
    product_id: Option<Str<'a>>,
    #[schema(minimum = 1)]
    quantity: Option<i64>,
    #[serde(borrow)]
    #[schema(value_type = Option<f64>, minimum = 0)]
    price: Option<&'a RawValue>,
    #[serde(borrow, rename = "created_at")]
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Str<'a>>,
}

/// An item of an order.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes `Item` of the domain, which does not know OpenAPI")]
struct OrderItem {
    sku: String,
    #[schema(minimum = 1)]
    quantity: i64,
    #[schema(minimum = 0)]
    unit_price: f64,
}

/// The body of `POST /api/v1/payments`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettlePayment<'a> {
    /// Generated when absent.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    payment_id: Option<Str<'a>>,
    #[serde(borrow)]
    #[schema(value_type = String, required)]
    order_id: Option<Str<'a>>,
    #[serde(borrow)]
    #[schema(value_type = f64, required, minimum = 0)]
    amount: Option<&'a RawValue>,
    /// ISO 4217; USD when absent.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    currency: Option<Str<'a>>,
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    method: Option<Str<'a>>,
    /// SETTLED or FAILED.
    #[serde(borrow)]
    #[schema(value_type = String, required, pattern = "^(SETTLED|FAILED)$")]
    status: Option<Str<'a>>,
    /// Now when absent.
    #[serde(borrow)]
    #[schema(value_type = Option<String>, format = DateTime)]
    settled_at: Option<Str<'a>>,
}

/// The body of `POST /api/v1/inventory-adjustments`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdjustInventory<'a> {
    #[serde(borrow)]
    #[schema(value_type = String, required)]
    sku: Option<Str<'a>>,
    #[schema(value_type = i64, required)]
    delta: Option<i64>,
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    reason: Option<Str<'a>>,
    reported_quantity: Option<i64>,
}

/// The body of `POST /order`, which the domain decodes.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the form, which the domain decodes without knowing OpenAPI")]
pub struct BareOrder {
    id: String,
    user_id: String,
    #[schema(minimum = 0)]
    total: f64,
    status: String,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
}

/// The body of `POST /api/v1/orders/batch`; the list alone is accepted as well.
#[derive(Debug, Deserialize, ToSchema)]
pub struct OrderBatch<'a> {
    #[serde(borrow)]
    #[schema(value_type = Vec<PlaceOrder<'_>>, required, min_items = 1, max_items = 1000)]
    orders: Option<Vec<&'a RawValue>>,
}

/// Parses a [`CreateUser`].
///
/// # Errors
/// [`DecodeError`] that names the field.
pub fn create_user(body: &[u8], context: &Context) -> Result<Envelope, DecodeError> {
    let CreateUser { user_id, email, name } = read_object(body)?;
    let user_id = Some(user_id.unwrap_or_else(|| context.id("user").to_string().into()));
    let fields = Fields { user_id, email, name, ..Fields::default() };
    fields.event(EventType::UserCreated, context.now).map(|event| context.envelope(event))
}

/// Parses a [`PlaceOrder`].
///
/// # Errors
/// [`DecodeError`] that names the field.
pub fn place_order(body: &[u8], context: &Context) -> Result<Envelope, DecodeError> {
    let order: PlaceOrder<'_> = read_object(body)?;
    let PlaceOrder { user_id, amount, currency, status, placed_at, items, .. } = order;
    let PlaceOrder { customer_id, product_id, quantity, price, created_at, .. } = order;
    let order_id = Some(order.order_id.unwrap_or_else(|| context.id("order").to_string().into()));
    let event = if customer_id.is_some() || product_id.is_some() {
        let id = order_id;
        let order =
            ProductOrder { id, customer_id, product_id, quantity, price, currency, status, created_at };
        Event::OrderPlaced(order.parse(context.now)?)
    } else {
        let fields =
            Fields { order_id, user_id, amount, currency, status, placed_at, items, ..Fields::default() };
        fields.event(EventType::OrderPlaced, context.now)?
    };
    Ok(context.envelope(event))
}

/// Parses a [`SettlePayment`].
///
/// # Errors
/// [`DecodeError`] that names the field.
pub fn settle_payment(body: &[u8], context: &Context) -> Result<Envelope, DecodeError> {
    let SettlePayment { payment_id, order_id, amount, currency, method, status, settled_at } =
        read_object(body)?;
    let payment_id = Some(payment_id.unwrap_or_else(|| context.id("payment").to_string().into()));
    let fields =
        Fields { payment_id, order_id, amount, currency, method, status, settled_at, ..Fields::default() };
    let event = fields.event(EventType::PaymentSettled, context.now)?;
    match &event {
        Event::PaymentSettled(payment) if payment.status == PaymentStatus::Pending => {
            Err(wire::invalid("status", "must be SETTLED or FAILED"))
        }
        _ => Ok(context.envelope(event)),
    }
}

/// Parses an [`AdjustInventory`].
///
/// # Errors
/// [`DecodeError`] that names the field.
pub fn adjust_inventory(body: &[u8], context: &Context) -> Result<Envelope, DecodeError> {
    let AdjustInventory { sku, delta, reason, reported_quantity } = read_object(body)?;
    let fields = Fields { sku, delta, reason, reported_quantity, ..Fields::default() };
    fields.event(EventType::InventoryAdjusted, context.now).map(|event| context.envelope(event))
}

/// Parses a [`BareOrder`]. The same order twice is the same event.
///
/// # Errors
/// [`DecodeError`] that names the field.
pub fn place_bare_order(body: &[u8], topic: &str, context: &Context) -> Result<Envelope, DecodeError> {
    let mut envelope = decode_bare_order(body, topic)?;
    envelope.correlation_id = Some(context.correlation_id.clone());
    Ok(envelope)
}

/// Splits an [`OrderBatch`], or the list alone, into the JSON texts of its orders.
///
/// # Errors
/// [`DecodeError`] when there is no list, or it is empty or too long.
pub fn split_batch(body: &[u8]) -> Result<Vec<&RawValue>, DecodeError> {
    let is_list = body.trim_ascii_start().starts_with(b"[");
    let orders = if is_list {
        serde_json::from_slice(body).map_err(DecodeError::InvalidJson)?
    } else {
        wire::required("orders", read_object::<OrderBatch<'_>>(body)?.orders)?
    };
    if orders.is_empty() || orders.len() > BATCH_ORDERS_MAX {
        let problem = format!("has {} entries; 1 to {BATCH_ORDERS_MAX} are allowed", orders.len());
        return Err(wire::invalid("orders", problem));
    }
    Ok(orders)
}

#[cfg(test)]
mod tests {
    use millrace_domain::Amount;

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
            "the field quantity must be between 1 and 1000000000"
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
