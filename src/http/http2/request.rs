//! From the fields of an HTTP/2 request to a [`Request`] (RFC 9113 §8).
//!
//! The `h2` crate has refused upper case, connection-specific fields, and pseudo-fields that are
//! unknown, late or doubled. What is left to refuse is what could be read in two ways once the
//! message is written as HTTP/1: `Host` beside `:authority`, lengths, and octets in values.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};

use super::super::base64::base64;
use super::super::grammar::{exact_decimal, is_token};
use super::super::{
    Authority, BodyLength, FieldName, Fields, HeadLimits, Method, NeverIndexed, Request, Scheme, Target,
    TargetUri, Version,
};

/// Why a request is malformed (RFC 9113 §8.1.1); its stream is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the method is malformed")]
    Method,
    #[error("the scheme is not served")]
    Scheme,
    #[error("the authority is missing, malformed or not that of Host")]
    Authority,
    #[error("the path is malformed or too long")]
    Path,
    #[error("a field is malformed")]
    Field,
    #[error("there are too many fields")]
    TooManyFields,
    #[error("the fields are too large")]
    TooLarge,
    #[error("Content-Length is repeated, not a number, or with a request that has no content")]
    ContentLength,
    #[error("the expectation is not 100-continue")]
    Expectation,
    #[error("the protocol of an extended CONNECT is not websocket")]
    Protocol,
}

/// The request that these fields are. `is_whole` says that no content follows. `nonce` becomes the
/// key of a WebSocket handshake, which HTTP/1 needs and HTTP/2 leaves out (RFC 8441 §5).
pub fn request_of(
    mut parts: Parts,
    is_whole: bool,
    limits: &HeadLimits,
    nonce: [u8; 16],
) -> Result<Request, Malformed> {
    let never_indexed = NeverIndexed::take(&mut parts.headers);
    let parts = &parts;
    let method = Method::of(Bytes::copy_from_slice(parts.method.as_str().as_bytes()));
    if parts.method.as_str().len() > 64 || !is_token(parts.method.as_str().as_bytes()) {
        return Err(Malformed::Method);
    }
    let protocol = parts.extensions.get::<h2::ext::Protocol>();
    let (method, target) = match (method, protocol) {
        // RFC 9113 §8.5: "The ":authority" pseudo-header field contains the host and port".
        (Method::Connect, None) if parts.uri.authority().is_none() => return Err(Malformed::Authority),
        (Method::Connect, None) => (Method::Connect, Target::Authority(authority(parts, None)?)),
        // RFC 8441 §4: the target is that of the request that HTTP/1 would begin with.
        (Method::Connect, Some(protocol)) if protocol.as_str() == "websocket" => {
            (Method::Get, absolute(parts, limits)?)
        }
        (_, Some(_)) => return Err(Malformed::Protocol),
        (method, None) => (method, absolute(parts, limits)?),
    };
    let mut fields = fields(&parts.headers, limits, protocol.map(|_| nonce))?;
    if !fields.members(FieldName::Expect).all(|member| member.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Malformed::Expectation);
    }
    let length = match (&method, protocol.is_some()) {
        // What follows is the tunnel's.
        (Method::Connect, _) | (_, true) => BodyLength::None,
        (Method::Trace, _) if !is_whole => return Err(Malformed::ContentLength),
        _ => length(&fields, is_whole)?,
    };
    fields.mark_never_indexed(never_indexed);
    let head_bytes = head_bytes(parts);
    Ok(Request { method, target, version: Version::Http2, fields, length, head_bytes })
}

fn absolute(parts: &Parts, limits: &HeadLimits) -> Result<Target, Malformed> {
    let scheme = match parts.uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err(Malformed::Scheme),
    };
    let authority = authority(parts, Some(scheme.default_port()))?;
    let path = parts.uri.path_and_query().map(|path| path.as_str().as_bytes()).unwrap_or_default();
    let is_path = path.starts_with(b"/") || (path == b"*" && parts.method == http::Method::OPTIONS);
    let is_clean = !path.iter().any(|&octet| octet <= b' ' || octet == 0x7f || octet == b'#');
    if !is_path || !is_clean || path.len() > limits.uri {
        return Err(Malformed::Path);
    }
    let path_and_query = Bytes::copy_from_slice(path);
    Ok(Target::Absolute(TargetUri { scheme, authority, path_and_query }))
}

/// RFC 9113 §8.3.1: "A server SHOULD treat a request as malformed if it contains a Host header field
/// that identifies an entity that differs from the entity in the :authority pseudo-header field."
fn authority(parts: &Parts, default_port: Option<u16>) -> Result<Authority, Malformed> {
    let parse = |text: &[u8]| {
        Authority::parse(&Bytes::copy_from_slice(text), default_port).map_err(|_bad| Malformed::Authority)
    };
    let named = parts.uri.authority().map(|authority| parse(authority.as_str().as_bytes())).transpose()?;
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next().map(|host| parse(host.as_bytes())).transpose()?;
    match (named, host, hosts.next()) {
        (Some(named), Some(host), None) if named == host => Ok(named),
        (Some(only), None, None) | (None, Some(only), None) => Ok(only),
        _ => Err(Malformed::Authority),
    }
}

fn fields(
    headers: &HeaderMap,
    limits: &HeadLimits,
    websocket: Option<[u8; 16]>,
) -> Result<Fields, Malformed> {
    if headers.len() > limits.fields {
        return Err(Malformed::TooManyFields);
    }
    let mut out = Fields::builder();
    for (name, value) in headers.iter().filter(|(name, _)| **name != header::COOKIE) {
        let value = value.as_bytes();
        let is_padded =
            matches!(value.first(), Some(b' ' | b'\t')) || matches!(value.last(), Some(b' ' | b'\t'));
        // RFC 9113 §8.2.1: no NUL, LF or CR; no whitespace at either end.
        if is_padded || value.iter().any(|octet| matches!(octet, 0 | b'\r' | b'\n')) {
            return Err(Malformed::Field);
        }
        if value.len() > limits.line || !is_token(name.as_str().as_bytes()) {
            return Err(Malformed::Field);
        }
        out.push(name.as_str().as_bytes(), value);
    }
    // RFC 9113 §8.2.3: "these MUST be concatenated into a single octet string using the two-octet
    // delimiter of 0x3b, 0x20" before they pass on as HTTP/1.
    let crumbs: Vec<&[u8]> =
        headers.get_all(header::COOKIE).iter().map(http::HeaderValue::as_bytes).collect();
    if !crumbs.is_empty() {
        out.add(FieldName::Cookie, crumbs.join(&b"; "[..]));
    }
    if let Some(nonce) = websocket {
        out.add(FieldName::Connection, "Upgrade").add(FieldName::Upgrade, "websocket");
        out.push(b"Sec-WebSocket-Key", &base64(&nonce));
    }
    Ok(out.build())
}

/// RFC 9113 §8.1.1: a request is malformed "if the value of a Content-Length header field does not
/// equal the sum of the DATA frame payload lengths"; those that follow are the `h2` crate's to add up.
fn length(fields: &Fields, is_whole: bool) -> Result<BodyLength, Malformed> {
    if !fields.contains(FieldName::ContentLength) {
        // Content without a length ends with its stream.
        return Ok(if is_whole { BodyLength::None } else { BodyLength::UntilEnd });
    }
    let told =
        fields.only(FieldName::ContentLength).and_then(exact_decimal).ok_or(Malformed::ContentLength)?;
    match (told, is_whole) {
        (0, true) => Ok(BodyLength::None),
        (_, true) => Err(Malformed::ContentLength),
        (told, false) => Ok(BodyLength::Exact(told)),
    }
}

/// What the head would take as lines, for the log.
fn head_bytes(parts: &Parts) -> u64 {
    let fields = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let path = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
    (fields.sum::<usize>() + path + parts.method.as_str().len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(request: http::Request<()>, is_whole: bool) -> Result<Request, Malformed> {
        request_of(request.into_parts().0, is_whole, &HeadLimits::default(), [0; 16])
    }

    fn get(uri: &str, fields: &[(&str, &str)]) -> Result<Request, Malformed> {
        let mut request = http::Request::get(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        read(request.body(()).expect("valid for the library"), true)
    }

    #[test]
    fn requests_are_read() {
        let request =
            get("https://A.Example/x?y", &[("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2")]);
        let request = request.expect("well-formed");
        assert!(
            matches!(&request.target, Target::Absolute(uri) if uri.to_string() == "https://a.example/x?y")
        );
        assert_eq!(request.fields.only(FieldName::Cookie), Some(&b"a=1; b=2"[..]));
        assert_eq!(request.length, BodyLength::None);
        assert!(get("https://a.example/", &[("host", "a.example:443")]).is_ok());
    }

    #[test]
    fn malformed_requests_are_refused() {
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Malformed);
        let cases: &[Case<'_>] = &[
            ("https://a.example/", &[("host", "b.example")], Malformed::Authority),
            ("https://a.example/", &[("host", "a.example"), ("host", "a.example")], Malformed::Authority),
            ("https://u@a.example/", &[], Malformed::Authority),
            ("ftp://a.example/", &[], Malformed::Scheme),
            ("https://a.example/", &[("x", " padded")], Malformed::Field),
            ("https://a.example/", &[("x", "padded\t")], Malformed::Field),
            ("https://a.example/", &[("content-length", "5")], Malformed::ContentLength),
            ("https://a.example/", &[("content-length", "x")], Malformed::ContentLength),
            (
                "https://a.example/",
                &[("content-length", "0"), ("content-length", "0")],
                Malformed::ContentLength,
            ),
            ("https://a.example/", &[("expect", "200-maybe")], Malformed::Expectation),
        ];
        for (uri, fields, expected) in cases {
            assert_eq!(get(uri, fields).err(), Some(*expected), "{uri} {fields:?}");
        }
        let long = format!("https://a.example/{}", "x".repeat(9 << 10));
        assert_eq!(get(&long, &[]).err(), Some(Malformed::Path));
        let many: Vec<_> = (0..129).map(|number| (format!("x-{number}"), "1")).collect();
        let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(get("https://a.example/", &many).err(), Some(Malformed::TooManyFields));
    }

    #[test]
    fn content_has_its_length_or_ends_with_its_stream() {
        let request = |length: &str| {
            let request = http::Request::post("https://a.example/").header("content-length", length);
            read(request.body(()).expect("valid"), false).map(|request| request.length)
        };
        assert_eq!(request("5"), Ok(BodyLength::Exact(5)));
        let request = http::Request::post("https://a.example/").body(()).expect("valid");
        assert_eq!(read(request, false).map(|request| request.length), Ok(BodyLength::UntilEnd));
    }

    #[test]
    fn an_extended_connect_is_a_handshake_of_http_1() {
        let mut request = http::Request::connect("https://a.example/chat").body(()).expect("valid");
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        let request = read(request, false).expect("well-formed");
        assert_eq!(request.method, Method::Get);
        assert_eq!(request.fields.only(FieldName::Upgrade), Some(&b"websocket"[..]));
        let key = request.fields.all_named(b"sec-websocket-key").next();
        assert_eq!(key, Some(&b"AAAAAAAAAAAAAAAAAAAAAA=="[..]));
    }
}
