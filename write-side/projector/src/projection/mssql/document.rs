//! The parameters of a batch: a JSON document with a list per table, and the bytes that JSON cannot hold.
//!
//! The field names are those that `sql/mssql/projection/apply.sql` reads.

use millrace_domain::id::{EventId, OrderId, PaymentId, Sku, UserId};
use millrace_domain::text::{Currency, Email, Method, Name, OrderStatus};
use millrace_domain::{Amount, Envelope, Timestamp};
use serde::Serialize;

use crate::dead_letter::DeadLetter;
use crate::projection::batch::{Batch, Span};
use crate::projection::changes::{Changes, Payment};

/// The two parameters of a batch.
#[derive(Debug)]
pub struct Document {
    /// `@P1`
    pub json: String,
    /// `@P2`: keys, payloads and headers of the dead letters, one after the other.
    pub bytes: Vec<u8>,
}

impl Document {
    /// The document of a batch and its changes. `capacity` is the expected size of the JSON, in bytes.
    pub fn of(batch: &Batch<'_>, changes: &Changes<'_>, capacity: usize) -> Self {
        let mut bytes = Vec::new();
        let letters = batch.letters.iter().map(|letter| LetterRow::of(letter, &mut bytes)).collect();
        let lists = Lists {
            spans: batch.spans.iter().map(SpanRow::of).collect(),
            users: changes
                .users
                .iter()
                .map(|(envelope, user)| UserRow {
                    id: &user.user_id,
                    email: &user.email,
                    name: &user.name,
                    version: Version::of(envelope),
                })
                .collect(),
            orders: changes
                .orders
                .iter()
                .map(|(envelope, order)| OrderRow {
                    id: &order.order_id,
                    user: &order.user_id,
                    amount: order.amount,
                    currency: order.currency,
                    status: &order.status,
                    placed: order.placed_at,
                    version: Version::of(envelope),
                })
                .collect(),
            items: item_rows(changes),
            payments: changes.payments.iter().map(PaymentRow::of).collect(),
            adjustments: changes
                .adjustments
                .iter()
                .map(|(envelope, adjustment)| AdjustmentRow {
                    sku: &adjustment.sku,
                    delta: adjustment.delta,
                    reported: adjustment.reported_quantity,
                    version: Version::of(envelope),
                })
                .collect(),
            letters,
        };
        let mut json = Vec::with_capacity(capacity);
        serde_json::to_writer(&mut json, &lists).expect("rows always serialise");
        Self { json: String::from_utf8(json).expect("JSON is UTF-8"), bytes }
    }
}

#[derive(Serialize)]
struct Lists<'a> {
    spans: Vec<SpanRow>,
    users: Vec<UserRow<'a>>,
    orders: Vec<OrderRow<'a>>,
    items: Vec<ItemRow<'a>>,
    payments: Vec<PaymentRow<'a>>,
    adjustments: Vec<AdjustmentRow<'a>>,
    letters: Vec<LetterRow<'a>>,
}

/// Of the event that a row is from. The greater version wins.
#[derive(Serialize)]
struct Version<'a> {
    at: Timestamp,
    by: &'a EventId,
}

impl<'a> Version<'a> {
    fn of(envelope: &'a Envelope) -> Self {
        Self { at: envelope.occurred_at, by: &envelope.event_id }
    }
}

#[derive(Serialize)]
struct SpanRow {
    partition: i32,
    from: Option<i64>,
    next: i64,
}

impl SpanRow {
    fn of(span: &Span) -> Self {
        Self { partition: span.partition, from: span.from, next: span.next }
    }
}

#[derive(Serialize)]
struct UserRow<'a> {
    id: &'a UserId,
    email: &'a Email,
    name: &'a Name,
    #[serde(flatten)]
    version: Version<'a>,
}

#[derive(Serialize)]
struct OrderRow<'a> {
    id: &'a OrderId,
    user: &'a UserId,
    amount: Amount,
    currency: Currency,
    status: &'a OrderStatus,
    placed: Timestamp,
    #[serde(flatten)]
    version: Version<'a>,
}

#[derive(Serialize)]
struct ItemRow<'a> {
    order: &'a OrderId,
    line: usize,
    sku: &'a Sku,
    quantity: i64,
    price: Amount,
    #[serde(flatten)]
    version: Version<'a>,
}

fn item_rows<'a>(changes: &Changes<'a>) -> Vec<ItemRow<'a>> {
    let orders = changes.orders.iter();
    let rows = orders.flat_map(|(envelope, order)| {
        order.items.iter().enumerate().map(|(line, item)| ItemRow {
            order: &order.order_id,
            line,
            sku: &item.sku,
            quantity: item.quantity,
            price: item.unit_price,
            version: Version::of(envelope),
        })
    });
    rows.collect()
}

#[derive(Serialize)]
struct PaymentRow<'a> {
    order: &'a OrderId,
    payment: Option<&'a PaymentId>,
    amount: Amount,
    currency: Currency,
    method: Option<&'a Method>,
    status: &'static str,
    settled: Option<Timestamp>,
    #[serde(flatten)]
    version: Version<'a>,
}

impl<'a> PaymentRow<'a> {
    fn of(payment: &Payment<'a>) -> Self {
        Self {
            order: payment.order_id,
            payment: payment.payment_id,
            amount: payment.amount,
            currency: payment.currency,
            method: payment.method,
            status: payment.status.as_str(),
            settled: payment.settled_at,
            version: Version { at: payment.occurred_at, by: payment.event_id },
        }
    }
}

#[derive(Serialize)]
struct AdjustmentRow<'a> {
    sku: &'a Sku,
    delta: i64,
    reported: Option<i64>,
    #[serde(flatten)]
    version: Version<'a>,
}

/// A dead letter. Its bytes are in `@P2` from `…Start` on, counted from 1 as `SUBSTRING` counts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LetterRow<'a> {
    partition: i32,
    offset: i64,
    reason: &'a str,
    error: &'a str,
    /// A JSON list, as text.
    causes: String,
    event: Option<&'a str>,
    r#type: Option<&'a str>,
    key_start: Option<usize>,
    key_length: Option<usize>,
    payload_start: Option<usize>,
    payload_length: Option<usize>,
    headers_start: usize,
    headers_length: usize,
    attempts: u32,
    appended: Timestamp,
    dead: Timestamp,
}

impl<'a> LetterRow<'a> {
    fn of(letter: &'a DeadLetter, bytes: &mut Vec<u8>) -> Self {
        let mut put = |part: &[u8]| {
            bytes.extend_from_slice(part);
            (bytes.len() - part.len() + 1, part.len())
        };
        let (key_start, key_length) = letter.key.as_deref().map(&mut put).unzip();
        let (payload_start, payload_length) = letter.payload.as_deref().map(&mut put).unzip();
        let (headers_start, headers_length) = put(letter.headers.as_bytes());
        Self {
            partition: letter.position.partition,
            offset: letter.position.offset,
            reason: &letter.reason,
            error: &letter.error,
            causes: serde_json::to_string(&letter.causes).expect("strings always serialise"),
            event: letter.event_id.as_deref(),
            r#type: letter.event_type.as_deref(),
            key_start,
            key_length,
            payload_start,
            payload_length,
            headers_start,
            headers_length,
            attempts: letter.attempts,
            appended: letter.appended_at,
            dead: letter.dead_at,
        }
    }
}
