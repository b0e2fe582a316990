//! What of a usable stored response answers a request: its conditions (RFC 9111 §4.3.2, in the
//! order of RFC 9110 §13.2.2) and its range (RFC 9110 §14).
//!
//! `If-Match` and `If-Unmodified-Since` never come here: a cache can't evaluate them
//! ([`super::cacheable_request`]).

use super::range::{ByteRange, Ranges};
use super::{ETag, StoredHead};
use crate::http::{FieldName, Fields, Method, Request, Timestamp};

/// What of the stored response to send. For HEAD, without the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All of it, with its own status.
    Whole,
    /// 304 (RFC 9110 §15.4.5).
    NotModified,
    /// 206 with one range.
    Range(ByteRange),
    /// 206 as `multipart/byteranges`, at least two parts in the order asked for.
    MultiRange(Vec<ByteRange>),
    /// 416, with `Content-Range: bytes */length`.
    RangeNotSatisfiable,
}

/// What of `stored`, whose complete content has `content_length` octets, answers `request`.
pub fn answer(request: &Request, stored: &StoredHead, content_length: u64) -> Answer {
    // RFC 9110 §13.2.1: "A server MUST ignore all received preconditions if its response to the
    // same request without those conditions […] would have been a status code other than a 2xx
    // (Successful) or 412".
    if !(200..300).contains(&stored.status) {
        return Answer::Whole;
    }
    if is_not_modified(&request.fields, stored) {
        return Answer::NotModified;
    }
    // §14.2: "A server MUST ignore a Range header field received with a request method that is
    // unrecognized or for which range handling is not defined. For this specification, GET is
    // the only method for which range handling is defined."
    if request.method != Method::Get || stored.status != 200 {
        return Answer::Whole;
    }
    let Some(range) = request.fields.only(FieldName::Range) else {
        return Answer::Whole;
    };
    // §13.2.2 step 5: "When the method is GET and both Range and If-Range are present, evaluate
    // the If-Range precondition: if true and the Range is applicable to the selected
    // representation, respond 206 […]; otherwise, ignore the Range header field and respond 200".
    if request.fields.contains(FieldName::IfRange) && !if_range_holds(&request.fields, stored) {
        return Answer::Whole;
    }
    match Ranges::parse(range, content_length) {
        Ranges::Ignored => Answer::Whole,
        Ranges::Unsatisfiable => Answer::RangeNotSatisfiable,
        Ranges::One(range) => Answer::Range(range),
        Ranges::Many(ranges) => Answer::MultiRange(ranges),
    }
}

fn is_not_modified(fields: &Fields, stored: &StoredHead) -> bool {
    // §13.2.2 step 3: "When If-None-Match is present, evaluate the If-None-Match precondition".
    if fields.contains(FieldName::IfNoneMatch) {
        return fields.all(FieldName::IfNoneMatch).any(|list| {
            // §13.1.2: "If the field value is "*", the condition is false if the origin server
            // has a current representation for the target resource."
            list == b"*" || stored.etag().is_some_and(|tag| tag.is_weakly_in(list))
        });
    }
    // Step 4: "When the method is GET or HEAD, If-None-Match is not present, and
    // If-Modified-Since is present, evaluate the If-Modified-Since precondition". §13.1.3 has a
    // value that is no date, or more than one, ignored.
    let Some(since) = fields.only(FieldName::IfModifiedSince).and_then(|text| date_at(text, stored)) else {
        return false;
    };
    // RFC 9111 §4.3.2: "If a request contains an If-Modified-Since header field and the
    // Last-Modified header field is not present in a stored response, a cache SHOULD use the
    // stored response's Date field value (or, if no Date field is present, the time that the
    // stored response was received) to evaluate the conditional."
    stored.last_modified().unwrap_or(stored.date()) <= since
}

/// A date that a client sends about `stored`. A year of two digits is read at the time when that was
/// received, as its own dates are, so that both mean the same year.
fn date_at(text: &[u8], stored: &StoredHead) -> Option<Timestamp> {
    Timestamp::parse_http_date_at(text, stored.times.response_time)
}

// RFC 9110 §13.1.5.
fn if_range_holds(fields: &Fields, stored: &StoredHead) -> bool {
    let Some(value) = fields.only(FieldName::IfRange) else {
        return false;
    };
    // "If the entity-tag validator provided exactly matches the ETag field value for the selected
    // representation using the strong comparison function […], the condition is true."
    if let Some(tag) = ETag::parse(value) {
        return stored.etag().is_some_and(|known| known.strong_eq(&tag));
    }
    // "If the HTTP-date validator provided is not a strong validator in the sense defined by
    // [§8.8.2.2], the condition is false", which asks for a Date at least one second later. "If
    // the HTTP-date validator provided exactly matches the Last-Modified field value for the
    // selected representation, the condition is true."
    match (date_at(value, stored), stored.last_modified()) {
        (Some(date), Some(modified)) => date == modified && stored.date() > modified,
        _ => false,
    }
}
