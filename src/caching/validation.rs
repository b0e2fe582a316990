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
        (Some(tag), _) if !tag.is_weak() => {
            newest(&|head| head.etag().is_some_and(|known| known.strong_eq(tag)))
        }
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
/// Whether this answer to a validation ends the use of what was asked about, even where it is not
/// stored itself. Not those that speak of this client, of this request or of a passing state.
pub const fn supersedes(response: &Response) -> bool {
    matches!(response.status, 200..=205 | 300..=303 | 305 | 307 | 308 | 404 | 410 | 451)
}

/// What a 200 response to HEAD does to a stored response to GET (§4.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadEffect {
    /// It is freshened: [`StoredHead::freshen`].
    Freshen,
    /// The origin has another representation now: it is stale, and Larder drops it.
    Invalidate,
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
    let length = response.fields.first(FieldName::ContentLength);
    let same_length = length.is_none_or(|text| exact_decimal(text) == Some(content_length));
    if matches(FieldName::ETag) && matches(FieldName::LastModified) && same_length {
        HeadEffect::Freshen
    } else {
        HeadEffect::Invalidate
    }
}
