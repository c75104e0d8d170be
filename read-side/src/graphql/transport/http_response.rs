//! Responses over HTTP, and the problem documents of requests that are not GraphQL.

use async_graphql::{Response as LibraryResponse, ServerError};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use millrace_platform::problem::Problem;
use serde::Serialize;

use super::media_types::Format;
use crate::graphql::execution::{GraphqlResponse, ResponseStatus};

pub(super) fn write(format: Format, response: &GraphqlResponse) -> Response {
    /// The response to a document that was not executed has no `data`.
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Body<'a> {
        Executed(&'a LibraryResponse),
        NotExecuted { errors: &'a [ServerError] },
    }

    let body = match response.status {
        ResponseStatus::Executed => Body::Executed(&response.response),
        _ => Body::NotExecuted { errors: &response.response.errors },
    };
    let body = serde_json::to_vec(&body).expect("GraphQL values always serialise");
    let status = match (response.status, format) {
        (ResponseStatus::Forbidden, _) => StatusCode::FORBIDDEN,
        (ResponseStatus::TimedOut, _) => StatusCode::SERVICE_UNAVAILABLE,
        (ResponseStatus::Failed, _) => StatusCode::INTERNAL_SERVER_ERROR,
        (ResponseStatus::Rejected, Format::GraphQl | Format::Events) => StatusCode::BAD_REQUEST,
        (ResponseStatus::Rejected | ResponseStatus::Executed, _) => StatusCode::OK,
    };
    let content_type = match format {
        Format::GraphQl | Format::Events => "application/graphql-response+json; charset=utf-8",
        Format::Json | Format::Html => "application/json; charset=utf-8",
    };
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::VARY, HeaderValue::from_static("accept")),
    ];
    (status, headers, body).into_response()
}

pub(super) fn not_acceptable() -> Problem {
    Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable")
        .detail("send the header accept: application/graphql-response+json or application/json")
}

pub(super) fn unsupported_media_type() -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type")
        .detail("send the header content-type: application/json, with a body in UTF-8")
}

pub(super) fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed")
        .detail("GET executes queries only; send this operation with POST")
        .header(header::ALLOW, HeaderValue::from_static("POST"))
}
