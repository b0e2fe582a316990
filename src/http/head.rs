//! From octets to checked heads (RFC 9112 §2–§6).
//!
//! [`super::scan`] finds where a head ends; [`parse_request`] and [`parse_response`] judge it. What
//! they accept has one reading; repairs are made only on responses and only where RFC 9112 tells
//! a proxy to.

use bytes::Bytes;

use super::framing::{request_length, response_length};
use super::grammar::{is_tchar, is_token};
use super::scan::{HeadError, HeadLimits, HeadSpan};
use super::userinfo;
use super::{Authority, ConnectionOptions, FieldName, Fields, Method, Request, Response, Target, Version};

/// A method longer than this is no method that anybody implements. Arbitrary.
const METHOD_LENGTH_MAX: usize = 64;

/// Parses a request head that [`super::scan`] found; `head` is exactly the octets of its span.
pub fn parse_request(head: &Bytes, span: HeadSpan, limits: &HeadLimits) -> Result<Request, HeadError> {
    let head = head.slice(span.start..);
    let line_end = span.first_line_end - span.start;
    let line = RequestLine::parse(head.get(..line_end).unwrap_or_default(), limits)?;
    let method = Method::of(head.slice_ref(line.method));
    let (raw_target, credentials) = match method {
        Method::Connect => (head.slice_ref(line.target), None),
        _ => userinfo::split(&head.slice_ref(line.target))?,
    };
    let target = match method {
        Method::Connect => Target::parse_connect(&raw_target)?,
        _ => Target::parse(&raw_target, &method)?,
    };
    if target == Target::Asterisk && method != Method::Options {
        return Err(HeadError::TargetForm);
    }
    let mut fields = parse_fields(&head, line_end + 2, span.fields)?;
    if let Some(value) = credentials
        && !fields.contains(FieldName::Authorization)
    {
        fields = fields.without(|_| false).add(FieldName::Authorization, value).build();
    }
    check_host(&fields, line.version, &raw_target)?;
    check_expectation(&fields)?;
    check_connection(&fields)?;
    let length = request_length(&method, line.version, &fields)?;
    Ok(Request { method, target, version: line.version, fields, length, head_bytes: span.end as u64 })
}

/// A request line cut into its parts (RFC 9112 §3).
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a [u8],
    version: Version,
}

impl<'a> RequestLine<'a> {
    /// Cuts and checks a request line without its CRLF.
    pub fn parse(line: &'a [u8], limits: &HeadLimits) -> Result<RequestLine<'a>, HeadError> {
        let mut parts = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HeadError::RequestLine);
        };
        if !is_token(method) || target.is_empty() {
            return Err(HeadError::RequestLine);
        }
        if method.len() > METHOD_LENGTH_MAX {
            return Err(HeadError::Method);
        }
        if target.len() > limits.uri {
            return Err(HeadError::UriTooLong);
        }
        Ok(RequestLine {
            method,
            target,
            version: parse_version(version).map_err(|bad| bad.unwrap_or(HeadError::RequestLine))?,
        })
    }
}

/// Refuses what can't become a request, by its first octet.
pub fn check_start(buffer: &[u8]) -> Result<(), HeadError> {
    match buffer.first() {
        // The record type of a TLS handshake (RFC 8446 §5.1).
        Some(0x16) => Err(HeadError::Tls),
        Some(&byte) if !is_tchar(byte) && byte != b'\r' && byte != b'\n' => Err(HeadError::NotHttp),
        _ => Ok(()),
    }
}

/// Parses a response head to a request with this method.
pub fn parse_response(head: &Bytes, span: HeadSpan, method: &Method) -> Result<Response, HeadError> {
    let line = head.get(..span.first_line_end).unwrap_or_default();
    let (version, rest) = line.split_at_checked(8).ok_or(HeadError::StatusLine)?;
    let version = parse_version(version).map_err(|bad| bad.unwrap_or(HeadError::StatusLine))?;
    let (status, reason) = match rest {
        // RFC 9112 §4 wants the space behind the status code even when no reason follows;
        // several servers leave it out, and nothing can be misread from that.
        [b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', reason @ ..]
            if reason.is_empty() || reason.starts_with(b" ") =>
        {
            let digit = |byte: &u8| u16::from(byte - b'0');
            (digit(a) * 100 + digit(b) * 10 + digit(c), reason.get(1..).unwrap_or_default())
        }
        _ => return Err(HeadError::StatusLine),
    };
    if reason.iter().any(|&byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
        return Err(HeadError::StatusLine);
    }
    let fields = parse_response_fields(head, span)?;
    check_connection(&fields)?;
    let framing = response_length(method, status, version, &fields)?;
    let options = ConnectionOptions::of(&fields);
    let keep_alive =
        framing.may_persist && !options.close() && (version == Version::Http11 || options.keep_alive());
    Ok(Response {
        head_bytes: span.end as u64,
        status,
        reason: head.slice_ref(reason),
        version,
        fields,
        length: framing.length,
        keep_alive,
    })
}

/// Parses a trailer section that a scanner of trailers found.
pub(super) fn parse_trailers(section: &Bytes, fields: usize) -> Result<Fields, HeadError> {
    parse_fields(section, 0, fields)
}

/// `Err(Some(_))` for a version of HTTP that is not 1.x, `Err(None)` for no version at all.
fn parse_version(text: &[u8]) -> Result<Version, Option<HeadError>> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        // RFC 9110 §2.5: a higher minor version is read as the highest one known.
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => Ok(Version::Http11),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Some(HeadError::Version)),
        _ => Err(None),
    }
}

fn parse_fields(head: &Bytes, from: usize, lines: usize) -> Result<Fields, HeadError> {
    let text = head.get(from..).unwrap_or_default();
    let mut few = [httparse::EMPTY_HEADER; 24];
    let mut many;
    // Most heads are small, and need no memory of their own for this.
    let room: &mut [httparse::Header<'_>] = if lines <= few.len() {
        &mut few
    } else {
        many = vec![httparse::EMPTY_HEADER; lines];
        &mut many
    };
    match httparse::parse_headers(text, room) {
        Ok(httparse::Status::Complete((_, parsed))) => Ok(to_fields(head, parsed)),
        _ => Err(HeadError::Field),
    }
}

/// RFC 9112 §5.1: "A proxy MUST remove any such whitespace [between name and colon] from a
/// response message before forwarding".
fn parse_response_fields(head: &Bytes, span: HeadSpan) -> Result<Fields, HeadError> {
    if let Ok(fields) = parse_fields(head, span.first_line_end + 2, span.fields) {
        return Ok(fields);
    }
    let mut room = vec![httparse::EMPTY_HEADER; span.fields];
    let mut response = httparse::Response::new(&mut room);
    // A status line of our own, because the one at hand may have a version httparse refuses.
    let text = [b"HTTP/1.1 200 OK\r\n", head.get(span.first_line_end + 2..).unwrap_or_default()].concat();
    let mut config = httparse::ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true);
    match config.parse_response(&mut response, &text) {
        Ok(httparse::Status::Complete(_)) => {
            Ok(response.headers.iter().map(|field| (field.name.as_bytes(), field.value)).collect())
        }
        _ => Err(HeadError::Field),
    }
}

fn to_fields(head: &Bytes, parsed: &[httparse::Header<'_>]) -> Fields {
    let base = head.as_ptr() as usize;
    let mut fields = Fields::with_capacity(head.clone(), parsed.len());
    for field in parsed {
        let name = field.name.as_ptr() as usize - base;
        // httparse leaves whitespace at the end of a value in place.
        let value = super::grammar::trim(field.value);
        // An empty value may point anywhere.
        let at = if value.is_empty() { 0 } else { value.as_ptr() as usize - base };
        fields.push_range(name..name + field.name.len(), at..at + value.len());
    }
    fields
}

/// RFC 9112 §3.2: 400 for a request without Host (from HTTP/1.1 on), with several, or with one
/// that is no host. Its value is not used: the target URI says where a request goes.
fn check_host(fields: &Fields, version: Version, target: &[u8]) -> Result<(), HeadError> {
    let mut values = fields.all(FieldName::Host);
    match (values.next(), values.next()) {
        (None, _) if version == Version::Http10 => Ok(()),
        // RFC 9112 §3.2.2: with an absolute-form "the proxy MUST ignore the received Host header field
        // (if any)"; an empty one is well-formed (RFC 3986 §3.2.2). The origin-form needs it.
        (Some(b""), None) if !target.starts_with(b"/") => Ok(()),
        // What it is for every honest client: the authority that was parsed already.
        (Some(value), None) if is_authority_of(target, value) => Ok(()),
        (Some(value), None) => Authority::parse(&Bytes::copy_from_slice(value), Some(80))
            .map(drop)
            .map_err(|_malformed| HeadError::Host),
        _ => Err(HeadError::Host),
    }
}

/// Whether `host` is, to the octet, the authority of an `http` URI.
fn is_authority_of(uri: &[u8], host: &[u8]) -> bool {
    let rest = uri.strip_prefix(b"http://").and_then(|rest| rest.strip_prefix(host));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'?')))
}

/// Each field is compared with each connection option: their product must stay small.
fn check_connection(fields: &Fields) -> Result<(), HeadError> {
    const OPTIONS_MAX: usize = 32;
    let options = fields.members(FieldName::Connection).take(OPTIONS_MAX + 1).count();
    if options > OPTIONS_MAX { Err(HeadError::TooManyFields) } else { Ok(()) }
}

/// RFC 9110 §10.1.1: an expectation that is not understood may be answered with 417; forwarding
/// it would promise what nobody keeps.
fn check_expectation(fields: &Fields) -> Result<(), HeadError> {
    let all_known =
        fields.members(FieldName::Expect).all(|member| member.eq_ignore_ascii_case(b"100-continue"));
    if all_known { Ok(()) } else { Err(HeadError::Expectation) }
}
