//! What of a request shapes a response and is no part of the cache key: fields that origins build
//! responses from, and statuses that speak of this one request.
//!
//! A response that depends on such a thing is for who asked, and for nobody else: one client could
//! otherwise choose what all others get (web cache poisoning). A field that `Vary` names is part of the
//! key (RFC 9111 §4.1). The list holds what is known of frameworks, servers and the fields that
//! proxies in front of an origin set; a configuration can extend it (`cache.unkeyed_fields`).

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use super::NotStored;
use crate::http::grammar::{Members, is_token};
use crate::http::{ConnectionOptions, Field, FieldName, Fields, Request};

/// Names of fields that origins build responses from, in lower case and in order. `-` stands for
/// `_`, too: servers of CGI and WSGI fold one into the other.
const NAMES: &[&str] = &[
    "a-im",
    "base-url",
    "client-ip",
    "destination",
    "early-data",
    "forwarded",
    "front-end-https",
    "http-url",
    "proxy-host",
    "proxy-url",
    "real-ip",
    "request-uri",
    "rsc",
    "surrogate-capability",
    "translate",
    "true-client-ip",
    "turbo-frame",
    "url",
    "x-backend",
    "x-backend-host",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-custom-ip-authorization",
    "x-device",
    "x-device-type",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-forwarded",
    "x-forwarder-for",
    "x-host",
    "x-matched-path",
    "x-original",
    "x-originating-ip",
    "x-originating-url",
    "x-override-url",
    "x-path-info",
    "x-prerender-revalidate",
    "x-real-host",
    "x-real-ip",
    "x-referer",
    "x-remote-addr",
    "x-remote-host",
    "x-remote-ip",
    "x-replaced-path",
    "x-request-path",
    "x-request-uri",
    "x-requested-with",
    "x-scheme",
    "x-server-name",
    "x-ssl",
    "x-ua-device",
    "x-uri",
    "x-url",
    "x-url-scheme",
    "x-wap-profile",
];

/// Beginnings of such names.
const PREFIXES: &[&str] = &[
    "akamai-",
    "cf-",
    "cloudfront-",
    "fastly-",
    "forwarded-",
    "hx-",
    "next-",
    "x-akamai-",
    "x-appengine-",
    "x-arr-",
    "x-azure-",
    "x-forward-",
    "x-forwarded-",
    "x-http-",
    "x-inertia",
    "x-invoke-",
    "x-middleware-",
    "x-next-",
    "x-nextjs-",
    "x-now-",
    "x-nuxt-",
    "x-original-",
    "x-pjax",
    "x-proxy-",
    "x-proxyuser-",
    "x-remix-",
    "x-rewrite-",
    "x-vercel-",
];

/// Fields by which a request asks for another method.
const METHODS: &[&str] = &["x-http-method", "x-http-method-override", "x-method", "x-method-override"];

/// No listed name is longer, with what an operator may add.
const NAME_MAX: usize = 64;

/// Fields that the operator counts among those that origins build responses from. Clones share them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnkeyedFields(Arc<[UnkeyedField]>);

/// One of them: a name, or the beginning of names, as `X-Site-*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnkeyedField {
    /// In lower case.
    name: Box<str>,
    is_prefix: bool,
}

impl FromStr for UnkeyedField {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<UnkeyedField, &'static str> {
        let (name, is_prefix) = text.strip_suffix('*').map_or((text, false), |name| (name, true));
        if !is_token(name.as_bytes()) || name.contains('*') || name.len() > NAME_MAX {
            return Err("a field is written as X-Site, or as X-Site-* for all that begin like that");
        }
        Ok(UnkeyedField { name: folded(name.as_bytes()).into(), is_prefix })
    }
}

impl FromIterator<UnkeyedField> for UnkeyedFields {
    fn from_iter<I: IntoIterator<Item = UnkeyedField>>(fields: I) -> UnkeyedFields {
        UnkeyedFields(fields.into_iter().collect())
    }
}

impl UnkeyedFields {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|field| match field.is_prefix {
            true => name.starts_with(&*field.name),
            false => *field.name == *name,
        })
    }
}

/// Whether nothing in a request that the cache key leaves out may shape its response. `response` has
/// the fields of the response, once they are known: what its `Vary` names is part of the key.
pub(super) fn unkeyed_fields(
    request: &Fields,
    response: Option<&Fields>,
    configured: &UnkeyedFields,
) -> Result<(), NotStored> {
    let options = ConnectionOptions::of(request);
    for field in request.iter() {
        // What `Connection` names ends at Larder: the origin answered without having seen it,
        // and a variant's key would say that it had.
        if !field.id.is_connection_specific() && !field.id.is_protected() && options.names(field.name) {
            return Err(NotStored::UnkeyedField);
        }
        if is_harmless(field.id) && configured.0.is_empty() {
            continue;
        }
        let Some(reason) = shaping(&field, configured) else { continue };
        let is_keyed = || response.is_some_and(|response| varies_by(response, &field));
        if reason == NotStored::MethodOverride || !is_keyed() {
            return Err(reason);
        }
    }
    Ok(())
}

/// Whether a request has a field that origins build responses from, so that nothing that answers it
/// speaks for what others get.
pub fn has_unkeyed_fields(request: &Request, configured: &UnkeyedFields) -> bool {
    unkeyed_fields(&request.fields, None, configured).is_err()
}

/// Listed fields that nearly every request has, so that their names need no look.
const fn is_harmless(id: FieldName) -> bool {
    matches!(
        id,
        FieldName::Accept
            | FieldName::AcceptEncoding
            | FieldName::AcceptLanguage
            | FieldName::CacheControl
            | FieldName::Connection
            | FieldName::Cookie
            | FieldName::Host
            | FieldName::IfModifiedSince
            | FieldName::IfNoneMatch
            | FieldName::Pragma
            | FieldName::Range
            | FieldName::Referer
            | FieldName::UserAgent
            | FieldName::Via
    )
}

fn shaping(field: &Field<'_>, configured: &UnkeyedFields) -> Option<NotStored> {
    if field.name.len() > NAME_MAX {
        // No listed name is as long; a longer one may begin like one.
        let begins = folded(field.name.get(..NAME_MAX)?);
        let is_listed = PREFIXES.iter().any(|prefix| begins.starts_with(prefix)) || configured.has(&begins);
        return is_listed.then_some(NotStored::UnkeyedField);
    }
    let name = folded(field.name);
    if METHODS.contains(&&*name) {
        return Some(NotStored::MethodOverride);
    }
    if configured.has(&name) {
        return Some(NotStored::UnkeyedField);
    }
    // A chain of proxies adds it to each request, with addresses: only what is none was written to be
    // read as something else.
    if name == "x-forwarded-for" {
        return (!are_addresses(field.value)).then_some(NotStored::UnkeyedField);
    }
    let is_listed = NAMES.binary_search(&&*name).is_ok() || PREFIXES.iter().any(|p| name.starts_with(p));
    is_listed.then_some(NotStored::UnkeyedField)
}

/// A name as servers may read it.
fn folded(name: &[u8]) -> String {
    name.iter().map(|&octet| if octet == b'_' { '-' } else { octet.to_ascii_lowercase() as char }).collect()
}

fn are_addresses(value: &[u8]) -> bool {
    let is_address = |text: &str| {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        text == "unknown" || bare.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok()
    };
    Members::of(value).all(|member| std::str::from_utf8(member).is_ok_and(is_address))
}

fn varies_by(response: &Fields, field: &Field<'_>) -> bool {
    response.members(FieldName::Vary).any(|name| field.is_named(name))
}

/// Whether a response with this status speaks of fields of this one request that no cache key has, so
/// that it is for nobody else.
pub(super) fn speaks_of_request(request: &Fields, status: u16, response: &Fields) -> bool {
    match status {
        // RFC 6585 §3 to §6: "MUST NOT be stored by a cache".
        428 | 429 | 431 | 511 => true,
        // A delta to what the client has (RFC 3229), and the answers to its connection, content,
        // conditions, ranges and expectations (RFC 9110 §15.5, RFC 8470 §5.2).
        226 | 407 | 408 | 411 | 412 | 413 | 415 | 416 | 417 | 421 | 425 | 426 => true,
        // §15.5.7: there is none "acceptable to the user agent, according to the proactive negotiation
        // header fields received in the request".
        406 => {
            let negotiates = |field: &Field<'_>| {
                matches!(field.id, FieldName::Accept | FieldName::AcceptEncoding | FieldName::AcceptLanguage)
                    || field.is_named(b"Accept-Charset")
            };
            request.iter().any(|field| negotiates(&field) && !varies_by(response, &field))
        }
        // "lacks valid authentication credentials", "considers them insufficient": those of this client.
        401 | 403 => has_credentials(request),
        _ => false,
    }
}

/// Whether a client says who it is.
pub(super) fn has_credentials(request: &Fields) -> bool {
    request.contains(FieldName::Authorization) || request.contains(FieldName::Cookie)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_order_and_in_lower_case() {
        for list in [NAMES, PREFIXES, METHODS] {
            assert!(list.is_sorted());
            assert!(list.iter().all(|name| folded(name.as_bytes()) == *name && name.len() <= NAME_MAX));
        }
    }

    #[test]
    fn addresses_of_a_chain_of_proxies() {
        for good in ["192.0.2.1", "192.0.2.1, 2001:db8::1", "unknown, [2001:db8::1]:80", "192.0.2.1:80", ""] {
            assert!(are_addresses(good.as_bytes()), "{good}");
        }
        for bad in ["evil.example", "192.0.2.1, <script>", "192.0.2", "\"192.0.2.1\""] {
            assert!(!are_addresses(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn what_an_operator_may_add() {
        for bad in ["", "*", "a b", "X-*-Y", "X:", "*X"] {
            assert!(bad.parse::<UnkeyedField>().is_err(), "{bad}");
        }
        let all: UnkeyedFields =
            ["X-Site", "X-Tenant-*"].iter().map(|text| text.parse::<UnkeyedField>().expect(text)).collect();
        let asked = |name: &str| [(name, "1")].into_iter().collect::<Fields>();
        for name in ["x-site", "X_Site", "X-Tenant-Id"] {
            assert_eq!(unkeyed_fields(&asked(name), None, &all), Err(NotStored::UnkeyedField), "{name}");
            assert_eq!(unkeyed_fields(&asked(name), None, &UnkeyedFields::default()), Ok(()), "{name}");
            let response: Fields = [("Vary", name)].into_iter().collect();
            assert_eq!(unkeyed_fields(&asked(name), Some(&response), &all), Ok(()), "{name}");
        }
        assert_eq!(unkeyed_fields(&asked("X-Sites"), None, &all), Ok(()));
    }
}
