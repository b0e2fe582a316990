//! Heads of responses that are malformed in ways with one likely meaning, for origins that the operator
//! names: old radio servers, embedded devices. Nobody else's are repaired.
//!
//! What is repaired: lines that end in a bare LF, empty lines in front of the status line, `ICY` in place
//! of `HTTP/1.0`, folded field lines (RFC 9112 §5.2), and the chunked coding in an HTTP/1.0 message. The
//! repaired head is then judged like any other: lengths that contradict each other, control characters,
//! names that are not tokens and a response without a head (HTTP/0.9) stay refused.
//!
//! Invariant: a connection is not used again behind a head that was repaired.

use bytes::Bytes;

use super::head::parse_response;
use super::scan::{HeadScanner, HeadSpan};
use super::{HeadError, HeadLimits, Method, Response, Version};

/// How strictly an origin's heads are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    #[default]
    Strict,
    Lenient,
}

/// As [`parse_response`], after repairs.
pub(super) fn parse_lenient_response(
    head: &Bytes,
    span: HeadSpan,
    method: &Method,
) -> Result<Response, HeadError> {
    let received = head.slice(span.start..);
    let mut repaired = repaired(&received);
    let is_repaired = span.start > 0 || repaired[..] != received[..];
    let was_1_0 = repaired.starts_with(b"HTTP/1.0 ");
    let mut response = parse(&repaired, method);
    let is_chunked_1_0 = was_1_0 && matches!(response, Err(HeadError::TransferEncodingInHttp10));
    if is_chunked_1_0 {
        repaired.splice(..8, *b"HTTP/1.1");
        response = parse(&repaired, method);
    }
    let mut response = response?;
    response.head_bytes = span.end as u64;
    if is_chunked_1_0 {
        response.version = Version::Http10;
    }
    response.keep_alive &= !is_repaired && !is_chunked_1_0;
    Ok(response)
}

fn parse(head: &[u8], method: &Method) -> Result<Response, HeadError> {
    // The limits were applied to what was received.
    let limits = HeadLimits { head: usize::MAX, line: usize::MAX, uri: 0, fields: usize::MAX };
    let span = HeadScanner::response().scan(head, &limits)?.ok_or(HeadError::StatusLine)?;
    parse_response(&Bytes::copy_from_slice(head), span, method)
}

/// The lines of a head, each with the end that it should have.
fn repaired(head: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len() + 64);
    for (number, line) in head.split(|&octet| octet == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line {
            // The empty line ends the head.
            [] => break,
            [b'I', b'C', b'Y', b' ', rest @ ..] if number == 0 => {
                out.extend_from_slice(b"HTTP/1.0 ");
                out.extend_from_slice(rest);
            }
            // RFC 9112 §5.2: "replace each received obs-fold with one or more SP octets".
            [b' ' | b'\t', ..] if number > 1 => {
                out.truncate(out.len() - 2);
                out.push(b' ');
                out.extend_from_slice(line.trim_ascii_start());
            }
            _ => out.extend_from_slice(line),
        }
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::BodyLength;

    fn read(text: &str) -> Result<Response, HeadError> {
        let octets = Bytes::copy_from_slice(text.as_bytes());
        let limits = HeadLimits::of_responses();
        let span = HeadScanner::lenient_response().scan(&octets, &limits)?.expect("a whole head");
        parse_lenient_response(&octets, span, &Method::Get)
    }

    #[test]
    fn what_has_one_likely_meaning_is_repaired() {
        // The head, its length, and whether the connection may be used again.
        let cases: &[(&str, BodyLength, bool)] = &[
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", BodyLength::Exact(5), true),
            ("HTTP/1.1 200 OK\nContent-Length: 5\n\n", BodyLength::Exact(5), false),
            ("HTTP/1.1 200 OK\r\nA: b\nContent-Length: 5\r\n\n", BodyLength::Exact(5), false),
            ("\r\n\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", BodyLength::Exact(5), false),
            ("ICY 200 OK\r\nicy-name: x\r\n\r\n", BodyLength::UntilClose, false),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", BodyLength::Chunked, false),
            ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 5\r\n\r\n", BodyLength::Exact(5), false),
        ];
        for (text, length, keep_alive) in cases {
            let response = read(text).expect(text);
            assert_eq!((response.status, response.length, response.keep_alive), (200, *length, *keep_alive));
            assert_eq!(response.head_bytes, text.len() as u64, "{text:?}");
        }
        let folded = read("HTTP/1.1 200 OK\nA: b\n\t c\n\n").expect("a head");
        assert_eq!(folded.fields.all_named(b"a").next(), Some(&b"b c"[..]));
    }

    #[test]
    fn what_has_none_stays_refused() {
        for text in [
            "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 6\n\n",
            "HTTP/1.1 200 OK\nA: b\rC: d\n\n",
            "HTTP/1.1 200 OK\nA b: c\n\n",
            "HTTP/1.1 200 OK\n folded: first\n\n",
            "HTTP/1.1 200 OK\nTransfer-Encoding: gzip\n\n",
            "HTTP/0.9 200 OK\n\n",
            "<html>hello\n\n",
            "ICY OK\n\n",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
