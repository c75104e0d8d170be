//! The payload of `connection_init`. Browsers cannot set headers on a WebSocket, so the payload contains those that a
//! request would have: `{"Authorization": "Bearer …", "Consistency-Token": "events:3:17"}`.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use millrace_domain::consistency::HEADER as CONSISTENCY_TOKEN;
use serde_json::Value;

/// The headers in a payload, by case-insensitive name. `None` if the payload is not an object or a header is not text.
pub(super) fn headers_of(payload: Option<&Value>) -> Option<HeaderMap> {
    // All other members are ignored.
    let supported = [
        header::AUTHORIZATION,
        HeaderName::from_static(CONSISTENCY_TOKEN),
        HeaderName::from_static("consistency"),
    ];
    let mut headers = HeaderMap::new();
    let members = match payload {
        None | Some(Value::Null) => return Some(headers),
        Some(payload) => payload.as_object()?,
    };
    for (name, value) in members {
        let Some(name) = supported.iter().find(|header| name.eq_ignore_ascii_case(header.as_str())) else {
            continue;
        };
        let value = HeaderValue::from_str(value.as_str()?).ok()?;
        headers.insert(name.clone(), value);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn supported_headers_are_read_and_other_members_ignored() {
        let payload =
            json!({"AUTHORIZATION": "Bearer x", "Consistency-Token": "a:0:1", "locale": 5, "Cookie": "c"});
        let headers = headers_of(Some(&payload)).unwrap();
        assert_eq!(headers.len(), 2);
        assert_eq!(headers[header::AUTHORIZATION], "Bearer x");
        assert_eq!(headers[CONSISTENCY_TOKEN], "a:0:1");
        assert!(headers_of(None).unwrap().is_empty());
        assert!(headers_of(Some(&Value::Null)).unwrap().is_empty());
        for wrong in [json!([]), json!("x"), json!({"authorization": 1}), json!({"consistency": "a\nb"})] {
            assert!(headers_of(Some(&wrong)).is_none(), "{wrong}");
        }
    }
}
