//! Target URIs (RFC 9110 §7.1) and the four forms of a request target (RFC 9112 §3.2).
//!
//! The path and query are kept byte-exact: two spellings of a path are two resources, and the
//! cache key must not merge what an origin may tell apart. Scheme, host and port are canonical.

use std::fmt;

use bytes::Bytes;

use super::grammar::exact_decimal;
use super::{Host, HostError, Method};

/// The schemes that Larder fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// The scheme in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port that a URI of this scheme leaves out.
    pub const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// A host and a port: where a connection goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    pub host: Host,
    /// 1 to 65535.
    pub port: u16,
}

/// The absolute URI that a request is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetUri {
    pub scheme: Scheme,
    pub authority: Authority,
    /// Starts with `/`; or is `*` for an OPTIONS request on the server as a whole.
    pub path_and_query: Bytes,
}

/// A request target in one of its four forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `GET /path`: a request to Larder itself, as if it were an origin.
    Origin(Bytes),
    /// `GET http://host/path`: what a proxy is asked.
    Absolute(TargetUri),
    /// `CONNECT host:port`.
    Authority(Authority),
    /// `OPTIONS *`.
    Asterisk,
}

/// Why a target was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("the request target is empty, or has a character that is not allowed in a URI")]
    BadCharacter,
    #[error("the scheme of the request target is not served here")]
    Scheme,
    #[error("the request target has user information that is malformed, or not allowed there")]
    UserInformation,
    #[error("the port of the request target is not a number from 1 to 65535")]
    Port,
    #[error("{0}")]
    Host(#[from] HostError),
}

/// Why what a person typed is not a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("it does not begin with http:// or https://")]
    Scheme,
    #[error("{0}")]
    Target(#[from] TargetError),
}

impl std::str::FromStr for TargetUri {
    type Err = UrlError;

    /// Reads a URL that a person typed.
    fn from_str(text: &str) -> Result<TargetUri, UrlError> {
        match Target::parse(&Bytes::copy_from_slice(text.as_bytes()), &Method::Get) {
            Ok(Target::Absolute(uri)) => Ok(uri),
            Ok(_) | Err(TargetError::Scheme) => Err(UrlError::Scheme),
            Err(error) => Err(error.into()),
        }
    }
}

impl Target {
    /// Parses the target of any request but CONNECT, whose target is [`Target::parse_connect`]'s.
    pub fn parse(raw: &Bytes, method: &Method) -> Result<Target, TargetError> {
        if raw.is_empty() || raw.iter().any(|&byte| byte <= b' ' || byte == 0x7f) {
            return Err(TargetError::BadCharacter);
        }
        // RFC 9110 §7.1: "The target URI excludes the reference's fragment component"; programs that
        // send it nevertheless mean what is in front of it.
        let raw = &raw.slice(..raw.iter().position(|&byte| byte == b'#').unwrap_or(raw.len()));
        match raw.first() {
            None => Err(TargetError::BadCharacter),
            Some(b'*') if raw.len() == 1 => Ok(Target::Asterisk),
            Some(b'/') => Ok(Target::Origin(raw.clone())),
            _ => {
                let mut uri = TargetUri::parse_absolute(raw)?;
                // RFC 9112 §3.2.4: "If a proxy receives an OPTIONS request with an absolute-form
                // of request-target in which the URI has an empty path and no query component,
                // then the last proxy on the request chain MUST send a request-target of "*"".
                if *method == Method::Options && !raw.ends_with(b"/") && &uri.path_and_query[..] == b"/" {
                    uri.path_and_query = Bytes::from_static(b"*");
                }
                Ok(Target::Absolute(uri))
            }
        }
    }

    /// Parses the target of a CONNECT request, which is `host:port` and nothing else.
    pub fn parse_connect(raw: &Bytes) -> Result<Target, TargetError> {
        if raw.is_empty() || raw.iter().any(|&byte| byte <= b' ' || byte == 0x7f || byte == b'/') {
            return Err(TargetError::BadCharacter);
        }
        Authority::parse(raw, None).map(Target::Authority)
    }
}

impl Authority {
    /// Parses `host[:port]`; without a default the port must be there.
    pub fn parse(raw: &Bytes, default_port: Option<u16>) -> Result<Authority, TargetError> {
        if raw.contains(&b'@') {
            return Err(TargetError::UserInformation);
        }
        // The colon of the port is the last one, and stands behind the bracket of an IPv6 address.
        let colon = raw.iter().rposition(|&byte| byte == b':');
        let bracket = raw.iter().rposition(|&byte| byte == b']');
        let colon = colon.filter(|&at| bracket.is_none_or(|end| at > end));
        let (host, port) = match colon {
            Some(at) => (raw.slice(..at), Some(raw.slice(at + 1..))),
            None => (raw.clone(), None),
        };
        let host = Host::parse(&host)?;
        let port = match port {
            // RFC 3986 §3.2.3: an empty port is the default one.
            Some(text) if !text.is_empty() => exact_decimal(&text).and_then(|port| u16::try_from(port).ok()),
            _ => default_port,
        };
        match port {
            Some(port) if port != 0 => Ok(Authority { host, port }),
            _ => Err(TargetError::Port),
        }
    }
}

impl TargetUri {
    /// Parses an absolute `http` or `https` URI.
    pub fn parse_absolute(raw: &Bytes) -> Result<TargetUri, TargetError> {
        let (scheme, rest) = if let Some(rest) = strip_scheme(raw, b"http://") {
            (Scheme::Http, rest)
        } else if let Some(rest) = strip_scheme(raw, b"https://") {
            (Scheme::Https, rest)
        } else {
            return Err(TargetError::Scheme);
        };
        let end = rest.iter().position(|&byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let authority = Authority::parse(&rest.slice(..end), Some(scheme.default_port()))?;
        let path_and_query = match rest.get(end) {
            None => Bytes::from_static(b"/"),
            // RFC 9112 §3.2.1: an empty path is sent as "/".
            Some(b'?') => [b"/", rest.get(end..).unwrap_or_default()].concat().into(),
            Some(_) => rest.slice(end..),
        };
        Ok(TargetUri { scheme, authority, path_and_query })
    }

    /// Resolves a URI reference against this URI (RFC 3986 §5), for `Location` and
    /// `Content-Location`. `None` when it is not an http(s) URI or malformed.
    pub fn join(&self, reference: &[u8]) -> Option<TargetUri> {
        let reference = reference.split(|&byte| byte == b'#').next().unwrap_or_default();
        if reference.iter().any(|&byte| byte <= b' ' || byte == 0x7f) {
            return None;
        }
        if has_scheme(reference) {
            let absolute = TargetUri::parse_absolute(&Bytes::copy_from_slice(reference)).ok()?;
            return Some(absolute.with_path(remove_dots(&absolute.path_and_query)));
        }
        if let Some(rest) = reference.strip_prefix(b"//") {
            let absolute = [self.scheme.as_str().as_bytes(), b"://", rest].concat();
            return TargetUri::parse_absolute(&absolute.into()).ok();
        }
        let base = self.path();
        let path = match reference {
            [] => return Some(self.clone()),
            [b'/', ..] => reference.to_vec(),
            [b'?', ..] => [base, reference].concat(),
            _ => {
                let folder = base.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
                [base.get(..folder).unwrap_or_default(), reference].concat()
            }
        };
        Some(self.with_path(remove_dots(&path)))
    }

    /// The path without the query.
    pub fn path(&self) -> &[u8] {
        self.path_and_query.split(|&byte| byte == b'?').next().unwrap_or_default()
    }

    /// The same URI in memory of its own, and no more of it than it needs: what is parsed out of a
    /// buffer keeps the whole buffer alive.
    pub fn detached(&self) -> TargetUri {
        let Authority { host, port } = &self.authority;
        TargetUri {
            scheme: self.scheme,
            authority: Authority { host: host.detached(), port: *port },
            path_and_query: Bytes::copy_from_slice(&self.path_and_query),
        }
    }

    /// Whether both URIs have one origin: scheme, host and port (RFC 9110 §4.3.1).
    pub fn same_origin(&self, other: &TargetUri) -> bool {
        self.scheme == other.scheme && self.authority == other.authority
    }

    /// The value of `Host` for this URI: the port only where it is not the default.
    pub fn host_field(&self) -> HostField<'_> {
        HostField(self)
    }

    fn with_path(&self, path_and_query: Vec<u8>) -> TargetUri {
        TargetUri { path_and_query: path_and_query.into(), ..self.clone() }
    }
}

/// Writes `host[:port]`; see [`TargetUri::host_field`].
#[derive(Clone, Copy, Debug)]
pub struct HostField<'a>(&'a TargetUri);

impl fmt::Display for HostField<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Authority { host, port } = &self.0.authority;
        if *port == self.0.scheme.default_port() { host.fmt(f) } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Display for TargetUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host_field())?;
        if &self.path_and_query[..] == b"*" {
            return Ok(());
        }
        f.write_str(&String::from_utf8_lossy(&self.path_and_query))
    }
}

fn strip_scheme(raw: &Bytes, prefix: &[u8]) -> Option<Bytes> {
    let head = raw.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| raw.slice(prefix.len()..))
}

fn has_scheme(reference: &[u8]) -> bool {
    let end = reference.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte));
    end.is_some_and(|at| at > 0 && reference.get(at) == Some(&b':'))
}

/// Removes `.` and `..` segments (RFC 3986 §5.2.4); the query is left alone.
fn remove_dots(path_and_query: &[u8]) -> Vec<u8> {
    let query = path_and_query.iter().position(|&byte| byte == b'?').unwrap_or(path_and_query.len());
    let (path, query) = path_and_query.split_at(query);
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut all = path.split(|&byte| byte == b'/').skip(1).peekable();
    while let Some(segment) = all.next() {
        let last = all.peek().is_none();
        match segment {
            b"." if last => segments.push(b""),
            b"." => {}
            b".." => {
                segments.pop();
                if last {
                    segments.push(b"");
                }
            }
            _ => segments.push(segment),
        }
    }
    let mut out = vec![b'/'];
    out.extend(segments.join(&b'/'));
    out.extend_from_slice(query);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, TargetError> {
        TargetUri::parse_absolute(&Bytes::copy_from_slice(text.as_bytes())).map(|uri| uri.to_string())
    }

    #[test]
    fn absolute_uris() {
        let cases: &[(&str, Result<&str, TargetError>)] = &[
            ("http://A.Example", Ok("http://a.example/")),
            ("HTTP://a.example:80/x", Ok("http://a.example/x")),
            ("http://a.example:/x", Ok("http://a.example/x")),
            ("http://a.example:8080?q=1", Ok("http://a.example:8080/?q=1")),
            ("https://a.example:443/%7E", Ok("https://a.example/%7E")),
            ("http://[::1]:8080/", Ok("http://[::1]:8080/")),
            ("http://a.example/x?a=/b", Ok("http://a.example/x?a=/b")),
            ("http:///x", Err(TargetError::Host(HostError::Empty))),
            ("http://u@a.example/", Err(TargetError::UserInformation)),
            ("http://a.example:0/", Err(TargetError::Port)),
            ("http://a.example:65536/", Err(TargetError::Port)),
            ("http://a.example:+80/", Err(TargetError::Port)),
            ("http://a.example:80:80/", Err(TargetError::Host(HostError::BadCharacter))),
            ("ftp://a.example/", Err(TargetError::Scheme)),
            ("file:///etc/passwd", Err(TargetError::Scheme)),
            ("a.example/", Err(TargetError::Scheme)),
        ];
        for (input, expected) in cases {
            assert_eq!(parse(input).as_deref(), expected.as_deref(), "{input:?}");
        }
    }

    #[test]
    fn connect_targets() {
        let parse = |text: &'static str| Target::parse_connect(&Bytes::from_static(text.as_bytes()));
        assert!(parse("a.example:443").is_ok());
        assert!(parse("[::1]:443").is_ok());
        for bad in [
            "a.example",
            "a.example:",
            "a.example:0",
            "u@a.example:443",
            "http://a.example/",
            "a.example:443/",
            ":443",
            "::1:443",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn references() {
        let base = TargetUri::parse_absolute(&Bytes::from_static(b"http://a.example/b/c?d")).expect("valid");
        let cases: &[(&str, Option<&str>)] = &[
            ("", Some("http://a.example/b/c?d")),
            ("/x", Some("http://a.example/x")),
            ("x", Some("http://a.example/b/x")),
            ("../x", Some("http://a.example/x")),
            ("../../x/.", Some("http://a.example/x/")),
            ("?y", Some("http://a.example/b/c?y")),
            ("#f", Some("http://a.example/b/c?d")),
            ("//o.example/x", Some("http://o.example/x")),
            ("https://o.example/x/../y", Some("https://o.example/y")),
            ("mailto:a@b", None),
            ("a b", None),
        ];
        for (input, expected) in cases {
            let found = base.join(input.as_bytes()).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), *expected, "{input:?}");
        }
    }
}
