//! Request methods, and which of them are safe or may be sent twice (RFC 9110 §9).

use bytes::Bytes;

/// Request methods, case-sensitive (RFC 9110 §9.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    /// Any other token.
    Other(Bytes),
}

impl Method {
    /// The method that this token is.
    pub fn of(token: Bytes) -> Method {
        match &token[..] {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"CONNECT" => Method::Connect,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"PATCH" => Method::Patch,
            _ => Method::Other(token),
        }
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            // A token is ASCII by its grammar.
            Method::Other(token) => std::str::from_utf8(token).unwrap_or_default(),
        }
    }

    // The registry of methods (RFC 9110 §16.1.1) has these as safe, as of 2026-11; PRI is never one of
    // a request.
    /// Whether the method is known to be read-only (RFC 9110 §9.2.1).
    pub fn is_safe(&self) -> bool {
        match self {
            Method::Get | Method::Head | Method::Options | Method::Trace => true,
            Method::Other(token) => matches!(&token[..], b"PROPFIND" | b"QUERY" | b"REPORT" | b"SEARCH"),
            _ => false,
        }
    }

    /// Whether a request may be sent a second time unasked (RFC 9110 §9.2.2).
    pub fn is_idempotent(&self) -> bool {
        self.is_safe() || matches!(self, Method::Put | Method::Delete)
    }
}
