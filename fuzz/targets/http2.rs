//! The fields of an HTTP/2 request as a request. What is accepted reads in one way alone once it is
//! written as HTTP/1, and that is the way in which it was meant (RFC 9113 §8).

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Uri, header};
use larder::http::grammar::is_token;
use larder::http::{
    Authority, BodyLength, FieldName, Fields, HeadLimits, Method, Reader, Request, Target, request_of,
};

use super::http::{Pieces, at_once};
use super::input::{Input, is_value, seed};

/// Fields that the `h2` crate has refused before anybody asks what they mean.
const REFUSED: [&str; 5] = ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"];

/// Lines: method, scheme, authority, path (each may be empty), then fields `name: value`.
pub fn request(data: &[u8]) {
    let mut input = Input(data);
    let is_whole = input.number::<1>().is_multiple_of(2);
    let Some(asked) = parts_of(input.rest()) else { return };
    let limits = HeadLimits::default();
    let Ok(request) = request_of(asked.clone(), is_whole, &limits, [7; 16]) else { return };
    let again = request_of(asked.clone(), is_whole, &limits, [7; 16]);
    assert_eq!(format!("{again:?}"), format!("{:?}", Ok::<_, larder::http::Malformed>(&request)));
    check_authority(&asked, &request);
    check_fields(&asked, &request.fields);
    check_length(&request, is_whole);
    check_as_http1(&request);
}

fn parts_of(text: &[u8]) -> Option<http::request::Parts> {
    let mut lines = text.split(|octet| *octet == b'\n');
    let mut uri = Uri::builder();
    let method = lines.next()?;
    let (scheme, authority, path) = (lines.next()?, lines.next()?, lines.next()?);
    if !scheme.is_empty() {
        uri = uri.scheme(scheme);
    }
    if !authority.is_empty() {
        uri = uri.authority(authority);
    }
    if !path.is_empty() {
        uri = uri.path_and_query(path);
    }
    let mut asked = http::Request::builder().method(method).uri(uri.build().ok()?);
    for line in lines {
        let (name, value) = line.split_at(line.iter().position(|octet| *octet == b':')?);
        let name = HeaderName::from_lowercase(name).ok()?;
        if REFUSED.contains(&name.as_str()) {
            return None;
        }
        asked = asked.header(name, HeaderValue::from_bytes(&value[1..]).ok()?);
    }
    Some(asked.body(()).ok()?.into_parts().0)
}

/// RFC 9113 §8.3.1: where both are there, `Host` and `:authority` are the same entity.
fn check_authority(asked: &http::request::Parts, request: &Request) {
    let (target, default_port) = match &request.target {
        Target::Absolute(uri) => (&uri.authority, Some(uri.scheme.default_port())),
        Target::Authority(authority) => (authority, None),
        other => panic!("a target without an authority: {other:?}"),
    };
    let hosts: Vec<_> = asked.headers.get_all(header::HOST).iter().collect();
    assert!(hosts.len() <= 1, "two of Host");
    let named = asked.uri.authority().map(|authority| authority.as_str().as_bytes());
    for text in named.into_iter().chain(hosts.iter().map(|host| host.as_bytes())) {
        let authority = Authority::parse(&Bytes::copy_from_slice(text), default_port);
        assert_eq!(authority.as_ref(), Ok(target), "another authority than was asked for");
    }
}

/// Nothing is lost, and nothing that HTTP/1 could read otherwise passes.
fn check_fields(asked: &http::request::Parts, fields: &Fields) {
    for field in fields.iter() {
        assert!(is_token(field.name) && is_value(field.value), "{field:?} is no field of HTTP/1");
    }
    for (name, value) in asked.headers.iter().filter(|(name, _)| **name != header::COOKIE) {
        let is_there =
            |field: larder::http::Field<'_>| field.name == name.as_str().as_bytes() && field.value == value;
        assert!(fields.iter().any(is_there), "{name} is lost");
    }
    let crumbs: Vec<&[u8]> =
        asked.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // RFC 9113 §8.2.3: one field line, whose parts keep their order.
    let cookies: Vec<&[u8]> = fields.all(FieldName::Cookie).collect();
    let joined = crumbs.join(&b"; "[..]);
    assert_eq!(cookies, if crumbs.is_empty() { vec![] } else { vec![&joined[..]] });
}

/// RFC 9113 §8.1.1: a length that is said is one number, and content that is not there has none.
fn check_length(request: &Request, is_whole: bool) {
    assert!(!fields_say_coding(&request.fields), "a coding of HTTP/1");
    let said: Vec<&[u8]> = request.fields.all(FieldName::ContentLength).collect();
    if matches!(request.method, Method::Connect) || request.fields.contains(FieldName::Upgrade) {
        assert_eq!(request.length, BodyLength::None, "a tunnel has no content");
        return;
    }
    match (request.length, said.as_slice()) {
        (BodyLength::None, [] | [_]) => {
            assert!(is_whole && said.iter().all(|text| text.iter().all(|digit| *digit == b'0')), "{said:?}");
        }
        (BodyLength::Exact(length), [text]) => {
            assert!(!is_whole);
            let text = std::str::from_utf8(text).expect("digits");
            assert!(text.bytes().all(|octet| octet.is_ascii_digit()) && text.parse() == Ok(length), "{text}");
        }
        (BodyLength::UntilEnd, []) => assert!(!is_whole),
        other => panic!("two readings: {other:?}"),
    }
}

fn fields_say_coding(fields: &Fields) -> bool {
    fields.contains(FieldName::TransferEncoding)
}

/// Written with its target and its fields, HTTP/1 reads the same method, target, length and fields.
fn check_as_http1(request: &Request) {
    // A tunnel's request goes no further, so that nobody reads its length. `Host` may be one line more than a head may have.
    if request.method == Method::Connect || request.fields.len() >= HeadLimits::default().fields {
        return;
    }
    let (target, host) = match &request.target {
        Target::Absolute(uri) => {
            let host = uri.host_field().to_string();
            let target = format!("{}://{}", uri.scheme.as_str(), uri.authority);
            // An asterisk has no absolute form (RFC 9112 §3.2.4).
            let path = if &uri.path_and_query[..] == b"*" { &b""[..] } else { &uri.path_and_query };
            ([target.as_bytes(), path].concat(), host)
        }
        Target::Authority(authority) => (authority.to_string().into_bytes(), authority.to_string()),
        other => panic!("a target without an authority: {other:?}"),
    };
    let mut head = [request.method.as_str().as_bytes(), b" ", &target, b" HTTP/1.1\r\n"].concat();
    head.extend(format!("host: {host}\r\n").bytes());
    for field in request.fields.iter().filter(|field| field.name != b"host") {
        head.extend([field.name, b": ", field.value, b"\r\n"].concat());
    }
    if request.length == BodyLength::UntilEnd {
        head.extend(b"transfer-encoding: chunked\r\n");
    }
    head.extend(b"\r\n");
    let mut reader = Reader::new(Pieces { left: &head, seed: 0 });
    let limits = HeadLimits { head: 1 << 20, line: 1 << 20, uri: 1 << 20, ..HeadLimits::default() };
    let read = at_once(reader.request_head(&limits));
    let read = read.expect("what was accepted is accepted as HTTP/1");
    assert_eq!(read.method, request.method);
    if !matches!(&request.target, Target::Absolute(uri) if &uri.path_and_query[..] == b"*") {
        assert_eq!(read.target, request.target);
    }
    let expected = match request.length {
        BodyLength::UntilEnd => BodyLength::Chunked,
        length => length,
    };
    // `Content-Length: 0` is a length in HTTP/1, and no content either way.
    let is_same = read.length == expected || read.length.is_empty() && expected.is_empty();
    assert!(is_same, "{:?}, and as HTTP/1 {:?}", request.length, read.length);
}

pub fn request_seeds() -> Vec<Vec<u8>> {
    [
        "GET\nhttps\na.example\n/x?y\naccept:*/*\ncookie:a=b\ncookie:c=d",
        "POST\nhttps\na.example:443\n/\nhost:a.example\ncontent-length:5",
        "CONNECT\n\na.example:443\n\nuser-agent:x",
        "OPTIONS\nhttp\na.example\n*\nte:trailers",
        "GET\nhttps\n\n/\nhost:[2001:db8::1]:8443\nexpect:100-continue",
    ]
    .iter()
    .flat_map(|text| [seed(&[0], text), seed(&[1], text)])
    .collect()
}
