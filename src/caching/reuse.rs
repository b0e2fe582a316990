//! May a stored response answer this request (RFC 9111 §4, §5.2.1)?
//!
//! A fresh hit allocates nothing and parses nothing of the stored response.

use super::directives::RequestDirectives;
use super::unkeyed::{has_credentials, unkeyed_fields};
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
    // §4: "A cache MUST write through requests with methods that are unsafe […] to the origin server".
    request.method.is_safe() && RequestDirectives::of(&request.fields).only_if_cached
}

/// Whether the client insists on an answer of the origin's (§5.2.1.1, §5.2.1.4).
pub fn insists_on_validation(request: &Request) -> bool {
    RequestDirectives::of(&request.fields).wants_validation()
}

/// What to do with `request`, given the responses that are stored under its cache key, in any
/// order.
pub fn decide(request: &Request, stored: &[&StoredHead], now: Timestamp, policy: &CachePolicy) -> Decision {
    if let Err(reason) = cacheable_request(request) {
        return forward(reason, request);
    }
    let wishes = wishes(request, policy);
    if policy.overrides.never {
        return forward(ForwardReason::Bypass, request);
    }
    let Some(index) = selected(request, stored) else {
        let reason = if stored.is_empty() { ForwardReason::UriMiss } else { ForwardReason::VaryMiss };
        return forward(reason, request);
    };
    let Some(head) = stored.get(index) else { return forward(ForwardReason::Miss, request) };
    if refuses_credentials(head, request) {
        return forward(ForwardReason::Request, request);
    }
    let age = head.current_age(now);
    let ttl = head.ttl(now, policy);
    match is_usable(head, &wishes, now, policy) {
        Ok(()) => Decision::Reuse { index, age, ttl },
        Err(ForwardReason::Stale) if may_serve_while_revalidating(request, head, now, policy) => {
            Decision::ReuseAndValidate { index, age, ttl }
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

// RFC 9110 §15.5.2, §15.5.4: such a response says that credentials are missing, or that those were not
// enough that came. Who brings some may get another answer.
/// Whether a stored response asks for credentials, which this request has.
fn refuses_credentials(head: &StoredHead, request: &Request) -> bool {
    matches!(head.status, 401 | 403) && has_credentials(&request.fields)
}

/// Whether a response that another request has brought answers `request`, too, which came before it did
/// (§4: a cache can "collapse requests"). With its freshness left, in seconds. It need not be fresh:
/// that it came after the request is all that a validation for this one could show.
pub fn decide_collapsed(
    request: &Request,
    head: &StoredHead,
    now: Timestamp,
    policy: &CachePolicy,
) -> Option<i64> {
    let wishes = wishes(request, policy);
    let (age, ttl) = (head.current_age(now), head.ttl(now, policy));
    let is_young = wishes.max_age.is_none_or(|limit| age <= limit);
    let lasts = wishes.min_fresh.is_none_or(|least| i64::try_from(least).is_ok_and(|least| ttl >= least));
    let answers = cacheable_request(request).is_ok()
        && !policy.overrides.never
        && !wishes.wants_validation()
        && head.selects(&request.fields)
        && !refuses_credentials(head, request);
    (answers && is_young && lasts).then_some(ttl)
}

fn forward(reason: ForwardReason, request: &Request) -> Decision {
    // §5.2.1.7: "Caches that honor this request directive SHOULD, upon receiving it, respond with
    // either a stored response […] or a 504 (Gateway Timeout) status code."
    if wants_stored_only(request) { Decision::GatewayTimeout } else { Decision::Forward(reason) }
}

fn is_usable(
    head: &StoredHead,
    wishes: &RequestDirectives,
    now: Timestamp,
    policy: &CachePolicy,
) -> Result<(), ForwardReason> {
    let (age, lifetime) = (head.current_age(now), head.freshness_lifetime(policy).seconds());
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
        let welcome = wishes.max_stale.is_some_and(|stale| head.staleness(now, policy) <= stale);
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
    // Every directive above and below is such a signal, and nothing else has a fresh response validated.
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
pub(super) fn forbids_stale(head: &StoredHead, policy: &CachePolicy) -> bool {
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
    stored.staleness(now, policy) <= window
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
    if !is_kept || unkeyed_fields(&request.fields, Some(&stored.fields), &policy.unkeyed_fields).is_err() {
        return false;
    }
    window.is_some_and(|window| stored.staleness(now, policy) <= window)
        && !forbids_stale(stored, policy)
        && !wishes.wants_validation()
        && wishes.min_fresh.is_none()
        && wishes.max_age.is_none_or(|limit| age <= limit)
}

/// Whether a stored response is of more use to others than an error of its origin's: it is fresh, or
/// may be used stale while the origin fails.
pub fn is_usable_for_others(stored: &StoredHead, now: Timestamp, policy: &CachePolicy) -> bool {
    let ignores_no_cache = policy.overrides.ignore.has(Ignorable::NoCache);
    let is_fresh = stored.ttl(now, policy) > 0 && (!stored.directives.no_cache || ignores_no_cache);
    let said = policy.overrides.stale_if_error.or(stored.directives.stale_if_error);
    let window = said.unwrap_or(policy.stale_on_error_seconds);
    let may_be_stale = !forbids_stale(stored, policy) && stored.staleness(now, policy) <= window;
    (200..400).contains(&stored.status) && (is_fresh || may_be_stale)
}

/// Why a response is not served while it is validated although it says that it may be (RFC 5861 §3): as
/// a detail of the outcome.
pub fn stale_use_forbidden(
    stored: &StoredHead,
    now: Timestamp,
    policy: &CachePolicy,
) -> Option<&'static str> {
    let directives = &stored.directives;
    let window = policy.overrides.stale_while_revalidate.or(directives.stale_while_revalidate)?;
    if stored.staleness(now, policy) > window || !forbids_stale(stored, policy) {
        return None;
    }
    Some(match directives {
        directives if directives.no_cache => "no-cache-forbids-stale",
        directives if directives.must_revalidate => "must-revalidate-forbids-stale",
        directives if directives.proxy_revalidate => "proxy-revalidate-forbids-stale",
        _ => "s-maxage-forbids-stale",
    })
}

/// Whether a response to a validation counts as "the server failed to respond" (§4.3.3), with the
/// statuses that RFC 5861 §4 calls an error.
pub const fn is_error_for_stale(status: u16) -> bool {
    matches!(status, 500 | 502 | 503 | 504)
}
