//! `Range` and `If-Range` against what RFC 9110 §14 and §13.1.5 say, written down a second time.

use larder::caching::{Answer, ByteRange, ETag, answer};
use larder::http::{Fields, Method, Timestamp};

use super::input::{Input, joined, request, seed, stored, values};

/// Any `Range` and `If-Range` over content of any length.
pub fn range(data: &[u8]) {
    let mut input = Input(data);
    let length = match input.number::<1>() {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << 63,
        length => length,
    };
    let range = values("Range", input.block(), &[]);
    let condition = input.block();
    let condition = if condition.is_empty() { Fields::default() } else { values("If-Range", condition, &[]) };
    let head = stored(super::input::fields(input.rest()));
    let asked = request(Method::Get, joined(&range, &condition));
    let expected = expected(&range, &condition, &head, length);
    assert_eq!(answer(&asked, &head, length), expected, "{range:?} {condition:?} of {length}");
}

fn expected(range: &Fields, condition: &Fields, head: &larder::caching::StoredHead, length: u64) -> Answer {
    let only = |fields: &Fields| {
        let mut lines = fields.iter().map(|field| field.value.to_vec());
        lines.next().filter(|_| lines.next().is_none())
    };
    let Some(value) = only(range) else { return Answer::Whole };
    if !condition.is_empty() {
        let holds = only(condition).is_some_and(|value| match ETag::parse(&value) {
            Some(tag) => head.etag().is_some_and(|own| !own.is_weak() && own.as_bytes() == tag.as_bytes()),
            None => {
                let modified = head.last_modified();
                let date = Timestamp::parse_http_date(&value);
                date.is_some() && date == modified && modified.is_some_and(|modified| head.date() > modified)
            }
        });
        if !holds {
            return Answer::Whole;
        }
    }
    match ranges(&value, length) {
        None => Answer::Whole,
        Some(ranges) => match ranges.as_slice() {
            [] => Answer::RangeNotSatisfiable,
            [one] => Answer::Range(*one),
            _ => Answer::MultiRange(ranges),
        },
    }
}

// §14.1.1: `ranges-specifier = range-unit "=" range-set`, `range-set = 1#range-spec`, and §5.6.1:
// empty elements of a list count for nothing.
/// The ranges that can be satisfied; `None` when the field is to be ignored.
fn ranges(value: &[u8], length: u64) -> Option<Vec<ByteRange>> {
    let text = std::str::from_utf8(value).ok()?;
    let (unit, set) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let specs = set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty());
    let specs: Vec<&str> = specs.collect();
    // Larder's own limit.
    if specs.is_empty() || specs.len() > 16 {
        return None;
    }
    let mut found = Vec::new();
    for spec in specs {
        found.extend(one_range(spec, length)?);
    }
    let overlaps = |at: &usize| {
        let others = found.iter().enumerate().filter(|(other, _)| other != at);
        let this: &ByteRange = &found[*at];
        others.map(|(_, other)| other).any(|other| this.first <= other.last && other.first <= this.last)
    };
    // §17.15: "more than two overlapping ranges".
    if (0..found.len()).filter(overlaps).count() > 2 {
        return None;
    }
    Some(found)
}

// §14.1.2: `int-range = first-pos "-" [ last-pos ]`, `suffix-range = "-" suffix-length`, all of them
// `1*DIGIT`. "An int-range is satisfiable if it contains a first-pos that is less than the current
// length"; "A suffix-range is satisfiable if the suffix-length is non-zero."
fn one_range(spec: &str, length: u64) -> Option<Option<ByteRange>> {
    let number = |digits: &str| -> Option<u128> {
        if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
            return None;
        }
        // More digits than this are more than any content has.
        Some(digits.trim_start_matches('0').parse::<u128>().unwrap_or(
            match digits.bytes().all(|d| d == b'0') {
                true => 0,
                false => u128::MAX,
            },
        ))
    };
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?;
        return match (suffix, length) {
            (0, _) => Some(None),
            // Satisfiable, and no Content-Range can say so: the whole content answers.
            (_, 0) => None,
            _ => {
                let first = u128::from(length).saturating_sub(suffix) as u64;
                Some(Some(ByteRange { first, last: length - 1 }))
            }
        };
    }
    let first = number(first)?;
    let last = if last.is_empty() { u128::MAX } else { number(last)? };
    // "An int-range is invalid if the last-pos value is present and less than the first-pos."
    if last < first {
        // Numbers beyond 64 bits are one number to Larder, and behind the end of any content.
        return if last > u128::from(u64::MAX) { Some(None) } else { None };
    }
    if first >= u128::from(length) {
        return Some(None);
    }
    Some(Some(ByteRange { first: first as u64, last: last.min(u128::from(length - 1)) as u64 }))
}

pub fn seeds() -> Vec<Vec<u8>> {
    [
        "bytes=0-1",
        "bytes=5-6,0-1,-3\n\n\"a\"\n\nETag: \"a\"",
        "bytes=0-0,-0,-1,18446744073709551615-",
        "Bytes=0-5 , 3-9,,9-\n\nSun, 06 Nov 1994 08:49:37 GMT\n\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nDate: Sun, 06 Nov 1994 08:49:40 GMT",
        // It was read as "0-".
        "bytes=0-5 x-",
        "bytes=0-99999999999999999999999\n\nW/\"a\"\n\nETag: W/\"a\"",
    ]
    .map(|text| seed(&[10], text))
    .to_vec()
}
