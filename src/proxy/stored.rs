//! Answering out of a stored response: whole, 304, 206, 416 (RFC 9111 §4.3.2, RFC 9110 §14).

use bytes::Bytes;

use super::render::{Framing, Tail, stored_fields};
use super::sender::More;
use super::{Exchange, Interrupted, Next};
use crate::caching::{Answer, ByteRange, Outcome, answer};
use crate::http::write::{field, field_line, status_line};
use crate::http::{FieldName, Fields, Method};
use crate::store::Object;

/// Sends what of `object` answers `request`.
pub(super) async fn deliver(
    exchange: &mut Exchange<'_>,
    object: &Object,
    age: u64,
    outcome: Outcome,
) -> Result<Next, Interrupted> {
    let shared = &exchange.proxy.shared;
    let length = object.content.length();
    let mut head = std::mem::take(&mut exchange.client.scratch);
    head.clear();
    let mut pieces = Vec::new();
    let (status, framing) = match answer(exchange.request, &object.head, length) {
        Answer::Whole => {
            head.extend_from_slice(&object.rendered);
            pieces.extend_from_slice(object.content.pieces());
            let has_length = !matches!(object.head.status, 204 | 304);
            (object.head.status, if has_length { Framing::Length(length) } else { Framing::Empty })
        }
        Answer::NotModified => {
            not_modified(&mut head, &object.head.fields);
            super::render::via(&mut head, crate::http::Version::Http11, shared);
            (304, Framing::Empty)
        }
        Answer::Range(range) => {
            status_line(&mut head, 206, b"");
            stored_fields(&mut head, shared, &object.head.fields, &[FieldName::ContentRange]);
            field(&mut head, FieldName::ContentRange, content_range(range, length));
            pieces = object.content.range(range.first, range.last);
            (206, Framing::Length(range.length()))
        }
        Answer::MultiRange(ranges) => {
            let boundary = format!("larder-{:016x}", exchange.record.id());
            pieces = multipart(object, &ranges, &boundary);
            status_line(&mut head, 206, b"");
            let drop = [FieldName::ContentRange, FieldName::ContentType];
            stored_fields(&mut head, shared, &object.head.fields, &drop);
            field(&mut head, FieldName::ContentType, format!("multipart/byteranges; boundary={boundary}"));
            (206, Framing::Length(pieces.iter().map(|piece| piece.len() as u64).sum()))
        }
        Answer::RangeNotSatisfiable => {
            status_line(&mut head, 416, b"");
            field(&mut head, FieldName::ContentRange, format!("bytes */{length}"));
            field(&mut head, FieldName::Date, shared.clock.now().to_http_date());
            super::render::via(&mut head, crate::http::Version::Http11, shared);
            (416, Framing::Length(0))
        }
    };
    if exchange.request.method == Method::Head {
        pieces.clear();
    }
    let keep_open = exchange.client.keeps_open(exchange.request);
    Tail { framing, age: Some(age), outcome: &outcome, keep_open }.write(&mut head);
    exchange.record.responds(status, outcome, object.head.fields.first(FieldName::ContentType));
    let sent = exchange.sender(&mut head, framing).send(&mut pieces, More::No, &Fields::default()).await;
    exchange.client.scratch = head;
    sent.map(|()| if keep_open { Next::KeepOpen } else { Next::Close })
}

/// RFC 9110 §15.4.5: the fields that a 304 must or should carry, and no description of content.
pub(super) fn not_modified(out: &mut Vec<u8>, fields: &Fields) {
    status_line(out, 304, b"");
    for line in fields.iter() {
        let describes_content = matches!(
            line.id,
            FieldName::ContentLength
                | FieldName::ContentEncoding
                | FieldName::ContentType
                | FieldName::ContentRange
                | FieldName::AcceptRanges
        );
        if !describes_content {
            field_line(out, line.name, line.value);
        }
    }
}

fn content_range(range: ByteRange, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.first, range.last)
}

/// RFC 9110 §14.6: each part with its type and its place.
fn multipart(object: &Object, ranges: &[ByteRange], boundary: &str) -> Vec<Bytes> {
    let mut out = Vec::new();
    let content_type = object.head.fields.first(FieldName::ContentType);
    for &range in ranges {
        let mut part = format!("\r\n--{boundary}\r\n").into_bytes();
        if let Some(content_type) = content_type {
            field(&mut part, FieldName::ContentType, content_type);
        }
        field(&mut part, FieldName::ContentRange, content_range(range, object.content.length()));
        part.extend_from_slice(b"\r\n");
        out.push(part.into());
        out.extend(object.content.range(range.first, range.last));
    }
    out.push(format!("\r\n--{boundary}--\r\n").into());
    out
}
