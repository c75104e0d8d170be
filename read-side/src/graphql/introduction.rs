//! What a client says of itself on a WebSocket. A browser sends no headers with one, so the payload of `connection_init`
//! holds those that a request would have: `{"Authorization": "Bearer …", "Consistency-Token": "events:3:17"}`.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use millrace_domain::consistency::HEADER as CONSISTENCY_TOKEN;
use serde_json::Value;

/// The headers in a payload, whatever the case of their names. `None` when it is neither an object nor nothing, or a
/// header in it is no text.
pub(super) fn headers_of(payload: Option<&Value>) -> Option<HeaderMap> {
    // A client may say more; nothing else is of any use here.
    let read = [
        header::AUTHORIZATION,
        HeaderName::from_static(CONSISTENCY_TOKEN),
        HeaderName::from_static("consistency"),
    ];
    let mut headers = HeaderMap::new();
    let said = match payload {
        None | Some(Value::Null) => return Some(headers),
        Some(payload) => payload.as_object()?,
    };
    for (name, value) in said {
        let Some(name) = read.iter().find(|read| name.eq_ignore_ascii_case(read.as_str())) else { continue };
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
    fn headers_are_read_and_what_else_is_said_is_not() {
        let said =
            json!({"AUTHORIZATION": "Bearer x", "Consistency-Token": "a:0:1", "locale": 5, "Cookie": "c"});
        let headers = headers_of(Some(&said)).unwrap();
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
