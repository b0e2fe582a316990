//! Fields that belong to one connection and end there (RFC 9110 §7.6.1), and those that end there
//! because they only look like others.

use super::{Field, FieldName, Fields};

/// What the `Connection` field says.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionOptions<'a> {
    fields: &'a Fields,
    present: bool,
}

impl<'a> ConnectionOptions<'a> {
    /// The options in a message's fields.
    pub fn of(fields: &'a Fields) -> ConnectionOptions<'a> {
        ConnectionOptions { fields, present: fields.contains(FieldName::Connection) }
    }

    /// The sender closes the connection behind this message.
    pub fn close(&self) -> bool {
        self.names(b"close")
    }

    /// An HTTP/1.0 sender keeps it open.
    pub fn keep_alive(&self) -> bool {
        self.names(b"keep-alive")
    }

    /// The `Upgrade` field is meant for the next recipient.
    pub fn upgrade(&self) -> bool {
        self.names(b"upgrade")
    }

    /// Whether an option with this name is there.
    pub fn names(&self, option: &[u8]) -> bool {
        self.present
            && self.fields.members(FieldName::Connection).any(|member| member.eq_ignore_ascii_case(option))
    }

    /// Whether a request's field ends at Larder.
    pub fn ends_request_field(&self, field: &Field<'_>) -> bool {
        // Whatever begins with "Proxy-" speaks to a proxy; none of it is an origin's business.
        self.ends_field(field) || has_prefix(field.name, b"proxy-") || is_disguised(field)
    }

    /// Whether a response's field ends at Larder. `Proxy-Status` is for everybody behind a
    /// proxy (RFC 9209 §2) and goes on; a challenge by an origin in the name of a proxy would
    /// make clients hand over the credentials meant for Larder, and does not. Neither does an offer
    /// to be reached elsewhere (RFC 7838), which would lead clients around the proxy.
    pub fn ends_response_field(&self, field: &Field<'_>) -> bool {
        let of_a_proxy = matches!(
            field.id,
            FieldName::ProxyAuthenticate | FieldName::ProxyAuthenticationInfo | FieldName::ProxyAuthorization
        );
        self.ends_field(field) || of_a_proxy || field.id == FieldName::AltSvc
    }

    fn ends_field(&self, field: &Field<'_>) -> bool {
        field.id.is_connection_specific() || (!field.id.is_protected() && self.names(field.name))
    }
}

/// Whether a request's field looks like another one to a server behind the origin: CGI, WSGI, FastCGI
/// and their like turn `Transfer_Encoding` and `Transfer-Encoding` into the same variable (RFC 3875
/// §4.1.18), so that the former means what no recipient on the way has judged. Other names with an
/// underscore pass (RFC 9110 §5.1). `Proxy` becomes `HTTP_PROXY`, which programs obey.
fn is_disguised(field: &Field<'_>) -> bool {
    /// Families of names by which servers are told whom a request comes from, or what it is for.
    const TRUSTED: [&[u8]; 8] = [
        b"x-forwarded-",
        b"x-real-",
        b"x-client-",
        b"x-original-",
        b"x-remote-",
        b"x-ssl-",
        b"proxy-",
        b"sec-",
    ];
    if field.id != FieldName::Other {
        return false;
    }
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    if field.name.iter().copied().all(is_plain) {
        return field.is_named(b"proxy");
    }
    let folded = field.name.iter().map(|&octet| if is_plain(octet) { octet } else { b'-' });
    let folded: Vec<u8> = folded.collect();
    FieldName::of(&folded) != FieldName::Other || TRUSTED.iter().any(|family| has_prefix(&folded, family))
}

/// Fields that may not stand in a trailer section (RFC 9110 §6.5.1): framing, routing, request
/// modifiers, authentication, response control data, and content handling.
pub fn is_forbidden_trailer(field: &Field<'_>) -> bool {
    use FieldName as N;
    field.id.is_connection_specific()
        || field.id.is_protected()
        || has_prefix(field.name, b"proxy-")
        || has_prefix(field.name, b"content-")
        || has_prefix(field.name, b"if-")
        || is_disguised(field)
        || matches!(
            field.id,
            N::Expect
                | N::MaxForwards
                | N::Pragma
                | N::WwwAuthenticate
                | N::SetCookie2
                | N::Expires
                | N::Location
                | N::Warning
                | N::Forwarded
                | N::XForwardedHost
                | N::XForwardedPort
                | N::XForwardedProto
                | N::XForwardedScheme
                | N::XHost
                | N::XOriginalUrl
                | N::XRewriteUrl
                | N::MethodOverride
                | N::MethodOverrideShort
                | N::MethodOverridePlain
                | N::CacheStatus
                | N::ETag
                | N::LastModified
        )
}

fn has_prefix(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_forwarded(name: &str) -> bool {
        let fields: Fields = [(name, "1")].into_iter().collect();
        fields.iter().all(|field| !ConnectionOptions::of(&fields).ends_request_field(&field))
    }

    #[test]
    fn names_that_fold_onto_others_are_dropped() {
        for name in [
            "Transfer_Encoding",
            "transfer_encoding",
            "Content_Length",
            "CONTENT_TYPE",
            "X_Forwarded_For",
            "X-Forwarded_Host",
            "X_Forwarded-User",
            "X_Real_IP",
            "Proxy_Authorization",
            "Proxy",
            "Transfer.Encoding",
            "Transfer~Encoding",
            "Content!Length",
            "Sec_Fetch_Site",
        ] {
            assert!(!is_forwarded(name), "{name}");
        }
        for name in ["api_key", "X_Api_Key", "SOAPAction", "X-Forwarded-For", "Sec-Fetch-Site", "Proxyish"] {
            assert!(is_forwarded(name), "{name}");
        }
    }
}
