//! Checks on the bytes of a payload before any format reads them: size, UTF-8, nesting, and that it is an object.

use serde::de::IgnoredAny;

use super::error::{DecodeError, JSON_DEPTH_MAX};
use crate::record::PAYLOAD_BYTES_MAX;

/// The payload as text, within the limits.
pub(super) fn text(payload: Option<&[u8]>) -> Result<&str, DecodeError> {
    let payload = payload.unwrap_or_default();
    if payload.is_empty() {
        return Err(DecodeError::EmptyPayload);
    }
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(DecodeError::TooLarge(payload.len()));
    }
    let text = std::str::from_utf8(payload).map_err(DecodeError::InvalidUtf8)?;
    if is_too_deep(payload) { Err(DecodeError::TooDeep) } else { Ok(text) }
}

/// Whether JSON is nested deeper than [`JSON_DEPTH_MAX`].
fn is_too_deep(json: &[u8]) -> bool {
    // serde_json's own limit does not apply to fields that are skipped, so the nesting is checked here.
    // Most payloads end with this count. It runs over chunks of bytes, so that the compiler can vectorise it.
    let openings = |chunk: &[u8]| chunk.iter().map(|c| u8::from(matches!(c, b'{' | b'['))).sum::<u8>();
    let opening: usize = json.chunks(128).map(|chunk| usize::from(openings(chunk))).sum();
    if opening <= JSON_DEPTH_MAX {
        return false;
    }
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest > JSON_DEPTH_MAX
}

/// Refuses JSON that is valid but not an object.
pub(super) fn check_object(text: &str) -> Result<(), DecodeError> {
    if text.trim_start().starts_with('{') {
        return Ok(());
    }
    serde_json::from_str::<IgnoredAny>(text).map_err(DecodeError::InvalidJson)?;
    Err(DecodeError::UnrecognisedShape)
}
