//! Commands over HTTP: read the body, parse it, append the event, say where it stands.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Map, Value, json};
use shared::event::Event;
use shared::problem::Problem;
use shared::record::{Headers, PAYLOAD_BYTES_MAX};
use shared::text::CorrelationId;
use shared::{DecodeError, Envelope, EventType, NewRecord, Position, Record, Timestamp};
use uuid::Uuid;

use super::WriteSide;
use crate::command::{self, Context};
use crate::event_log::LogError;
use crate::idempotency::Attempt;

/// Largest body of a route that takes many things at once, in bytes.
pub(super) const BULK_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
const CORRELATION_ID: &str = "x-correlation-id";
const TRACEPARENT: &str = "traceparent";
const CONSISTENCY_TOKEN: &str = "consistency-token";
pub(super) const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

type Shared = State<Arc<WriteSide>>;

pub(super) async fn user(State(write_side): Shared, request: Request) -> Result<Response, Problem> {
    single(&write_side, request, command::create_user).await
}

pub(super) async fn order(State(write_side): Shared, request: Request) -> Result<Response, Problem> {
    single(&write_side, request, command::place_order).await
}

pub(super) async fn payment(State(write_side): Shared, request: Request) -> Result<Response, Problem> {
    single(&write_side, request, command::settle_payment).await
}

pub(super) async fn inventory_adjustment(
    State(write_side): Shared,
    request: Request,
) -> Result<Response, Problem> {
    single(&write_side, request, command::adjust_inventory).await
}

pub(super) async fn bare_order(State(write_side): Shared, request: Request) -> Result<Response, Problem> {
    let topic = write_side.log.topic().to_owned();
    single(&write_side, request, |body, context| command::take_bare_order(body, &topic, context)).await
}

/// One command, one event.
async fn single(
    write_side: &WriteSide,
    request: Request,
    parse: impl Fn(&[u8], &Context) -> Result<Envelope, DecodeError>,
) -> Result<Response, Problem> {
    let travel = Travel::of(&request)?;
    expect_type(request.headers(), &[JSON])?;
    let body = shared::http::read_body(request, PAYLOAD_BYTES_MAX).await?;
    let envelope = parse(&body, &travel.context).map_err(|error| problem(&error))?;
    let positions = append(write_side, vec![travel.record(&envelope)]).await?;
    tracing::debug!(
        eventId = envelope.event_id.as_str(),
        correlationId = travel.context.correlation_id.as_str(),
        position = %positions[0],
        "accepted"
    );
    Ok(travel.accepted(write_side, &accepted_body(&envelope, positions[0]), &positions))
}

/// Many orders, each with its own result. The good ones are appended together.
pub(super) async fn order_batch(State(write_side): Shared, request: Request) -> Result<Response, Problem> {
    let travel = Travel::of(&request)?;
    expect_type(request.headers(), &[JSON])?;
    let body = shared::http::read_body(request, BULK_BODY_BYTES_MAX).await?;
    let orders = command::split_batch(&body).map_err(|error| problem(&error))?;
    let parsed: Vec<_> = (0..)
        .zip(&orders)
        .map(|(index, order)| command::place_order(order.get().as_bytes(), &travel.context.nth(index)))
        .collect();
    let good: Vec<_> = parsed.iter().flatten().map(|envelope| travel.record(envelope)).collect();
    if good.is_empty() {
        let first = parsed.into_iter().find_map(Result::err).map(|error| shared::telemetry::chain(&error));
        let detail = format!("no order is acceptable; orders[0]: {}", first.unwrap_or_default());
        return Err(Problem::invalid(detail));
    }
    let positions = append(&write_side, good).await?;
    let mut appended = positions.iter();
    let results: Vec<_> = parsed
        .iter()
        .enumerate()
        .map(|(index, result)| match result {
            Ok(envelope) => {
                let position = appended.next().copied().expect("one position for each good order");
                let mut item = accepted_body(envelope, position);
                item.insert("index".to_owned(), index.into());
                item.insert("status".to_owned(), "accepted".into());
                Value::Object(item)
            }
            Err(error) => json!({
                "index": index, "status": "rejected", "reason": error.reason(), "error": shared::telemetry::chain(error),
            }),
        })
        .collect();
    let mut answer = Map::new();
    answer.insert("accepted".to_owned(), positions.len().into());
    answer.insert("rejected".to_owned(), (results.len() - positions.len()).into());
    answer.insert("results".to_owned(), results.into());
    Ok(travel.accepted(&write_side, &answer, &positions))
}

/// One event of any known shape, refused when it is none; or many lines, all appended as they are: a line that is no
/// event becomes a dead letter, and the answer says so at once. Only a line too long for the log is left out.
pub(super) async fn events(State(write_side): Shared, request: Request) -> Result<Response, Problem> {
    let travel = Travel::of(&request)?;
    expect_type(request.headers(), &[JSON, NDJSON, "application/cloudevents+json"])?;
    if media_type(request.headers()).eq_ignore_ascii_case(NDJSON) {
        return event_lines(&write_side, request, &travel).await;
    }
    let body = shared::http::read_body(request, PAYLOAD_BYTES_MAX).await?;
    let envelope = decode(&write_side, &body).map_err(|error| problem(&error))?;
    let record = travel.foreign_record(&body, Some(&envelope));
    let positions = append(&write_side, vec![record]).await?;
    Ok(travel.accepted(&write_side, &accepted_body(&envelope, positions[0]), &positions))
}

async fn event_lines(write_side: &WriteSide, request: Request, travel: &Travel) -> Result<Response, Problem> {
    let body = shared::http::read_body(request, BULK_BODY_BYTES_MAX).await?;
    let mut records = Vec::new();
    let (mut undecodable, mut refused) = (Vec::new(), Vec::new());
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    for (number, line) in (1..).zip(lines).filter(|(_, line)| !line.is_empty()) {
        if line.len() > PAYLOAD_BYTES_MAX {
            refused.push(json!({ "line": number, "reason": "too-large", "error": format!("at most {PAYLOAD_BYTES_MAX} bytes") }));
            continue;
        }
        let decoded = decode(write_side, line);
        records.push(travel.foreign_record(line, decoded.as_ref().ok()));
        if let Err(error) = decoded {
            undecodable.push(json!({
                "line": number, "reason": error.reason(), "error": shared::telemetry::chain(&error),
            }));
        }
    }
    if records.is_empty() {
        return Err(Problem::malformed("there is no event in the body"));
    }
    let positions = append(write_side, records).await?;
    let mut answer = Map::new();
    answer.insert("accepted".to_owned(), positions.len().into());
    answer.insert("undecodable".to_owned(), undecodable.into());
    answer.insert("refused".to_owned(), refused.into());
    Ok(travel.accepted(write_side, &answer, &positions))
}

fn decode(write_side: &WriteSide, payload: &[u8]) -> Result<Envelope, DecodeError> {
    shared::envelope::decode_payload(&Record {
        topic: write_side.log.topic(),
        position: Position { partition: 0, offset: 0 },
        appended_at: Timestamp::now(),
        key: None,
        payload: Some(payload),
        headers: Headers::EMPTY.view(),
    })
}

async fn append(write_side: &WriteSide, records: Vec<NewRecord>) -> Result<Vec<Position>, Problem> {
    let started = Instant::now();
    let positions = write_side.log.append(records).await.map_err(|error| {
        tracing::warn!("a command was not accepted: {}", shared::telemetry::chain(&error));
        match error {
            LogError::Unavailable(_) => {
                Problem::unavailable("the event log is away; try again with the same ids")
            }
            LogError::Fatal(_) => Problem::internal(),
        }
    })?;
    write_side.metrics.produce_duration.observe(started.elapsed().as_secs_f64());
    Ok(positions)
}

/// What travels with a command: its correlation id, its trace, its time.
struct Travel {
    context: Context,
    traceparent: Option<HeaderValue>,
}

impl Travel {
    fn of(request: &Request) -> Result<Self, Problem> {
        let headers = request.headers();
        let given = headers.get(CORRELATION_ID).map(HeaderValue::to_str);
        let text = match given {
            None => Uuid::now_v7().to_string(),
            Some(text) => text.map_err(|_| Problem::malformed("X-Correlation-ID is not ASCII"))?.to_owned(),
        };
        let correlation_id = CorrelationId::parse(&text)
            .map_err(|error| Problem::malformed(format!("X-Correlation-ID {error}")))?;
        let context = match request.extensions().get::<Attempt>() {
            Some(attempt) => Context { now: attempt.started_at, correlation_id, seed: Some(attempt.seed) },
            None => Context { now: Timestamp::now(), correlation_id, seed: None },
        };
        let traceparent = headers.get(TRACEPARENT).filter(|value| is_traceparent(value.as_bytes())).cloned();
        Ok(Self { context, traceparent })
    }

    fn record(&self, envelope: &Envelope) -> NewRecord {
        let mut record = envelope.to_record();
        self.push_trace(&mut record.headers);
        record
    }

    /// A record of the very bytes that came, keyed by what they say, if they say it.
    fn foreign_record(&self, payload: &[u8], envelope: Option<&Envelope>) -> NewRecord {
        let mut headers = Headers::EMPTY.with("content-type", JSON.as_bytes());
        headers.push(CORRELATION_ID, self.context.correlation_id.as_str().as_bytes());
        self.push_trace(&mut headers);
        let key = envelope.map(|envelope| envelope.event.partition_key().as_bytes().to_vec());
        NewRecord { key, payload: payload.to_vec(), headers }
    }

    fn push_trace(&self, headers: &mut Headers) {
        if let Some(traceparent) = &self.traceparent {
            headers.push(TRACEPARENT, traceparent.as_bytes());
        }
    }

    /// 202 with the token by which a read can wait for these positions.
    fn accepted(
        &self,
        write_side: &WriteSide,
        body: &Map<String, Value>,
        positions: &[Position],
    ) -> Response {
        let mut response = shared::http::json(StatusCode::ACCEPTED, body);
        let headers = response.headers_mut();
        let topic = write_side.log.topic();
        let token =
            newest(positions).map(|position| format!("{topic}:{position}")).collect::<Vec<_>>().join(",");
        let value = |text: &str| HeaderValue::from_str(text).expect("ids and numbers are ASCII");
        headers.insert(CONSISTENCY_TOKEN, value(&token));
        if let Ok(id) = HeaderValue::from_str(self.context.correlation_id.as_str()) {
            headers.insert(CORRELATION_ID, id);
        }
        response
    }
}

/// Whether it has the form of W3C's trace context, version 00. Anything else is dropped, as that text asks.
fn is_traceparent(value: &[u8]) -> bool {
    const FORM: &[u8] = b"00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'x' => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        form => byte == form,
    };
    value.len() == FORM.len() && value.iter().zip(FORM).all(fits)
}

/// The newest position of each partition: whoever has seen that has seen the others.
fn newest(positions: &[Position]) -> impl Iterator<Item = Position> {
    let mut newest = std::collections::BTreeMap::new();
    for position in positions {
        let offset = newest.entry(position.partition).or_insert(position.offset);
        *offset = position.offset.max(*offset);
    }
    newest.into_iter().map(|(partition, offset)| Position { partition, offset })
}

/// `{eventId, …Id, position}`
fn accepted_body(envelope: &Envelope, position: Position) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("eventId".to_owned(), envelope.event_id.as_str().into());
    let name = match envelope.event.event_type() {
        EventType::UserCreated => "userId",
        EventType::OrderPlaced | EventType::PaymentSettled => "orderId",
        EventType::InventoryAdjusted => "sku",
    };
    body.insert(name.to_owned(), envelope.event.partition_key().into());
    if let Event::PaymentSettled(payment) = &envelope.event {
        body.insert("paymentId".to_owned(), payment.payment_id.as_str().into());
    }
    body.insert("position".to_owned(), position.to_string().into());
    body
}

fn media_type(headers: &HeaderMap) -> &str {
    let whole = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    whole.split(';').next().unwrap_or_default().trim()
}

/// A page of another site can send any other type without being asked, so only these are read.
pub(super) fn expect_type(headers: &HeaderMap, expected: &[&str]) -> Result<(), Problem> {
    let given = media_type(headers);
    if expected.iter().any(|expected| given.eq_ignore_ascii_case(expected)) {
        return Ok(());
    }
    let detail = format!("send the header content-type: {}", expected.join(" or "));
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "The content type is not read",
    )
    .detail(detail))
}

/// 400 for what is no JSON, 422 for JSON that says what cannot be.
fn problem(error: &DecodeError) -> Problem {
    let detail = shared::telemetry::chain(error);
    match error {
        DecodeError::EmptyPayload
        | DecodeError::InvalidUtf8(_)
        | DecodeError::InvalidJson(_)
        | DecodeError::TooDeep => Problem::malformed(detail),
        DecodeError::TooLarge(_) => Problem::too_large(PAYLOAD_BYTES_MAX),
        _ => Problem::invalid(detail),
    }
}
