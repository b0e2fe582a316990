//! What became of a request, in the words of RFC 9211. One type feeds the `Cache-Status` field,
//! the access log, the metrics, `explain` and the tests, so that they can't disagree.

use super::RuleName;

/// Why a request went to the origin (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForwardReason {
    /// Larder was configured not to handle this request.
    Bypass,
    /// The method's semantics require it.
    Method,
    /// Nothing is stored for the URI.
    UriMiss,
    /// Something is stored for the URI, but for other values of the fields in `Vary`.
    VaryMiss,
    /// Nothing that could be used is stored, and which of the two above is not known.
    Miss,
    /// A fresh response is stored, but the request does not allow its use.
    Request,
    /// The stored response is stale, or asks for validation.
    Stale,
    /// Only a part of what is asked for is stored.
    Partial,
}

impl ForwardReason {
    /// The reason of a token.
    pub fn of_token(token: &str) -> Option<ForwardReason> {
        use ForwardReason::{Bypass, Method, Miss, Partial, Request, Stale, UriMiss, VaryMiss};
        let all = [Bypass, Method, UriMiss, VaryMiss, Miss, Request, Stale, Partial];
        all.into_iter().find(|reason| reason.as_str() == token)
    }

    /// The token of RFC 9211 §2.2.
    pub const fn as_str(self) -> &'static str {
        match self {
            ForwardReason::Bypass => "bypass",
            ForwardReason::Method => "method",
            ForwardReason::UriMiss => "uri-miss",
            ForwardReason::VaryMiss => "vary-miss",
            ForwardReason::Miss => "miss",
            ForwardReason::Request => "request",
            ForwardReason::Stale => "stale",
            ForwardReason::Partial => "partial",
        }
    }
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Handled {
    /// A stored response, without asking the origin.
    Hit,
    /// The origin was asked.
    Forwarded(ForwardReason),
    /// Larder itself: a block, an error, its own pages.
    Local,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub result: Handled,
    /// Whether the response that came was stored (RFC 9211 §2.5).
    pub stored: bool,
    /// Whether the request shared another's exchange with the origin (§2.6).
    pub collapsed: bool,
    /// Seconds of freshness left; negative when stale (§2.4).
    pub ttl: Option<i64>,
    /// The origin's status, where it differs from what the client got or tells more (§2.3).
    pub fwd_status: Option<u16>,
    /// Why, in a short token: see [`super::NotStored::as_str`] (§2.8).
    pub detail: Option<&'static str>,
    /// The rule of the operator that made the difference; told in the detail.
    pub rule: Option<RuleName>,
}

impl Outcome {
    /// An outcome of which nothing else is known.
    pub const fn new(result: Handled) -> Outcome {
        let (ttl, fwd_status, detail, rule) = (None, None, None, None);
        Outcome { result, stored: false, collapsed: false, ttl, fwd_status, detail, rule }
    }

    /// Writes Larder's member of `Cache-Status`, without the field name: `larder; hit; ttl=299`.
    pub fn write_cache_status(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"larder");
        match self.result {
            Handled::Hit => out.extend_from_slice(b"; hit"),
            Handled::Forwarded(reason) => {
                out.extend_from_slice(b"; fwd=");
                out.extend_from_slice(reason.as_str().as_bytes());
                // §2.3, §2.5, §2.6: fwd-status, stored and collapsed mean something only beside fwd.
                if let Some(status) = self.fwd_status {
                    out.extend_from_slice(b"; fwd-status=");
                    write_decimal(out, u64::from(status));
                }
                if self.stored {
                    out.extend_from_slice(b"; stored");
                }
                if self.collapsed {
                    out.extend_from_slice(b"; collapsed");
                }
            }
            Handled::Local => {}
        }
        if let Some(ttl) = self.ttl {
            out.extend_from_slice(b"; ttl=");
            if ttl < 0 {
                out.push(b'-');
            }
            write_decimal(out, ttl.unsigned_abs().min(INTEGER_MAX));
        }
        match (self.detail, &self.rule) {
            (None, None) => {}
            (Some(detail), None) => {
                out.extend_from_slice(b"; detail=");
                write_detail(out, detail);
            }
            // Both are tokens, and so are they with a colon and a stroke between them.
            (detail, Some(rule)) => {
                out.extend_from_slice(b"; detail=");
                if let Some(detail) = detail {
                    write_detail(out, detail);
                    out.push(b'/');
                }
                out.extend_from_slice(b"rule:");
                out.extend_from_slice(rule.as_str().as_bytes());
            }
        }
    }
}

/// RFC 9651 §3.3.1: an Integer has at most fifteen digits.
const INTEGER_MAX: u64 = 999_999_999_999_999;

fn write_decimal(out: &mut Vec<u8>, number: u64) {
    // `write!` into a Vec can't fail and formats on the stack.
    use std::io::Write;
    if write!(out, "{number}").is_err() {
        out.push(b'0');
    }
}

/// A Token where the text is one, else a String (RFC 9651 §3.3.3, §3.3.4).
fn write_detail(out: &mut Vec<u8>, detail: &str) {
    let is_token = detail.starts_with(|first: char| first.is_ascii_alphabetic())
        && detail.bytes().all(|byte| byte == b':' || byte == b'/' || crate::http::grammar::is_tchar(byte));
    if is_token {
        out.extend_from_slice(detail.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in detail.bytes().filter(|byte| (b' '..=b'~').contains(byte)) {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_status() {
        use ForwardReason::{Stale, UriMiss};
        let hit = Outcome { ttl: Some(299), ..Outcome::new(Handled::Hit) };
        let stale = Outcome {
            stored: true,
            ttl: Some(-5),
            fwd_status: Some(304),
            ..Outcome::new(Handled::Forwarded(Stale))
        };
        let miss = Outcome {
            collapsed: true,
            detail: Some("no-store"),
            ..Outcome::new(Handled::Forwarded(UriMiss))
        };
        let local = Outcome { stored: true, detail: Some("a \"b\""), ..Outcome::new(Handled::Local) };
        let far = Outcome { ttl: Some(i64::MIN), ..Outcome::new(Handled::Hit) };
        let cases = [
            (hit, "larder; hit; ttl=299"),
            (stale, "larder; fwd=stale; fwd-status=304; stored; ttl=-5"),
            (miss, "larder; fwd=uri-miss; collapsed; detail=no-store"),
            (local, "larder; detail=\"a \\\"b\\\"\""),
            (far, "larder; hit; ttl=-999999999999999"),
        ];
        for (outcome, expected) in cases {
            let mut out = Vec::new();
            outcome.write_cache_status(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
