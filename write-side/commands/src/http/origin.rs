//! Where a command comes from: its correlation id, its trace, its time. They travel with its events.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use millrace_domain::consistency::{self, ConsistencyToken};
use millrace_domain::record::Headers;
use millrace_domain::text::CorrelationId;
use millrace_domain::{Envelope, NewRecord, Position, Timestamp};
use millrace_platform::http::{JSON, json};
use millrace_platform::problem::Problem;
use serde::Serialize;
use uuid::Uuid;

use crate::command::Context;
use crate::idempotency::Attempt;

const CORRELATION_ID: &str = "x-correlation-id";
const TRACEPARENT: &str = "traceparent";

/// What travels with a command.
pub(super) struct Origin {
    pub(super) context: Context,
    traceparent: Option<HeaderValue>,
}

impl Origin {
    pub(super) fn of(request: &Request) -> Result<Self, Problem> {
        let correlation_id = correlation_id(request.headers())?;
        let context = match request.extensions().get::<Attempt>() {
            Some(attempt) => Context { now: attempt.started_at, correlation_id, seed: Some(attempt.seed) },
            None => Context { now: Timestamp::now(), correlation_id, seed: None },
        };
        let traceparent = request.headers().get(TRACEPARENT);
        let traceparent = traceparent.filter(|value| is_traceparent(value.as_bytes())).cloned();
        Ok(Self { context, traceparent })
    }

    /// The record of an event of ours.
    pub(super) fn record(&self, envelope: &Envelope) -> NewRecord {
        let mut record = envelope.to_record();
        self.push_trace(&mut record.headers);
        record
    }

    /// A record of the bytes that were sent, with the key of the event in them, if there is one.
    pub(super) fn foreign_record(&self, payload: &[u8], envelope: Option<&Envelope>) -> NewRecord {
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
    pub(super) fn accepted(&self, topic: &str, body: &impl Serialize, positions: &[Position]) -> Response {
        let mut response = json(StatusCode::ACCEPTED, body);
        let headers = response.headers_mut();
        let token = ConsistencyToken::of(topic, positions).to_string();
        headers.insert(consistency::HEADER, HeaderValue::try_from(token).expect("topics are ASCII"));
        if let Ok(id) = HeaderValue::from_str(self.context.correlation_id.as_str()) {
            headers.insert(CORRELATION_ID, id);
        }
        response
    }
}

/// The client's, or a new one.
fn correlation_id(headers: &HeaderMap) -> Result<CorrelationId, Problem> {
    let text = match headers.get(CORRELATION_ID).map(HeaderValue::to_str) {
        None => Uuid::now_v7().to_string(),
        Some(text) => text.map_err(|_| Problem::malformed("X-Correlation-ID is not ASCII"))?.to_owned(),
    };
    CorrelationId::parse(&text).map_err(|error| Problem::malformed(format!("X-Correlation-ID {error}")))
}

/// Whether it has the form of W3C's trace context, version 00. Any other value is dropped, as that specification asks.
fn is_traceparent(value: &[u8]) -> bool {
    const FORM: &[u8] = b"00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'x' => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        form => byte == form,
    };
    value.len() == FORM.len() && value.iter().zip(FORM).all(fits)
}
