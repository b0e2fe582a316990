//! What a client begins with inside a tunnel, told by its first octets alone: TLS, HTTP, or neither.
//!
//! Total, and generous in what it takes for TLS or HTTP: what some server would read as one of them
//! must not pass as something else. Whether it is well-formed is for the parsers behind to say.

use crate::http::grammar::is_token;
use crate::tls::{ClientHello, Hello};

/// What a client begins with.
#[derive(Debug)]
pub enum Opening {
    Tls(ClientHello),
    /// TLS that cannot be read: malformed, too large, or in the form of SSL 2.
    UnreadableTls(&'static str),
    Http,
    /// CONNECT: a tunnel to somebody else inside this one.
    Nested,
    /// HTTP/2 without TLS, or without ALPN (RFC 9113 §3.3).
    Http2,
    Other(&'static str),
}

/// Octets of a first line that are read; as long as the longest line of a head.
const LINE_MAX: usize = 16 << 10;
/// Longer than any method.
pub(super) const METHOD_MAX: usize = 64;

/// Methods that begin a request whatever else the line contains: a server of HTTP/0.9 asks for no
/// version (RFC 9112 §2.3 no longer requires it; servers still answer).
const METHODS: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];

impl Opening {
    /// What these octets begin; `None` while that is open.
    pub fn read(octets: &[u8]) -> Option<Opening> {
        match octets {
            [] => None,
            [20..=24] => None,
            // RFC 8446 §5.1: the types of records, and the major version of all of them.
            [20..=24, 3, ..] => match Hello::read(octets) {
                Hello::Complete(hello) => Some(Opening::Tls(hello)),
                Hello::Incomplete => None,
                Hello::NotTls(why) => Some(Opening::UnreadableTls(why)),
            },
            [first, ..] if first & 0x80 != 0 => ssl2(octets),
            _ => request_line(octets),
        }
    }

    /// Whether octets of which [`Opening::read`] can't tell yet are more than likely TLS, or a request
    /// with a method that every server knows. In a tunnel that is not intercepted all others pass at
    /// once, because a protocol's short greeting must not wait here for octets that never come.
    pub fn is_likely(octets: &[u8]) -> bool {
        let word = first_word(without_leading_space(octets));
        matches!(octets, [20..=24] | [20..=24, 3, ..])
            || METHODS.iter().any(|method| method.starts_with(word) || *method == word)
    }
}

/// RFC 5246 §E.2: a ClientHello in the form of SSL 2, which some servers still take: a length with its
/// first bit set, the type, and the version.
fn ssl2(octets: &[u8]) -> Option<Opening> {
    match octets {
        [_, _, 1, 0 | 3, _, ..] => Some(Opening::UnreadableTls("a ClientHello in the form of SSL 2")),
        [_] | [_, _] | [_, _, 1] | [_, _, 1, 0 | 3] => None,
        _ => Some(Opening::Other("neither TLS nor HTTP")),
    }
}

/// Reads the first line. RFC 9112 §2.2 and §3 have servers skip empty lines before it, and let them
/// take other white space for the space, so that this does both. Some skip any number of empty lines: what
/// is still open behind the longest line counts as a request, which its parser refuses.
fn request_line(octets: &[u8]) -> Option<Opening> {
    const NEITHER: Option<Opening> = Some(Opening::Other("neither TLS nor HTTP"));
    // What is behind the limit decides nothing, however much of it has come with the octets before it.
    let octets = octets.get(..=LINE_MAX).unwrap_or(octets);
    let start = without_leading_space(octets);
    let method = first_word(start);
    if !method.is_empty() && (!is_token(method) || method.len() > METHOD_MAX) {
        return NEITHER;
    }
    let rest = start.get(method.len()..).unwrap_or_default();
    let is_known = METHODS.contains(&method);
    let end = rest.iter().position(|&octet| octet == b'\n');
    let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    let target = without_leading_space(line);
    if is_known && (target.starts_with(b"/") || target.starts_with(b"*") || is_http_uri(target)) {
        return Some(Opening::Http);
    }
    if line.iter().any(|octet| octet.is_ascii_control() && !is_space(octet)) {
        return NEITHER;
    }
    match end {
        None if octets.len() > LINE_MAX => Some(Opening::Http),
        None => None,
        Some(_) => Some(by_version(method, line)),
    }
}

/// A whole line, by the version at its end.
fn by_version(method: &[u8], line: &[u8]) -> Opening {
    let mut words = line.split(is_space).filter(|word| !word.is_empty());
    let (target, version) = (words.next().unwrap_or_default(), words.next_back().unwrap_or_default());
    let is_http = version.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"HTTP/"));
    match (method, target, version) {
        (b"PRI", b"*", b"HTTP/2.0") => Opening::Http2,
        (b"CONNECT", ..) if is_http => Opening::Nested,
        _ if is_http => Opening::Http,
        _ => Opening::Other("neither TLS nor HTTP"),
    }
}

fn is_http_uri(target: &[u8]) -> bool {
    let begins =
        |scheme: &[u8]| target.get(..scheme.len()).is_some_and(|text| text.eq_ignore_ascii_case(scheme));
    begins(b"http:") || begins(b"https:")
}

fn first_word(octets: &[u8]) -> &[u8] {
    octets.split(is_space).next().unwrap_or_default()
}

fn without_leading_space(octets: &[u8]) -> &[u8] {
    let start = octets.iter().position(|octet| !is_space(octet)).unwrap_or(octets.len());
    octets.get(start..).unwrap_or_default()
}

/// RFC 9112 §3: "whitespace includes one or more of the following octets: SP, HTAB, VT (%x0B), FF (%x0C),
/// or bare CR"; and the ends of lines.
fn is_space(octet: &u8) -> bool {
    octet.is_ascii_whitespace() || *octet == 0x0b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(octets: &[u8]) -> &'static str {
        match Opening::read(octets) {
            None => "open",
            Some(Opening::Tls(_)) => "tls",
            Some(Opening::UnreadableTls(_)) => "unreadable tls",
            Some(Opening::Http) => "http",
            Some(Opening::Nested) => "nested",
            Some(Opening::Http2) => "http2",
            Some(Opening::Other(_)) => "other",
        }
    }

    #[test]
    fn openings() {
        let long = [b"GETS ".to_vec(), vec![b'x'; 17 << 10]].concat();
        let long_line = [&long[..], b" HTTP/1.1\r\n"].concat();
        let far_target = [b"GET".to_vec(), vec![b' '; 17 << 10], b"/ HTTP/1.1\r\n".to_vec()].concat();
        let empty_lines = b"\r\n".repeat(9 << 10);
        let cases: &[(&[u8], &str)] = &[
            (b"", "open"),
            (b"G", "open"),
            (b"GET", "open"),
            (b"GET ", "open"),
            (b"GET /", "http"),
            (b"GET\t/ HTTP/1.1", "http"),
            (b"\r\nGET / HTTP/1.1\r\n", "http"),
            (b"\r\n", "open"),
            (b"GET /\r\n", "http"),
            (b"GET http://a.example/ HTTP/1.1\r\n", "http"),
            (b"OPTIONS *", "http"),
            (b"GET index.html HTTP/1.0\r\n", "http"),
            (b"get / HTTP/1.1\r\n", "http"),
            (b"PROPFIND / HTTP/1.1\n", "http"),
            (b"PROPFIND / http/1.1\n", "http"),
            (b"PROPFIND / HTTP/1.1", "open"),
            (b"CONNECT a.example:443 HTTP/1.1\r\n", "nested"),
            (b"CONNECT a.example:443", "open"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2"),
            (b"PRI * HTTP/2.0\r\n", "http2"),
            (b"OPTIONS rtsp://a.example/x RTSP/1.0\r\n", "other"),
            (b"REGISTER sip:a.example SIP/2.0\r\n", "other"),
            (b"SOURCE /stream ICE/1.0\r\n", "other"),
            (b"SSH-2.0-OpenSSH_9.2 Debian\r\n", "other"),
            (b"EHLO a.example\r\n", "other"),
            (b"GET key\r\n", "other"),
            (b"*2\r\n$3\r\nGET\r\n", "other"),
            (b"\x01\x02", "other"),
            (b"\x00", "other"),
            (b"a b \x01", "other"),
            (&long, "http"),
            // They were that already before their ends came.
            (&long_line, "http"),
            (&far_target, "http"),
            (&empty_lines, "http"),
            (b"GET\x0b/ HTTP/1.1", "http"),
            (b"PROPFIND\x0b/\x0bHTTP/1.1\n", "http"),
            (b"\x0b\x0cGET /", "http"),
            (b"\x16", "open"),
            (b"\x16\x03\x01\x00", "open"),
            (b"\x16\x02", "other"),
            (b"\x16\xfe\xfd", "other"),
            (b"\x15\x03\x01\x00\x02\x02\x28", "unreadable tls"),
            (b"\x80", "open"),
            (b"\x80\x2e\x01\x03", "open"),
            (b"\x80\x2e\x01\x03\x01\x00\x15", "unreadable tls"),
            (b"\x80\x2e\x01\x00\x02", "unreadable tls"),
            (b"\x80\x2e\x02\x00\x02", "other"),
            (b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f", "other"),
        ];
        for (octets, expected) in cases {
            assert_eq!(name(octets), *expected, "{:?}", octets.escape_ascii().to_string());
        }
    }

    #[test]
    fn what_is_likely_to_become_a_request_is_held() {
        let cases: &[(&[u8], bool)] = &[
            (b"G", true),
            (b"GET /x HT", true),
            (b"\r\nG", true),
            (b"\x16", true),
            (b"\x16\x03\x01\x02", true),
            (b"HELO", false),
            (b"hello", false),
            (b"a b", false),
            (b"\x80\x01", false),
        ];
        for (octets, expected) in cases {
            assert_eq!(Opening::is_likely(octets), *expected, "{octets:?}");
        }
    }
}
