//! How long a response is fresh and how old it is (RFC 9111 §4.2).
//!
//! Seconds everywhere, saturating at 2^31, so that no value on the wire can overflow or make a
//! response younger. A clock that is set back a little makes nothing older or younger than it was
//! when received; one that is set back by more makes everything stale that it can't date any more.

use super::directives::{DELTA_SECONDS_MAX, ResponseDirectives, delta_seconds};
use crate::http::{FieldName, Fields, Timestamp};

/// How far a clock may be set back before what was received by it counts as stale. Arbitrary: what
/// keeps clocks right moves them by less.
pub(super) const SET_BACK_SECONDS_MAX: u64 = 300;

/// When an exchange with the origin took place, by Larder's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When the request was initiated (`request_time` of §4.2.3).
    pub request_time: Timestamp,
    /// When the response head was received (`response_time`).
    pub response_time: Timestamp,
}

/// How long a response is fresh, in seconds since the origin made it (RFC 9111 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// The origin said so.
    Explicit(u64),
    /// Estimated from `Last-Modified` (§4.2.2).
    Heuristic(u64),
    /// A rule of the operator said so.
    Rule(u64),
    /// Neither said nor to be estimated: stale from the start.
    None,
}

impl Lifetime {
    /// The seconds; 0 for none.
    pub const fn seconds(self) -> u64 {
        match self {
            Lifetime::Explicit(seconds) | Lifetime::Heuristic(seconds) | Lifetime::Rule(seconds) => seconds,
            Lifetime::None => 0,
        }
    }
}

/// The value of `Date` of a response that came at `received`, when it is there exactly once and valid.
pub(super) fn date_value(fields: &Fields, received: Timestamp) -> Option<Timestamp> {
    fields.only(FieldName::Date).and_then(|text| parse_date(text, received))
}

// §4.2: "Although all date formats are specified to be case-sensitive, a cache recipient SHOULD
// match the field value case-insensitively."
/// A date that freshness is calculated with, in a message that came at `received`.
pub(super) fn parse_date(text: &[u8], received: Timestamp) -> Option<Timestamp> {
    // No date is longer than that of RFC 850 with the longest day, of 33 octets.
    const LENGTH_MAX: usize = 40;
    Timestamp::parse_http_date_at(text, received).or_else(|| {
        if text.len() > LENGTH_MAX {
            return None;
        }
        let mut canonical = text.to_ascii_lowercase();
        let mut in_word = false;
        for byte in &mut canonical {
            if !in_word {
                byte.make_ascii_uppercase();
            }
            in_word = byte.is_ascii_alphabetic();
        }
        if let Some(zone) =
            canonical.strip_suffix(b"mt").map(<[u8]>::len).and_then(|at| canonical.get_mut(at..))
        {
            zone.make_ascii_uppercase();
        }
        Timestamp::parse_http_date_at(&canonical, received)
            .or_else(|| with_its_own_weekday(&canonical, received))
    })
}

// RFC 9110 §5.6.7: "Recipients of timestamp values are encouraged to be robust in parsing
// timestamps unless otherwise restricted by the field definition." The day of the week says
// nothing that the date does not say; a wrong one leaves the moment as clear as before.
fn with_its_own_weekday(date: &[u8], received: Timestamp) -> Option<Timestamp> {
    const DAYS: [&[u8]; 7] =
        [b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday", b"Sunday"];
    let name_length = date.iter().position(|byte| !byte.is_ascii_alphabetic())?;
    let (said, rest) = date.split_at_checked(name_length)?;
    // Whole in the format of RFC 850, three letters in the two others.
    let named_alike = |day: &'static [u8]| if name_length == 3 { day.get(..3) } else { Some(day) };
    if !DAYS.into_iter().filter_map(named_alike).any(|day| day == said) {
        return None;
    }
    let on = |day: &'static [u8]| Timestamp::parse_http_date_at(&[day, rest].concat(), received);
    DAYS.into_iter().filter_map(named_alike).find_map(on)
}

/// The age of a response at the moment it was received (§4.2.3).
pub(super) fn corrected_initial_age(fields: &Fields, date: Timestamp, times: Times) -> u64 {
    // "apparent_age = max(0, response_time - date_value);"
    let apparent_age = times.response_time.seconds_since(date);
    // "response_delay = response_time - request_time; corrected_age_value = age_value + response_delay;"
    let response_delay = times.response_time.seconds_since(times.request_time);
    let corrected_age_value = age_value(fields).saturating_add(response_delay);
    // "corrected_initial_age = max(apparent_age, corrected_age_value);"
    apparent_age.max(corrected_age_value).min(DELTA_SECONDS_MAX)
}

// §5.1: "a cache encountering a message with a list-based Age field value SHOULD use the first
// member of the field value, discarding subsequent ones. If the field value (after discarding
// additional members, as per above) is invalid (e.g., it contains something other than a
// non-negative integer), a cache SHOULD ignore the field."
fn age_value(fields: &Fields) -> u64 {
    fields.members(FieldName::Age).next().and_then(delta_seconds).unwrap_or(0)
}

/// What the origin said (§4.2.1), in the order of precedence for a shared cache, in a response of this
/// date that came at `received`.
pub(super) fn explicit_lifetime(
    directives: &ResponseDirectives,
    fields: &Fields,
    (date, received): (Timestamp, Timestamp),
) -> Option<u64> {
    // "If the cache is shared and the s-maxage response directive is present, use its value, or"
    directives
        .s_maxage
        // "If the max-age response directive is present, use its value, or"
        .or(directives.max_age)
        // "If the Expires response header field is present, use its value minus the value of the
        // Date response header field"
        // RFC 9213 §2.2: beside a targeted field "it MUST ignore the Cache-Control and Expires
        // header fields in that response".
        .or_else(|| if directives.targeted { None } else { expires_lifetime(fields, date, received) })
}

// §5.3: "A cache recipient MUST interpret invalid date formats, especially the value "0", as
// representing a time in the past". The least of several, as for repeated directives.
fn expires_lifetime(fields: &Fields, date: Timestamp, received: Timestamp) -> Option<u64> {
    fields
        .all(FieldName::Expires)
        .map(|text| parse_date(text, received).map_or(0, |expires| expires.seconds_since(date)))
        .min()
        .map(|seconds| seconds.min(DELTA_SECONDS_MAX))
}

/// Seconds by which a response was stale when its origin made it: `Expires` is before `Date`, so that
/// the lifetime of §4.2.1 is below zero. What is no date is in the past, and nobody knows how far.
pub(super) fn expired_before(
    directives: &ResponseDirectives,
    fields: &Fields,
    (date, received): (Timestamp, Timestamp),
) -> u64 {
    if directives.targeted || directives.s_maxage.or(directives.max_age).is_some() {
        return 0;
    }
    let before = |text| parse_date(text, received).map_or(0, |expires| date.seconds_since(expires));
    fields.all(FieldName::Expires).map(before).max().unwrap_or(0).min(DELTA_SECONDS_MAX)
}

// RFC 9110 §15.1: "200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, and 501". That 206
// can't be stored here is decided elsewhere.
/// Whether a status is heuristically cacheable.
pub(super) const fn is_heuristically_cacheable(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}
