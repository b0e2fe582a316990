//! The heads of requests and responses, and what they say about their content's length.
//!
//! A head is what a peer sent, checked but not interpreted beyond framing: connection-specific
//! fields are still there. Nothing here reads from a connection.

use bytes::Bytes;

use super::{Fields, Method, Target};

/// The version of a message as far as its meaning differs (RFC 9110 §2.5). A higher minor
/// version of HTTP/1 is read as HTTP/1.1, which is what it must be compatible with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Http10,
    Http11,
    Http2,
}

impl Version {
    /// The number, as in `Via`. RFC 9110 §2.5: where a minor version is needed, that of HTTP/2 is 0.
    pub const fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "1.0",
            Version::Http11 => "1.1",
            Version::Http2 => "2.0",
        }
    }
}

/// How long a message's content is on the wire (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// No content at all.
    None,
    /// Exactly so many octets.
    Exact(u64),
    /// The chunked transfer coding.
    Chunked,
    /// All until the connection closes; of responses of HTTP/1 only.
    UntilClose,
    /// All until its stream of HTTP/2 ends. END_STREAM says that it was all (RFC 9113 §8.1).
    UntilEnd,
}

impl BodyLength {
    /// Whether nothing stands behind the head.
    pub const fn is_empty(self) -> bool {
        matches!(self, BodyLength::None | BodyLength::Exact(0))
    }

    /// Whether nothing tells beforehand where the content ends.
    pub const fn is_unknown(self) -> bool {
        matches!(self, BodyLength::Chunked | BodyLength::UntilClose | BodyLength::UntilEnd)
    }
}

/// A request head.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub target: Target,
    pub version: Version,
    pub fields: Fields,
    pub length: BodyLength,
    /// Octets of the head on the wire, for the log.
    pub head_bytes: u64,
}

impl Request {
    /// Whether content stands behind the head.
    pub fn has_content(&self) -> bool {
        !self.length.is_empty()
    }
}

/// A response head.
#[derive(Clone, Debug)]
pub struct Response {
    /// 100 to 999.
    pub status: u16,
    /// The reason phrase as received; may be empty.
    pub reason: Bytes,
    pub version: Version,
    pub fields: Fields,
    pub length: BodyLength,
    /// Octets of the head on the wire, for the log.
    pub head_bytes: u64,
    /// Whether the sender keeps the connection open behind this message (RFC 9112 §9.3).
    pub keep_alive: bool,
}

/// The registered reason phrase of a status code; empty for one that has none here.
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        508 => "Loop Detected",
        _ => "",
    }
}
