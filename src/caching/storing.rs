//! May this response be stored (RFC 9111 §3)?
//!
//! First the clauses of §3 in their order, then what storing would be useless for, then Larder's
//! own rules against poisoning: a response that an unkeyed part of the request may have shaped
//! is shared with nobody.

use super::directives::{RequestDirectives, ResponseDirectives};
use super::freshness::{date_value, explicit_lifetime, is_heuristically_cacheable, parse_date};
use super::unkeyed::{has_credentials, speaks_of_request, unkeyed_fields};
use super::{CachePolicy, ETag, Ignorable, NotStored, Overrides, SetCookie, StoredHead, Times};
use crate::http::grammar::is_token;
use crate::http::{FieldName, Fields, Method, Request, Response, Target, TargetUri, Timestamp};

/// Whether the response to `request` may be stored, as far as the request decides. A request
/// whose response will not be stored must not lead a collapse.
pub fn storable_request(request: &Request, policy: &CachePolicy) -> Result<(), NotStored> {
    storable_method(request)?;
    unkeyed_fields(&request.fields, None, &policy.unkeyed_fields)?;
    if RequestDirectives::of(&request.fields).no_store {
        return Err(NotStored::RequestNoStore);
    }
    Ok(())
}

fn storable_method(request: &Request) -> Result<(), NotStored> {
    match request.method {
        Method::Get if request.has_content() => Err(NotStored::RequestContent),
        Method::Get | Method::Post => Ok(()),
        // A response to HEAD has no content to store; it freshens (§4.3.5).
        _ => Err(NotStored::Method),
    }
}

/// Whether `response` may be stored to answer later requests. `request` is as the client sent
/// it, with `Authorization`.
pub fn may_store(
    request: &Request,
    response: &Response,
    times: Times,
    policy: &CachePolicy,
) -> Result<(), NotStored> {
    // "the request method is understood by the cache;"
    let ignored = policy.overrides.ignore;
    let fields = &response.fields;
    storable_method(request)?;
    unkeyed_fields(&request.fields, Some(fields), &policy.unkeyed_fields)?;
    if RequestDirectives::of(&request.fields).no_store && !ignored.has(Ignorable::RequestNoStore) {
        return Err(NotStored::RequestNoStore);
    }
    if policy.overrides.never {
        return Err(NotStored::Rule);
    }
    let directives = policy.targets.directives(fields);
    // "the response status code is final (see Section 15 of [HTTP]);"
    if response.status < 200 {
        return Err(NotStored::Status);
    }
    // "if the response status code is 206 or 304, or the must-understand cache directive […] is
    // present: the cache understands the response status code;"
    match response.status {
        206 => return Err(NotStored::Partial),
        304 => return Err(NotStored::Status),
        status if speaks_of_request(&request.fields, status, fields) => {
            return Err(NotStored::UnkeyedStatus);
        }
        status if directives.must_understand && !is_understood(status) => return Err(NotStored::Status),
        _ => {}
    }
    // "the no-store cache directive is not present in the response (see Section 5.2.2.5);", and
    // §5.2.2.3: with must-understand "the cache SHOULD ignore the no-store directive if it
    // understands and implements the status code's caching requirements".
    if directives.no_store && !directives.must_understand && !ignored.has(Ignorable::NoStore) {
        return Err(NotStored::NoStore);
    }
    // "if the cache is shared: the private response directive is either not present or allows a
    // shared cache to store a modified response;"
    if directives.private && !ignored.has(Ignorable::Private) {
        return Err(NotStored::Private);
    }
    // "if the cache is shared: the Authorization header field is not present in the request […]
    // or a response directive is present that explicitly allows shared caching (see Section 3.5);"
    if request.fields.contains(FieldName::Authorization)
        && !may_share_authorised(&directives)
        && !ignored.has(Ignorable::Authorization)
    {
        return Err(NotStored::Authorization);
    }
    has_freshness(response, &directives, times, &policy.overrides)?;
    own_rules(fields, &directives, policy)?;
    if request.method == Method::Post {
        post_is_storable(request, response, &directives, times)
    } else {
        Ok(())
    }
}

/// Whether `freshened`, which [`StoredHead::freshen`] made of the answer to `request`, may take
/// the stored head's place: a 304 may carry a cookie, or take back what the 200 allowed. If not,
/// it answers this request alone; the stored head stays as it was if the reason
/// [is about the request](NotStored::is_about_request), and goes with its content otherwise.
pub fn may_keep(request: &Request, freshened: &StoredHead, policy: &CachePolicy) -> Result<(), NotStored> {
    let directives = &freshened.directives;
    let ignored = policy.overrides.ignore;
    if policy.overrides.never {
        return Err(NotStored::Rule);
    }
    unkeyed_fields(&request.fields, Some(&freshened.fields), &policy.unkeyed_fields)?;
    // §5.2.1.5: "a cache MUST NOT store any part of either this request or any response to it."
    if RequestDirectives::of(&request.fields).no_store && !ignored.has(Ignorable::RequestNoStore) {
        return Err(NotStored::RequestNoStore);
    }
    if directives.no_store
        && !ignored.has(Ignorable::NoStore)
        && !(directives.must_understand && is_understood(freshened.status))
    {
        return Err(NotStored::NoStore);
    }
    if directives.private && !ignored.has(Ignorable::Private) {
        return Err(NotStored::Private);
    }
    if request.fields.contains(FieldName::Authorization)
        && !may_share_authorised(directives)
        && !ignored.has(Ignorable::Authorization)
    {
        return Err(NotStored::Authorization);
    }
    own_rules(&freshened.fields, directives, policy)?;
    if freshened.varies_by_unknown() { Err(NotStored::VaryUnknown) } else { Ok(()) }
}

// "the response contains at least one of the following: a public response directive […]; an
// Expires header field […]; a max-age response directive […]; if the cache is shared: an s-maxage
// response directive […]; a status code that is defined as heuristically cacheable".
fn has_freshness(
    response: &Response,
    directives: &ResponseDirectives,
    times: Times,
    overrides: &Overrides,
) -> Result<(), NotStored> {
    let said = lifetime_of(response, directives, times);
    let lifetime = overrides.bounded(said.or_else(|| overrides.negative_lifetime(response.status)));
    if lifetime.is_none() && !directives.public && !is_heuristically_cacheable(response.status) {
        return Err(NotStored::NoFreshness);
    }
    // What follows is not in §3: a response that will never be used only takes room. An error is
    // used while it is fresh, and not after a validation: RFC 9110 §13.2.1 has an origin ignore
    // preconditions where its response would have been an error. So 404, 414, 501 and the others
    // of their kind are stored when the origin says for how long, or when their age lets it be
    // estimated; and 400, 403, 413, 431 and 5xx, which a request may have provoked that the cache
    // key does not show, only when the origin says so (`public` is a word of the origin, too).
    let is_error = response.status >= 400;
    if is_error && lifetime.is_none() && has_last_modified(&response.fields, times.response_time) {
        return Ok(());
    }
    if !is_error && has_validator(&response.fields, times.response_time) {
        return Ok(());
    }
    if directives.no_cache && !overrides.ignore.has(Ignorable::NoCache) {
        return Err(NotStored::NoValidator);
    }
    let stale_if_error = overrides.stale_if_error.or(directives.stale_if_error);
    let while_revalidating = overrides.stale_while_revalidate.or(directives.stale_while_revalidate);
    let is_usable_stale = stale_if_error.is_some() || while_revalidating.is_some();
    // Heuristics need Last-Modified, which is a validator.
    if lifetime.unwrap_or(0) == 0 && !is_usable_stale {
        return Err(NotStored::NoFreshness);
    }
    Ok(())
}

fn lifetime_of(response: &Response, directives: &ResponseDirectives, times: Times) -> Option<u64> {
    let received = times.response_time;
    let date = date_value(&response.fields, received).unwrap_or(received);
    explicit_lifetime(directives, &response.fields, (date, received))
}

fn has_validator(fields: &Fields, received: Timestamp) -> bool {
    fields.only(FieldName::ETag).and_then(ETag::parse).is_some() || has_last_modified(fields, received)
}

fn has_last_modified(fields: &Fields, received: Timestamp) -> bool {
    fields.only(FieldName::LastModified).is_some_and(|text| parse_date(text, received).is_some())
}

fn own_rules(
    fields: &Fields,
    directives: &ResponseDirectives,
    policy: &CachePolicy,
) -> Result<(), NotStored> {
    // A cookie that `no-cache="Set-Cookie"` keeps from being stored reaches nobody else.
    let is_withheld = directives.withheld.iter().any(|name| FieldName::of(name) == FieldName::SetCookie);
    let is_ignored = policy.overrides.ignore.has(Ignorable::SetCookie);
    if fields.contains(FieldName::SetCookie) && !is_withheld && !is_ignored {
        match policy.set_cookie {
            SetCookie::Rfc => {}
            SetCookie::Shared if is_marked_shareable(directives) => {}
            SetCookie::Shared | SetCookie::Never => return Err(NotStored::SetCookie),
        }
    }
    // RFC 7240 §2: what a preference has shaped has to say `Vary: Prefer`.
    let is_preferred = fields.all_named(b"Preference-Applied").next().is_some();
    if is_preferred && !fields.members(FieldName::Vary).any(|name| name.eq_ignore_ascii_case(b"Prefer")) {
        return Err(NotStored::UnkeyedField);
    }
    // §4.1: "A stored response with a Vary header field value containing a member "*" always
    // fails to match." What is not a field name (RFC 9110 §12.5.5) may have been meant as any of them.
    if fields.members(FieldName::Vary).any(|name| name == b"*" || !is_token(name)) {
        return Err(NotStored::VaryStar);
    }
    let is_secret = |name| {
        matches!(
            FieldName::of(name),
            FieldName::Authorization | FieldName::Cookie | FieldName::ProxyAuthorization
        )
    };
    if fields.members(FieldName::Vary).any(is_secret) {
        return Err(NotStored::VarySecret);
    }
    if fields.members(FieldName::Vary).count() > policy.vary_names_max {
        return Err(NotStored::VaryTooMany);
    }
    Ok(())
}

/// Whether the origin said that the response is for everyone.
fn is_marked_shareable(directives: &ResponseDirectives) -> bool {
    directives.public || directives.s_maxage.is_some()
}

// §3.5: "In this specification, the following response directives have such an effect:
// must-revalidate […], public […], and s-maxage".
fn may_share_authorised(directives: &ResponseDirectives) -> bool {
    is_marked_shareable(directives) || directives.must_revalidate
}

// RFC 9110 §9.3.3: "Responses to POST requests are only cacheable when they include explicit
// freshness information […] and a Content-Location header field that has the same value as the
// POST's target URI".
fn post_is_storable(
    request: &Request,
    response: &Response,
    directives: &ResponseDirectives,
    times: Times,
) -> Result<(), NotStored> {
    let Target::Absolute(target) = &request.target else {
        return Err(NotStored::Method);
    };
    let location =
        response.fields.only(FieldName::ContentLocation).and_then(|text| TargetUri::join(target, text));
    if location.as_ref() != Some(target) {
        return Err(NotStored::Method);
    }
    match lifetime_of(response, directives, times) {
        Some(1..) => Ok(()),
        _ => Err(NotStored::NoFreshness),
    }
}

/// Whether `response`, which is not stored for this reason, may be shared all the same with those who
/// have waited for it: it came after they asked, and nobody gets it later. RFC 9111 §4 has requests
/// collapse onto what is storable, which this would be but for its use: its origin says that it is
/// stale from the start. What an origin that fails says is alike for all of them.
pub fn may_share_unstored(
    request: &Request,
    response: &Response,
    reason: NotStored,
    times: Times,
    policy: &CachePolicy,
) -> bool {
    let directives = policy.targets.directives(&response.fields);
    let is_useless = matches!(reason, NotStored::NoFreshness | NotStored::NoValidator)
        && own_rules(&response.fields, &directives, policy).is_ok();
    let is_dated = directives.no_cache || lifetime_of(response, &directives, times).is_some();
    is_useless && (is_dated || response.status >= 500) && !has_credentials(&request.fields)
}

/// The final status codes of RFC 9110 §15 whose caching requirements this room implements.
const fn is_understood(status: u16) -> bool {
    matches!(status, 200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}
