//! Negotiation of the media type of a response, by the header Accept (RFC 9110, section 12.5.1).

use axum::http::{HeaderMap, header};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `application/json`: the status is 200 even if the document was rejected, as older clients expect.
    Json,
    /// `application/graphql-response+json`: the status shows whether the document was executed.
    GraphQl,
    /// `text/event-stream`: one event for each response.
    Events,
    /// `text/html`: the editor.
    Html,
}

impl Format {
    fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Self::Json => ("application", "json"),
            Self::GraphQl => ("application", "graphql-response+json"),
            Self::Events => ("text", "event-stream"),
            Self::Html => ("text", "html"),
        }
    }

    /// The offered format with the highest quality; among equals the one that the client lists first, then the one that
    /// is offered first. `None` if the client accepts none of them. Without the header, the first offered.
    pub(super) fn negotiate(headers: &HeaderMap, offered: &[Self]) -> Option<Self> {
        if !headers.contains_key(header::ACCEPT) {
            return offered.first().copied();
        }
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<_> = values.flat_map(|text| text.split(',')).filter_map(Range::parse).collect();
        let accepted = offered.iter().filter_map(|format| {
            let (position, range) = most_specific(&ranges, *format)?;
            (range.quality > 0).then_some((*format, range.quality, position))
        });
        // `min_by_key` returns the first of equals.
        let best = accepted.min_by_key(|(_, quality, position)| (std::cmp::Reverse(*quality), *position));
        best.map(|(format, _, _)| format)
    }
}

/// The most specific range that covers the format, and its position.
fn most_specific<'a, 'b>(ranges: &'a [Range<'b>], format: Format) -> Option<(usize, &'a Range<'b>)> {
    let (kind, subtype) = format.media_type();
    let matching = ranges.iter().enumerate().filter(|(_, range)| range.covers(kind, subtype));
    matching.min_by_key(|(_, range)| (range.kind == "*", range.subtype == "*"))
}

/// One entry of the header.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// Thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    /// `None` for an invalid range, or a charset other than UTF-8.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut quality = 1_000;
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            if name.eq_ignore_ascii_case("q") {
                quality = thousandths(value.trim())?;
            } else if name.eq_ignore_ascii_case("charset") && !is_utf8(value) {
                return None;
            }
        }
        Some(Self { kind, subtype, quality })
    }

    fn covers(&self, kind: &str, subtype: &str) -> bool {
        let fits = |range: &str, name: &str| range == "*" || range.eq_ignore_ascii_case(name);
        fits(self.kind, kind) && fits(self.subtype, subtype)
    }
}

/// Parses `0`, `1`, `0.5`, `0.123`: at most three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match (whole, decimals) {
        ("0", decimals) => Some(decimals),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

/// Whether the content type is JSON in UTF-8, which is the default.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(text) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    let mut parameters = parts.filter_map(|parameter| parameter.split_once('='));
    is_json && parameters.all(|(name, value)| !name.eq_ignore_ascii_case("charset") || is_utf8(value))
}

fn is_utf8(charset: &str) -> bool {
    let charset = charset.trim().trim_matches('"');
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn negotiate(accept: &'static str) -> Option<Format> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        Format::negotiate(&headers, &[Format::Json, Format::GraphQl])
    }

    #[test]
    fn the_header_accept_selects_the_format() {
        for (accept, format) in [
            ("application/graphql-response+json", Some(Format::GraphQl)),
            ("Application/GraphQL-Response+JSON; charset=\"UTF-8\"", Some(Format::GraphQl)),
            ("application/graphql-response+json, application/json", Some(Format::GraphQl)),
            ("application/json, application/graphql-response+json", Some(Format::Json)),
            ("application/json;q=0.9, application/graphql-response+json", Some(Format::GraphQl)),
            ("application/graphql-response+json;q=0.5, application/json;q=0.501", Some(Format::Json)),
            ("application/json", Some(Format::Json)),
            ("*/*", Some(Format::Json)),
            ("application/*", Some(Format::Json)),
            ("*/*;q=0.1, application/graphql-response+json;q=0.2", Some(Format::GraphQl)),
            ("application/json;q=0, */*", Some(Format::GraphQl)),
            ("application/json;q=0, application/graphql-response+json;q=0.0", None),
            ("application/json; charset=utf-16", None),
            ("text/html", None),
            ("image/*", None),
            ("application/json;q=2", None),
            ("application/json;q=0.1234", None),
            ("nonsense", None),
            ("", None),
        ] {
            assert_eq!(negotiate(accept), format, "{accept}");
        }
        assert_eq!(Format::negotiate(&HeaderMap::new(), &[Format::Json]), Some(Format::Json));
    }

    #[test]
    fn bodies_are_json_in_utf_8() {
        for (content_type, expected) in [
            ("application/json", true),
            ("APPLICATION/JSON ; Charset=UTF-8", true),
            ("application/json; charset=\"utf-8\"", true),
            ("application/json; charset=utf-16", false),
            ("application/json; charset=latin1", false),
            ("application/jsonp", false),
            ("text/plain", false),
            ("multipart/form-data; boundary=x", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            assert_eq!(is_json(&headers), expected, "{content_type}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
