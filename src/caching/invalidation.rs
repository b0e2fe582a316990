//! What a request changes at its origin, and so in the cache (RFC 9111 §4.4).

use crate::http::{FieldName, Method, Response, TargetUri};

/// The URIs whose stored responses are to be dropped after `response` to a request with `method`
/// for `target`; none for a safe method or an error.
pub fn invalidated(method: &Method, target: &TargetUri, response: &Response) -> Vec<TargetUri> {
    // "A cache MUST invalidate the target URI (Section 7.1 of [HTTP]) when it receives a
    // non-error status code in response to an unsafe request method (including methods whose
    // safety is unknown)." "A "non-error response" is one with a 2xx (Successful) or 3xx
    // (Redirection) status code."
    if method.is_safe() || !(200..400).contains(&response.status) {
        return Vec::new();
    }
    let mut uris = vec![target.clone()];
    // "A cache MAY invalidate other URIs when it receives a non-error status code in response to
    // an unsafe request method […]. In particular, the URI(s) in the Location and
    // Content-Location response header fields (if present) are candidates for invalidation […].
    // However, a cache MUST NOT trigger an invalidation under these conditions if the origin
    // (Section 4.3.1 of [HTTP]) of the URI to be invalidated differs from that of the target URI".
    for id in [FieldName::Location, FieldName::ContentLocation] {
        let named = response.fields.only(id).and_then(|reference| target.join(reference));
        uris.extend(named.filter(|uri| uri.same_origin(target) && uri != target));
    }
    uris
}
