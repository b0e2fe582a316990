//! Asking the origin whether a stored response is still good (RFC 9111 §4.3).

use bytes::Bytes;

use super::freshness::parse_date;
use super::{ETag, StoredHead};
use crate::http::grammar::exact_decimal;
use crate::http::{FieldName, Request, Response, Timestamp};

/// Fields of the client's request that a validation request leaves out: its own conditionals,
/// which [`validation_fields`] replace, and the range, which is taken from the validated
/// response afterwards.
pub const REPLACED_BY_VALIDATION: [FieldName; 4] =
    [FieldName::IfNoneMatch, FieldName::IfModifiedSince, FieldName::IfRange, FieldName::Range];

// §4.3.1: "When generating a conditional request for validation, a cache either starts with a
// request it is attempting to satisfy or […] synthesizes a request".
/// The conditional field lines that ask about these stored responses; none when they have no
/// validator.
pub fn validation_fields(stored: &[&StoredHead]) -> Vec<(FieldName, Bytes)> {
    let mut lines = Vec::new();
    // "MUST send the relevant entity tags (using If-Match, If-None-Match, or If-Range) if the
    // entity tags were provided in the stored response(s) being validated."
    let tags: Vec<&[u8]> = stored.iter().filter_map(|head| head.etag()).map(ETag::as_bytes).collect();
    if !tags.is_empty() {
        lines.push((FieldName::IfNoneMatch, tags.join(&b", "[..]).into()));
    }
    // "SHOULD send the Last-Modified value (using If-Modified-Since) if the request is not for a
    // subrange, a single stored response is being validated, and that response contains a
    // Last-Modified value." The origin gets its own octets back, as some compare them as text.
    if let [head] = stored
        && head.last_modified().is_some()
        && let Some(text) = head.fields.only(FieldName::LastModified)
    {
        lines.push((FieldName::IfModifiedSince, Bytes::copy_from_slice(text)));
    }
    lines
}

/// Which of the stored responses that were asked about does this 304 freshen (§4.3.4)? `None`
/// when it speaks of a representation that is not stored: the request has to be sent again
/// without conditions, and nothing is updated. It came at `received`.
pub fn freshened_by(response: &Response, received: Timestamp, stored: &[&StoredHead]) -> Option<usize> {
    let tag = response.fields.only(FieldName::ETag).and_then(ETag::parse);
    let modified = response.fields.only(FieldName::LastModified);
    let modified = modified.and_then(|text| parse_date(text, received));
    let newest = |matches: &dyn Fn(&StoredHead) -> bool| {
        let candidates = stored.iter().enumerate().filter(|(_, head)| matches(head));
        candidates.max_by_key(|(_, head)| (head.date(), head.times.response_time)).map(|(index, _)| index)
    };
    match (&tag, modified) {
        // "If none of the initial set contains at least one of the same strong validators, then
        // the cache MUST NOT use the new response to update any stored responses."
        (Some(tag), date) if !tag.is_weak() => newest(&|head| {
            let is_dated_alike = date.is_some_and(|date| is_strongly_dated(head, date));
            match head.etag() {
                Some(known) => known.strong_eq(tag) || is_dated_alike && known.weak_eq(tag),
                None => is_dated_alike,
            }
        }),
        // "If the new response contains no strong validators but does contain one or more weak
        // validators, and those validators correspond to one of the initial set's stored responses,
        // then the most recent of those matching stored responses is identified for update."
        (Some(tag), _) => newest(&|head| head.etag().is_some_and(|known| known.weak_eq(tag))),
        (None, Some(date)) => newest(&|head| head.last_modified() == Some(date)),
        // "If the new response does not include any form of validator […], and there is only one
        // stored response in the initial set, and that stored response also lacks a validator, then
        // that stored response is identified for update." Larder only asks
        // with validators; an origin that repeats none of them can still only have meant the
        // one response that it was asked about.
        (None, None) => (stored.len() == 1).then_some(0),
    }
}

// RFC 9110 §8.8.2.2: a date is a strong validator where it is compared by a cache with that of its own
// entry, whose Date is later, and "there is enough difference between the Last-Modified and Date values to
// make clock synchronization issues unlikely": 60 seconds, as RFC 7232 had it.
fn is_strongly_dated(stored: &StoredHead, date: Timestamp) -> bool {
    const DIFFERENCE_SECONDS: u64 = 60;
    stored.last_modified() == Some(date) && stored.date().seconds_since(date) >= DIFFERENCE_SECONDS
}

/// Which of the stored responses a 304 freshens that answers a client's own conditions, and not a
/// validation of Larder's: those that it names by a validator among those that the request selects.
pub fn freshened_by_answer(
    request: &Request,
    response: &Response,
    received: Timestamp,
    stored: &[&StoredHead],
) -> Vec<usize> {
    let has = |id| response.fields.contains(id);
    if response.status != 304 || !has(FieldName::ETag) && !has(FieldName::LastModified) {
        return Vec::new();
    }
    let places = stored.iter().enumerate().filter(|(_, head)| head.selects(&request.fields));
    let (places, selected): (Vec<usize>, Vec<&StoredHead>) = places.map(|(at, head)| (at, *head)).unzip();
    let is_strong = response.fields.only(FieldName::ETag).and_then(ETag::parse).is_some_and(|t| !t.is_weak());
    if !is_strong {
        let newest = freshened_by(response, received, &selected);
        return newest.and_then(|at| places.get(at).copied()).into_iter().collect();
    }
    let is_named = |head: &&StoredHead| freshened_by(response, received, &[head]).is_some();
    places.into_iter().zip(&selected).filter(|(_, head)| is_named(head)).map(|(at, _)| at).collect()
}

// §4.3.4: "The initial set of stored responses to update are those that could have been chosen for
// that request […]. If the new response contains one or more strong validators (see [HTTP] §8.8.1),
// then each of those strong validators identifies a selected representation for update. All the
// stored responses in the initial set with one of those same strong validators are identified for
// update."
/// Whether this 304 to `request` freshens `other`, too, which it was not asked about. By entity tag
/// alone: whether a Last-Modified is strong, a 304 does not tell of a response that it has not seen.
pub fn freshens_as_well(request: &Request, response: &Response, other: &StoredHead) -> bool {
    let tag = response.fields.only(FieldName::ETag).and_then(ETag::parse);
    let is_same = |tag: &ETag| other.etag().is_some_and(|known| known.strong_eq(tag));
    tag.as_ref().is_some_and(is_same) && other.selects(&request.fields)
}

// §4.3.3: "A full response (i.e., one containing content) indicates that none of the stored
// responses nominated in the conditional request are suitable."
/// Whether an answer with this status to a validation ends the use of what was asked about, even where it is not
/// stored itself. Not those that speak of this client, of this request or of a passing state.
pub const fn supersedes(status: u16) -> bool {
    matches!(status, 200..=205 | 300..=303 | 305 | 307 | 308 | 404 | 410 | 451)
}

/// Whether a full response is of the representation that is stored, by its validators: the tags where
/// both have one, else the dates. Without either nobody knows.
pub fn is_unchanged(stored: &StoredHead, new: &StoredHead) -> bool {
    if stored.status != new.status {
        return false;
    }
    match (stored.etag(), new.etag()) {
        (Some(known), Some(tag)) => known.weak_eq(tag),
        _ => stored.last_modified().is_some_and(|date| new.last_modified() == Some(date)),
    }
}

/// What a 200 response to HEAD does to a stored response to GET (§4.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadEffect {
    /// It is freshened: [`StoredHead::freshen`].
    Freshen,
    /// The origin has another representation now: [`StoredHead::as_stale`].
    Stale,
    /// The response to HEAD says nothing about it.
    None,
}

// "For each of the stored responses that could have been chosen, if the stored response and HEAD
// response have matching values for any received validator fields (ETag and Last-Modified) and,
// if the HEAD response has a Content-Length header field, the value of Content-Length matches
// that of the stored response, the cache SHOULD update the stored response […]; otherwise, the
// cache SHOULD consider the stored response to be stale."
/// What `response` to HEAD does to `stored`, whose complete content has so many octets.
pub fn freshened_by_head(stored: &StoredHead, response: &Response, content_length: u64) -> HeadEffect {
    if response.status != 200 || stored.status != 200 {
        return HeadEffect::None;
    }
    let matches = |id| {
        let received = response.fields.first(id);
        received.is_none() || received == stored.fields.first(id)
    };
    // With §4.3.4: a response without any validator identifies nothing; the resource may be another
    // one by now.
    let is_identified =
        [FieldName::ETag, FieldName::LastModified].iter().any(|id| response.fields.contains(*id));
    let length = response.fields.first(FieldName::ContentLength);
    let same_length = length.is_none_or(|text| exact_decimal(text) == Some(content_length));
    if is_identified && matches(FieldName::ETag) && matches(FieldName::LastModified) && same_length {
        HeadEffect::Freshen
    } else {
        HeadEffect::Stale
    }
}
