//! Commands over HTTP: read the body, parse it, append the event, answer its position.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use millrace_domain::event::Event;
use millrace_domain::record::PAYLOAD_BYTES_MAX;
use millrace_domain::{DecodeError, Envelope, Position};
use millrace_platform::http::openapi::CommonProblems;
use millrace_platform::http::{JSON, expect_content_type, read_body};
use millrace_platform::problem::Problem;
use millrace_platform::telemetry::chain;
use serde::Serialize;
use utoipa::ToSchema;

use super::origin::Origin;
use super::state::{BULK_BODY_BYTES_MAX, Commands};
use crate::command::{
    self, AdjustInventory, BareOrder, Context, CreateUser, OrderBatch, PlaceOrder, SettlePayment,
};

/// An event that was appended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accepted<'a> {
    event_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<&'a str>,
    /// `partition:offset` in the event log.
    #[schema(value_type = String)]
    position: Position,
}

impl<'a> Accepted<'a> {
    pub(super) fn new(envelope: &'a Envelope, position: Position) -> Self {
        let event_id = envelope.event_id.as_str();
        let none = Self { event_id, user_id: None, order_id: None, payment_id: None, sku: None, position };
        match &envelope.event {
            Event::UserCreated(user) => Self { user_id: Some(user.user_id.as_str()), ..none },
            Event::OrderPlaced(order) => Self { order_id: Some(order.order_id.as_str()), ..none },
            Event::PaymentSettled(payment) => Self {
                order_id: Some(payment.order_id.as_str()),
                payment_id: Some(payment.payment_id.as_str()),
                ..none
            },
            Event::InventoryAdjusted(adjustment) => Self { sku: Some(adjustment.sku.as_str()), ..none },
        }
    }
}

/// The results of a batch, in its order.
#[derive(Serialize, ToSchema)]
struct BatchAccepted<'a> {
    accepted: usize,
    rejected: usize,
    results: Vec<BatchResult<'a>>,
}

/// What became of one order of a batch.
#[derive(Serialize, ToSchema)]
#[serde(tag = "status", rename_all = "lowercase")]
enum BatchResult<'a> {
    Accepted {
        index: usize,
        #[serde(flatten)]
        accepted: Accepted<'a>,
    },
    Rejected {
        index: usize,
        reason: &'static str,
        error: String,
    },
}

/// Create a user, or update one
#[utoipa::path(post, path = "/api/v1/users", tag = "commands", request_body = CreateUser<'_>,
    responses((status = 202, body = Accepted<'_>), CommonProblems))]
pub(super) async fn user(
    State(commands): State<Arc<Commands>>,
    request: Request,
) -> Result<Response, Problem> {
    single(&commands, request, command::create_user).await
}

/// Place an order
#[utoipa::path(post, path = "/api/v1/orders", tag = "commands", request_body = PlaceOrder<'_>,
    responses((status = 202, body = Accepted<'_>), CommonProblems))]
pub(super) async fn order(
    State(commands): State<Arc<Commands>>,
    request: Request,
) -> Result<Response, Problem> {
    single(&commands, request, command::place_order).await
}

/// Settle the payment of an order, or report that it failed
#[utoipa::path(post, path = "/api/v1/payments", tag = "commands", request_body = SettlePayment<'_>,
    responses((status = 202, body = Accepted<'_>), CommonProblems))]
pub(super) async fn payment(
    State(commands): State<Arc<Commands>>,
    request: Request,
) -> Result<Response, Problem> {
    single(&commands, request, command::settle_payment).await
}

/// Adjust the stock of a SKU
#[utoipa::path(post, path = "/api/v1/inventory-adjustments", tag = "commands", request_body = AdjustInventory<'_>,
    responses((status = 202, body = Accepted<'_>), CommonProblems))]
pub(super) async fn inventory_adjustment(
    State(commands): State<Arc<Commands>>,
    request: Request,
) -> Result<Response, Problem> {
    single(&commands, request, command::adjust_inventory).await
}

/// Place an order in the form of the oldest producers
#[utoipa::path(post, path = "/order", tag = "commands", request_body = BareOrder,
    responses((status = 202, body = Accepted<'_>), CommonProblems))]
pub(super) async fn bare_order(
    State(commands): State<Arc<Commands>>,
    request: Request,
) -> Result<Response, Problem> {
    let topic = commands.log.topic().to_owned();
    single(&commands, request, |body, context| command::place_bare_order(body, &topic, context)).await
}

/// One command, one event.
async fn single(
    commands: &Commands,
    request: Request,
    parse: impl Fn(&[u8], &Context) -> Result<Envelope, DecodeError>,
) -> Result<Response, Problem> {
    let origin = Origin::of(&request)?;
    expect_content_type(request.headers(), &[JSON])?;
    let body = read_body(request, PAYLOAD_BYTES_MAX).await?;
    let envelope = parse(&body, &origin.context).map_err(|error| problem(&error))?;
    let positions = commands.append(vec![origin.record(&envelope)]).await?;
    tracing::debug!(
        target: "millrace::commands", eventId = envelope.event_id.as_str(),
        correlationId = origin.context.correlation_id.as_str(),
        position = %positions[0],
        "command accepted"
    );
    Ok(origin.accepted(commands.log.topic(), &Accepted::new(&envelope, positions[0]), &positions))
}

/// Place 1 to 1000 orders, each with its own result
#[utoipa::path(post, path = "/api/v1/orders/batch", tag = "commands", request_body = OrderBatch<'_>,
    responses((status = 202, body = BatchAccepted<'_>), CommonProblems))]
pub(super) async fn order_batch(
    State(commands): State<Arc<Commands>>,
    request: Request,
) -> Result<Response, Problem> {
    let origin = Origin::of(&request)?;
    expect_content_type(request.headers(), &[JSON])?;
    let body = read_body(request, BULK_BODY_BYTES_MAX).await?;
    let orders = command::split_batch(&body).map_err(|error| problem(&error))?;
    let parsed: Vec<_> = (0..)
        .zip(&orders)
        .map(|(index, order)| command::place_order(order.get().as_bytes(), &origin.context.nth(index)))
        .collect();
    let records: Vec<_> = parsed.iter().flatten().map(|envelope| origin.record(envelope)).collect();
    if records.is_empty() {
        let first = parsed.into_iter().find_map(Result::err).map(|error| chain(&error));
        let detail = format!("every order is invalid; orders[0]: {}", first.unwrap_or_default());
        return Err(Problem::invalid(detail));
    }
    let positions = commands.append(records).await?;
    let mut appended = positions.iter();
    let results = parsed.iter().enumerate().map(|(index, result)| match result {
        Ok(envelope) => {
            let position = appended.next().copied().expect("one position for each valid order");
            BatchResult::Accepted { index, accepted: Accepted::new(envelope, position) }
        }
        Err(error) => BatchResult::Rejected { index, reason: error.reason(), error: chain(error) },
    });
    let results: Vec<_> = results.collect();
    let answer =
        BatchAccepted { accepted: positions.len(), rejected: results.len() - positions.len(), results };
    Ok(origin.accepted(commands.log.topic(), &answer, &positions))
}

/// 400 for a body that is not JSON, 422 for JSON with an invalid value.
pub(super) fn problem(error: &DecodeError) -> Problem {
    let detail = chain(error);
    match error {
        DecodeError::EmptyPayload
        | DecodeError::InvalidUtf8(_)
        | DecodeError::InvalidJson(_)
        | DecodeError::TooDeep => Problem::malformed(detail),
        DecodeError::TooLarge(_) => Problem::too_large(PAYLOAD_BYTES_MAX),
        _ => Problem::invalid(detail),
    }
}
