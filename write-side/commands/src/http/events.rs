//! Events over HTTP, in any known shape: one, or many lines.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use millrace_domain::envelope::decode_payload;
use millrace_domain::record::PAYLOAD_BYTES_MAX;
use millrace_platform::http::openapi::CommonProblems;
use millrace_platform::http::{JSON, expect_content_type, media_type, read_body};
use millrace_platform::problem::Problem;
use millrace_platform::telemetry::chain;
use serde::Serialize;
use utoipa::ToSchema;

use super::commands::{Accepted, problem};
use super::origin::Origin;
use super::state::{BULK_BODY_BYTES_MAX, Commands};

const NDJSON: &str = "application/x-ndjson";
const CLOUD_EVENT: &str = "application/cloudevents+json";

/// What became of the lines of a request.
#[derive(Serialize, ToSchema)]
struct LinesAccepted {
    /// Records appended.
    accepted: usize,
    /// Lines that were appended and will become dead letters.
    undecodable: Vec<LineError>,
    /// Lines that were not appended.
    refused: Vec<LineError>,
}

#[derive(Serialize, ToSchema)]
struct LineError {
    /// From 1.
    line: usize,
    reason: &'static str,
    error: String,
}

/// Append events of any known shape, one as JSON or many as application/x-ndjson
///
/// One event that cannot be decoded is refused. Of many lines each is appended as it is: one that cannot be decoded
/// becomes a dead letter, and the answer lists it. Only a line that is too long for the log is left out.
#[utoipa::path(post, path = "/api/v1/events", tag = "commands",
    request_body(content((Object = "application/json"), (String = "application/x-ndjson"), (Object = "application/cloudevents+json"))),
    responses((status = 202, body = Accepted<'_>), CommonProblems))]
pub(super) async fn events(
    State(commands): State<Arc<Commands>>,
    request: Request,
) -> Result<Response, Problem> {
    let origin = Origin::of(&request)?;
    expect_content_type(request.headers(), &[JSON, NDJSON, CLOUD_EVENT])?;
    if media_type(request.headers()).eq_ignore_ascii_case(NDJSON) {
        return lines(&commands, request, &origin).await;
    }
    let body = read_body(request, PAYLOAD_BYTES_MAX).await?;
    let topic = commands.log.topic();
    let envelope = decode_payload(&body, topic).map_err(|error| problem(&error))?;
    let positions = commands.append(vec![origin.foreign_record(&body, Some(&envelope))]).await?;
    Ok(origin.accepted(topic, &Accepted::new(&envelope, positions[0]), &positions))
}

async fn lines(commands: &Commands, request: Request, origin: &Origin) -> Result<Response, Problem> {
    let body = read_body(request, BULK_BODY_BYTES_MAX).await?;
    let topic = commands.log.topic();
    let mut records = Vec::new();
    let (mut undecodable, mut refused) = (Vec::new(), Vec::new());
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    for (line, payload) in (1..).zip(lines).filter(|(_, payload)| !payload.is_empty()) {
        if payload.len() > PAYLOAD_BYTES_MAX {
            let error = format!("the limit is {PAYLOAD_BYTES_MAX} bytes");
            refused.push(LineError { line, reason: "too-large", error });
            continue;
        }
        let decoded = decode_payload(payload, topic);
        records.push(origin.foreign_record(payload, decoded.as_ref().ok()));
        if let Err(error) = decoded {
            undecodable.push(LineError { line, reason: error.reason(), error: chain(&error) });
        }
    }
    if records.is_empty() {
        return Err(Problem::malformed("the body has no event"));
    }
    let positions = commands.append(records).await?;
    let answer = LinesAccepted { accepted: positions.len(), undecodable, refused };
    Ok(origin.accepted(topic, &answer, &positions))
}
