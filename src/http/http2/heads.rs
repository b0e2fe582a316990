//! From heads that were written as HTTP/1 to the fields of HTTP/2 (RFC 9113 §8.2).
//!
//! One head is rendered for both versions: what only HTTP/1 has is left out here.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::super::{FieldName, Fields, NeverIndexed, is_forbidden_trailer};

/// A head that Larder has written: its first line, and its fields.
#[derive(Clone, Copy, Debug)]
pub struct Rendered<'a> {
    pub first_line: &'a [u8],
    lines: &'a [u8],
}

impl<'a> Rendered<'a> {
    /// Takes a head apart; it ends with its empty line.
    pub fn of(head: &'a [u8]) -> Rendered<'a> {
        let end = memchr::memmem::find(head, b"\r\n").unwrap_or(head.len());
        let (first_line, lines) = head.split_at(end);
        Rendered { first_line, lines }
    }

    /// The field lines, as names and values.
    pub fn lines(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest = self.lines;
        let line = move || {
            let at = memchr::memmem::find(rest, b"\r\n")?;
            let (line, behind) = rest.split_at(at);
            rest = behind.get(2..).unwrap_or_default();
            Some(line)
        };
        std::iter::from_fn(line).filter_map(|line| {
            let (name, value) = line.split_at(memchr::memchr(b':', line)?);
            Some((name, value.get(1..).unwrap_or_default().trim_ascii()))
        })
    }

    /// The field lines that HTTP/2 has, too; those of `never_indexed` go into no table.
    pub fn fields(&self, never_indexed: &NeverIndexed) -> HeaderMap {
        let mut fields = HeaderMap::new();
        self.lines().for_each(|(name, value)| push(&mut fields, name, value, never_indexed));
        fields
    }
}

/// RFC 9113 §8.2.2: "An endpoint MUST NOT generate an HTTP/2 message containing connection-specific
/// header fields." A value that HTTP/2 can't carry is left out.
fn push(fields: &mut HeaderMap, name: &[u8], value: &[u8], never_indexed: &NeverIndexed) {
    if FieldName::of(name).is_connection_specific() {
        return;
    }
    let is_never_indexed = never_indexed.has(name);
    if let (Ok(name), Ok(mut value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
        value.set_sensitive(is_never_indexed);
        // More than a map can hold is more than any head may have.
        let _bounded = fields.try_append(name, value);
    }
}

/// The response that this head is. A switch of protocols is an open tunnel here (RFC 8441 §5).
pub fn response_of(head: &[u8], never_indexed: &NeverIndexed) -> Response<()> {
    let rendered = Rendered::of(head);
    let status = rendered.first_line.get(9..12).and_then(|digits| StatusCode::from_bytes(digits).ok());
    let mut status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut fields = rendered.fields(never_indexed);
    if status == StatusCode::SWITCHING_PROTOCOLS {
        status = StatusCode::OK;
        fields.remove("sec-websocket-accept");
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    response
}

/// The trailer fields that may be forwarded; `None` where there are none.
pub fn trailers_of(trailers: &Fields) -> Option<HeaderMap> {
    let mut fields = HeaderMap::new();
    for line in trailers.iter().filter(|line| !is_forbidden_trailer(line)) {
        push(&mut fields, line.name, line.value, trailers.never_indexed());
    }
    (!fields.is_empty()).then_some(fields)
}

/// Fields as they came in a trailer section.
pub fn fields_of(mut fields: HeaderMap) -> Fields {
    let never_indexed = NeverIndexed::take(&mut fields);
    let mut out: Fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    out.mark_never_indexed(never_indexed);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_connection_is_left_out() {
        let head = b"HTTP/1.1 200 OK\r\nVia: 1.1 a\r\nConnection: close\r\nETag: \"x\"\r\n\
                     Transfer-Encoding: chunked\r\nVia: 1.1 b\r\n\r\n";
        let response = response_of(head, &NeverIndexed::default());
        assert_eq!(response.status(), 200);
        let names: Vec<_> = response.headers().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["via", "via", "etag"]);
    }

    #[test]
    fn a_switch_is_a_tunnel() {
        let head =
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";
        let response = response_of(head, &NeverIndexed::default());
        assert_eq!((response.status().as_u16(), response.headers().len()), (200, 0));
    }
}
