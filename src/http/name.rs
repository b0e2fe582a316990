//! Field names that Larder acts on, each with a one-byte identity, so that a lookup in a head
//! compares bytes and not strings (RFC 9110 §5.1: field names are case-insensitive).
//!
//! A name that is not listed here is opaque: it is forwarded, stored and compared by its text.

macro_rules! field_names {
    ($($variant:ident = $text:literal),+ $(,)?) => {
        /// The identity of a field name; [`FieldName::Other`] stands for every unlisted one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum FieldName { Other = 0, $($variant),+ }

        const LISTED: &[(FieldName, &str)] = &[$((FieldName::$variant, $text)),+];

        impl FieldName {
            /// The name in the spelling of its RFC; empty for [`FieldName::Other`].
            pub const fn as_str(self) -> &'static str {
                match self { FieldName::Other => "", $(FieldName::$variant => $text),+ }
            }
        }
    };
}

field_names! {
    Accept = "Accept",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AcceptRanges = "Accept-Ranges",
    Age = "Age",
    Allow = "Allow",
    AltSvc = "Alt-Svc",
    Authorization = "Authorization",
    CacheControl = "Cache-Control",
    CacheStatus = "Cache-Status",
    Connection = "Connection",
    ContentEncoding = "Content-Encoding",
    ContentLength = "Content-Length",
    ContentLocation = "Content-Location",
    ContentRange = "Content-Range",
    ContentType = "Content-Type",
    Cookie = "Cookie",
    Date = "Date",
    ETag = "ETag",
    Expect = "Expect",
    Expires = "Expires",
    Forwarded = "Forwarded",
    Host = "Host",
    Http2Settings = "HTTP2-Settings",
    IfMatch = "If-Match",
    IfModifiedSince = "If-Modified-Since",
    IfNoneMatch = "If-None-Match",
    IfRange = "If-Range",
    IfUnmodifiedSince = "If-Unmodified-Since",
    KeepAlive = "Keep-Alive",
    LastModified = "Last-Modified",
    Location = "Location",
    MaxForwards = "Max-Forwards",
    MethodOverride = "X-HTTP-Method-Override",
    MethodOverrideShort = "X-HTTP-Method",
    MethodOverridePlain = "X-Method-Override",
    Pragma = "Pragma",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyAuthenticationInfo = "Proxy-Authentication-Info",
    ProxyAuthorization = "Proxy-Authorization",
    ProxyConnection = "Proxy-Connection",
    ProxyStatus = "Proxy-Status",
    Range = "Range",
    Referer = "Referer",
    Server = "Server",
    SetCookie = "Set-Cookie",
    SetCookie2 = "Set-Cookie2",
    Te = "TE",
    Trailer = "Trailer",
    TransferEncoding = "Transfer-Encoding",
    Upgrade = "Upgrade",
    UserAgent = "User-Agent",
    Vary = "Vary",
    Via = "Via",
    Warning = "Warning",
    WwwAuthenticate = "WWW-Authenticate",
    XForwardedHost = "X-Forwarded-Host",
    XForwardedPort = "X-Forwarded-Port",
    XForwardedProto = "X-Forwarded-Proto",
    XForwardedScheme = "X-Forwarded-Scheme",
    XHost = "X-Host",
    XOriginalUrl = "X-Original-URL",
    XRewriteUrl = "X-Rewrite-URL",
}

/// The longest listed name; anything longer is [`FieldName::Other`] without a look at its text.
const LONGEST: usize = 25;

/// First index into [`LISTED`] of the names with each length, in an order sorted by length.
/// Built at compile time, so that the look-up touches only names of the right length.
static BY_LENGTH: ([u8; LISTED.len()], [u8; LONGEST + 2]) = by_length();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse a bad index")]
const fn by_length() -> ([u8; LISTED.len()], [u8; LONGEST + 2]) {
    let mut order = [0u8; LISTED.len()];
    let mut starts = [0u8; LONGEST + 2];
    let (mut length, mut filled) = (0, 0);
    while length <= LONGEST {
        starts[length] = filled as u8;
        let mut at = 0;
        while at < LISTED.len() {
            if LISTED[at].1.len() == length {
                order[filled] = at as u8;
                filled += 1;
            }
            at += 1;
        }
        length += 1;
    }
    starts[LONGEST + 1] = filled as u8;
    assert!(filled == LISTED.len(), "LONGEST is shorter than a listed name");
    (order, starts)
}

impl FieldName {
    /// The identity of `name`, compared case-insensitively.
    pub fn of(name: &[u8]) -> FieldName {
        let (order, starts) = &BY_LENGTH;
        let (Some(&from), Some(&to)) = (starts.get(name.len()), starts.get(name.len() + 1)) else {
            return FieldName::Other;
        };
        let of_this_length = order.get(from as usize..to as usize).unwrap_or_default();
        of_this_length
            .iter()
            .filter_map(|&at| LISTED.get(at as usize))
            .find(|(_, text)| text.as_bytes().eq_ignore_ascii_case(name))
            .map_or(FieldName::Other, |&(id, _)| id)
    }

    /// Fields that describe one connection and are never forwarded or replayed (RFC 9110 §7.6.1,
    /// RFC 9111 §3.1), whether or not `Connection` names them. `Proxy-*` fields stand in
    /// `connection_fields.rs`, because their rule has an exception.
    pub const fn is_connection_specific(self) -> bool {
        matches!(
            self,
            FieldName::Connection
                | FieldName::KeepAlive
                | FieldName::ProxyConnection
                | FieldName::Te
                | FieldName::Trailer
                | FieldName::TransferEncoding
                | FieldName::Upgrade
                | FieldName::Http2Settings
        )
    }

    /// Fields that a `Connection` option may not remove: framing, routing, caching and
    /// credentials depend on them, and naming one is an attack (RFC 9110 §7.6.1 forbids senders
    /// to name fields meant for all recipients).
    pub const fn is_protected(self) -> bool {
        matches!(
            self,
            FieldName::Host
                | FieldName::ContentLength
                | FieldName::TransferEncoding
                | FieldName::CacheControl
                | FieldName::Authorization
                | FieldName::Cookie
                | FieldName::SetCookie
                | FieldName::Vary
                | FieldName::Range
                | FieldName::Via
                | FieldName::Age
                | FieldName::Date
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_is_found_in_any_case() {
        for &(id, text) in LISTED {
            assert_eq!(FieldName::of(text.as_bytes()), id);
            assert_eq!(FieldName::of(text.to_ascii_uppercase().as_bytes()), id);
            assert_eq!(FieldName::of(text.to_ascii_lowercase().as_bytes()), id);
        }
    }

    #[test]
    fn other_names_are_opaque() {
        for name in ["", "X", "Hosts", "Content-Lengt", "x-a-very-long-name-that-nobody-lists-here"] {
            assert_eq!(FieldName::of(name.as_bytes()), FieldName::Other, "{name}");
        }
    }
}
