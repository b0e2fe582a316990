//! May a stored response answer this request (RFC 9111 §4, §5.2.1)?
//!
//! A fresh hit allocates nothing and parses nothing of the stored response.

use super::directives::RequestDirectives;
use super::storing::unkeyed_fields;
use super::{CachePolicy, ForwardReason, Ignorable, StoredHead};
use crate::http::{FieldName, Method, Request, Timestamp};

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The stored response answers without asking the origin: it is fresh, or stale and the
    /// client said that it may be. [`super::answer`] says what of it.
    Reuse {
        index: usize,
        /// Seconds, for `Age`.
        age: u64,
        /// Seconds of freshness left; negative when stale.
        ttl: i64,
    },
    /// The stored response is stale, and answers without waiting for the origin, which is asked
    /// afterwards whether it is still good (RFC 5861 §3).
    ReuseAndValidate {
        index: usize,
        /// Seconds, for `Age`.
        age: u64,
        /// Seconds of freshness left: not above zero.
        ttl: i64,
    },
    /// The origin must be asked, with [`super::validation_fields`] of this response. They are
    /// none when it has no validator; it can still be served stale if the origin fails.
    Validate { index: usize, reason: ForwardReason },
    /// Nothing stored can be used.
    Forward(ForwardReason),
    /// §5.2.1.7 only-if-cached and nothing to reuse: 504.
    GatewayTimeout,
}

/// Whether the store is asked for this request at all, and if not, why it is forwarded.
pub fn cacheable_request(request: &Request) -> Result<(), ForwardReason> {
    if !matches!(request.method, Method::Get | Method::Head) {
        return Err(ForwardReason::Method);
    }
    // Content of a GET has no defined meaning (RFC 9110 §9.3.1): the origin may give it one, so
    // that the answer is not the cache key's. It also has to be read before the next request.
    if request.has_content() {
        return Err(ForwardReason::Bypass);
    }
    // §4.3.2: "the If-Match and If-Unmodified-Since conditional header fields are not applicable
    // to a cache": only the origin knows the current representation.
    let fields = &request.fields;
    if fields.contains(FieldName::IfMatch) || fields.contains(FieldName::IfUnmodifiedSince) {
        return Err(ForwardReason::Request);
    }
    Ok(())
}

// §5.2.1.7: "The only-if-cached request directive indicates that the client only wishes to obtain
// a stored response."
/// Whether the client wants no request to go to the origin, so that what can't be answered from
/// the store is answered with 504.
pub fn wants_stored_only(request: &Request) -> bool {
    RequestDirectives::of(&request.fields).only_if_cached
}

/// What to do with `request`, given the responses that are stored under its cache key, in any
/// order.
pub fn decide(request: &Request, stored: &[&StoredHead], now: Timestamp, policy: &CachePolicy) -> Decision {
    if let Err(reason) = cacheable_request(request) {
        return forward(reason, &RequestDirectives::of(&request.fields));
    }
    let wishes = wishes(request, policy);
    if policy.overrides.never {
        return forward(ForwardReason::Bypass, &wishes);
    }
    let Some(index) = selected(request, stored) else {
        let reason = if stored.is_empty() { ForwardReason::UriMiss } else { ForwardReason::VaryMiss };
        return forward(reason, &wishes);
    };
    let Some(head) = stored.get(index) else { return forward(ForwardReason::Miss, &wishes) };
    let age = head.current_age(now);
    let lifetime = head.freshness_lifetime(policy).seconds();
    match is_usable(head, &wishes, (age, lifetime), policy) {
        Ok(()) => Decision::Reuse { index, age, ttl: difference(lifetime, age) },
        Err(ForwardReason::Stale) if may_serve_while_revalidating(request, head, now, policy) => {
            Decision::ReuseAndValidate { index, age, ttl: difference(lifetime, age) }
        }
        Err(_) if wishes.only_if_cached => Decision::GatewayTimeout,
        Err(reason) => Decision::Validate { index, reason },
    }
}

/// The directives of a request, but for those that a rule of the operator has Larder not hear.
fn wishes(request: &Request, policy: &CachePolicy) -> RequestDirectives {
    let mut wishes = RequestDirectives::of(&request.fields);
    if policy.overrides.ignore.has(Ignorable::RequestNoCache) {
        wishes.no_cache = false;
        wishes.max_age = wishes.max_age.filter(|&limit| limit > 0);
    }
    wishes
}

/// Which of the stored responses, in any order, a request selects (§4.1).
pub fn selected(request: &Request, stored: &[&StoredHead]) -> Option<usize> {
    stored
        .iter()
        .enumerate()
        // "the request method associated with the stored response allows it to be used for the
        // presented request," and "request header fields nominated by the stored response (if
        // any) match those presented (see Section 4.1),"
        .filter(|(_, head)| head.selects(&request.fields))
        // §4.1: "When a cache has multiple stored responses for a target URI and one or more omits
        // the Vary header field, the cache SHOULD choose the most recent […] stored response with a
        // valid Vary field value." §4: "When more than one suitable response is stored, a cache
        // MUST use the most recent one (as determined by the Date header field)."
        .max_by_key(|(_, head)| (head.varies(), head.date(), head.times.response_time))
        .map(|(index, _)| index)
}

fn forward(reason: ForwardReason, wishes: &RequestDirectives) -> Decision {
    // §5.2.1.7: "Caches that honor this request directive SHOULD, upon receiving it, respond with
    // either a stored response […] or a 504 (Gateway Timeout) status code."
    if wishes.only_if_cached { Decision::GatewayTimeout } else { Decision::Forward(reason) }
}

fn is_usable(
    head: &StoredHead,
    wishes: &RequestDirectives,
    (age, lifetime): (u64, u64),
    policy: &CachePolicy,
) -> Result<(), ForwardReason> {
    // "the stored response does not contain the no-cache directive (Section 5.2.2.4), unless it
    // is successfully validated,"
    if head.directives.no_cache && !policy.overrides.ignore.has(Ignorable::NoCache) {
        return Err(ForwardReason::Stale);
    }
    // "the stored response is one of the following: fresh […], or allowed to be served stale […],
    // or successfully validated", and §4.2: "response_is_fresh = (freshness_lifetime > current_age)".
    let is_fresh = lifetime > age;
    if !is_fresh {
        // §5.2.1.2: "the client is willing to accept a response that has exceeded its freshness
        // lifetime by no more than the specified number of seconds."
        let welcome = wishes.max_stale.is_some_and(|stale| age - lifetime <= stale);
        if !welcome || forbids_stale(head, policy) {
            return Err(ForwardReason::Stale);
        }
    }
    // §5.2.1.4: "the client prefers a stored response not be used to satisfy the request without
    // successful validation on the origin server."
    if wishes.wants_validation() {
        return Err(ForwardReason::Request);
    }
    // RFC 8246 §2.1: "proxies SHOULD skip conditionally revalidating fresh responses containing the
    // immutable extension unless there is a signal from the client that a validation is necessary".
    // no-cache and max-age=0 are that signal, and came above; a wish for a younger response is not.
    if is_fresh && head.directives.immutable {
        return Ok(());
    }
    // §5.2.1.1: "the client prefers a response whose age is less than or equal to the specified
    // number of seconds."
    if wishes.max_age.is_some_and(|limit| age > limit) {
        return Err(ForwardReason::Request);
    }
    // §5.2.1.3: "the client prefers a response whose freshness lifetime is no less than its
    // current age plus the specified time in seconds."
    if wishes.min_fresh.is_some_and(|least| lifetime < age.saturating_add(least)) {
        return Err(ForwardReason::Request);
    }
    Ok(())
}

// §4.2.4: "A cache MUST NOT generate a stale response if it is prohibited by an explicit
// in-protocol directive (e.g., by a no-cache response directive, a must-revalidate response
// directive, or an applicable s-maxage or proxy-revalidate response directive)."
fn forbids_stale(head: &StoredHead, policy: &CachePolicy) -> bool {
    let directives = &head.directives;
    let ignored = policy.overrides.ignore;
    let must_be_validated =
        directives.must_revalidate || directives.proxy_revalidate || directives.s_maxage.is_some();
    directives.no_cache && !ignored.has(Ignorable::NoCache)
        || must_be_validated && !ignored.has(Ignorable::MustRevalidate)
}

/// Whether the stored response may be served when its validation failed because the origin could
/// not be reached or answered with an error ([`is_error_for_stale`]): §4.2.4, RFC 5861 §4.
pub fn may_serve_stale_on_error(
    request: &Request,
    stored: &StoredHead,
    now: Timestamp,
    policy: &CachePolicy,
) -> bool {
    let wishes = wishes(request, policy);
    if forbids_stale(stored, policy) || wishes.wants_validation() {
        return false;
    }
    // RFC 5861 §4 gives the directive to both sides; what both say is kept. Without it, §4.2.4:
    // not "unless it is disconnected", which is the operator's limit to set.
    let said = policy.overrides.stale_if_error.or(stored.directives.stale_if_error);
    let window = match (said, wishes.stale_if_error) {
        (Some(origin), Some(client)) => origin.min(client),
        (Some(seconds), None) | (None, Some(seconds)) => seconds,
        (None, None) => policy.stale_on_error_seconds,
    };
    staleness(stored, now, policy) <= window
}

// RFC 5861 §3: "MAY serve the response in which it appears after it becomes stale, up to the
// indicated number of seconds", and "it SHOULD attempt to revalidate it while still serving stale
// responses (i.e., without blocking)."
fn may_serve_while_revalidating(
    request: &Request,
    stored: &StoredHead,
    now: Timestamp,
    policy: &CachePolicy,
) -> bool {
    let wishes = wishes(request, policy);
    let age = stored.current_age(now);
    let window = policy.overrides.stale_while_revalidate.or(stored.directives.stale_while_revalidate);
    // What the validation brings is stored, or it was for nothing.
    let is_kept = !wishes.no_store || policy.overrides.ignore.has(Ignorable::RequestNoStore);
    if !is_kept || unkeyed_fields(&request.fields).is_err() {
        return false;
    }
    window.is_some_and(|window| staleness(stored, now, policy) <= window)
        && !forbids_stale(stored, policy)
        && !wishes.wants_validation()
        && wishes.min_fresh.is_none()
        && wishes.max_age.is_none_or(|limit| age <= limit)
}

/// Seconds since the response became stale; 0 when it is fresh.
fn staleness(stored: &StoredHead, now: Timestamp, policy: &CachePolicy) -> u64 {
    stored.current_age(now).saturating_sub(stored.freshness_lifetime(policy).seconds())
}

/// Whether a response to a validation counts as "the server failed to respond" (§4.3.3), with the
/// statuses that RFC 5861 §4 calls an error.
pub const fn is_error_for_stale(status: u16) -> bool {
    matches!(status, 500 | 502 | 503 | 504)
}

/// `a - b` of two numbers of seconds, both at most 2^31.
fn difference(a: u64, b: u64) -> i64 {
    i64::try_from(a).unwrap_or(i64::MAX) - i64::try_from(b).unwrap_or(i64::MAX)
}
