//! Lines of a message, appended to a buffer.

use std::io::Write as _;

use super::super::{FieldName, Fields, is_forbidden_trailer, reason_phrase};

/// Appends `HTTP/1.1 status reason CRLF`. An empty reason becomes the registered phrase.
pub fn status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(status));
    out.push(b' ');
    let phrase = if reason.is_empty() { reason_phrase(status).as_bytes() } else { reason };
    out.extend_from_slice(phrase);
    out.extend_from_slice(b"\r\n");
}

/// Appends one field line.
pub fn field_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends one field line with a listed name.
pub fn field(out: &mut Vec<u8>, name: FieldName, value: impl AsRef<[u8]>) {
    field_line(out, name.as_str().as_bytes(), value.as_ref());
}

/// Appends one field line whose value is a number.
pub fn number_field(out: &mut Vec<u8>, name: FieldName, value: u64) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    decimal(out, value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal.
pub fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// Appends the line in front of a chunk.
pub fn chunk_size_line(out: &mut Vec<u8>, size: u64) {
    // Writing to a Vec does not fail.
    let _infallible = write!(out, "{size:x}\r\n");
}

/// Appends what ends a chunked body: the last chunk, and those trailer fields that may be
/// forwarded (RFC 9110 §6.5.1).
pub fn last_chunk(out: &mut Vec<u8>, trailers: &Fields) {
    out.extend_from_slice(b"0\r\n");
    for field in trailers.iter().filter(|field| !is_forbidden_trailer(field)) {
        field_line(out, field.name, field.value);
    }
    out.extend_from_slice(b"\r\n");
}
