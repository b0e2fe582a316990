//! Byte ranges (RFC 9110 §14.1.2, §14.2) over a content of known length.
//!
//! Numbers too large for 64 bits saturate, which is past the end of any content; nothing is
//! subtracted that could wrap.

use crate::http::grammar::{Members, saturating_decimal};

/// Octets of a content, both ends included: `first <= last`, and `last` is within the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    pub first: u64,
    pub last: u64,
}

impl ByteRange {
    /// How many octets.
    pub const fn length(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    const fn overlaps(self, other: ByteRange) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// More ranges than this in one request are an attack, or a client that wants the whole.
const RANGES_MAX: usize = 16;

/// §17.15 has "more than two overlapping ranges" ignored.
const OVERLAPPING_MAX: usize = 2;

/// What a `Range` field asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ranges {
    /// Another unit, malformed, or more than is reasonable: the whole content answers.
    Ignored,
    /// All ranges start behind the end.
    Unsatisfiable,
    One(ByteRange),
    /// At least two, in the order asked for.
    Many(Vec<ByteRange>),
}

impl Ranges {
    pub fn parse(value: &[u8], content_length: u64) -> Ranges {
        let Some(at) = value.iter().position(|&byte| byte == b'=') else {
            return Ranges::Ignored;
        };
        let (unit, set) = value.split_at(at);
        if !unit.eq_ignore_ascii_case(b"bytes") {
            return Ranges::Ignored;
        }
        let set = set.strip_prefix(b"=").unwrap_or_default();
        let mut found = Vec::new();
        let mut asked = 0;
        for spec in Members::of(set) {
            asked += 1;
            match range(spec, content_length) {
                _ if asked > RANGES_MAX => return Ranges::Ignored,
                Spec::Malformed | Spec::Whole => return Ranges::Ignored,
                Spec::Unsatisfiable => {}
                Spec::Range(range) => found.push(range),
            }
        }
        if asked == 0 || overlapping(&found) > OVERLAPPING_MAX {
            return Ranges::Ignored;
        }
        match found.as_slice() {
            [] => Ranges::Unsatisfiable,
            [range] => Ranges::One(*range),
            _ => Ranges::Many(found),
        }
    }
}

enum Spec {
    Malformed,
    /// A suffix of a content without octets, which no range can name.
    Whole,
    Unsatisfiable,
    Range(ByteRange),
}

fn range(spec: &[u8], content_length: u64) -> Spec {
    let Some(dash) = spec.iter().position(|&byte| byte == b'-') else {
        return Spec::Malformed;
    };
    let (first, last) = (spec.get(..dash).unwrap_or_default(), spec.get(dash + 1..).unwrap_or_default());
    let last_of_content = content_length.checked_sub(1);
    match (saturating_decimal(first), saturating_decimal(last)) {
        // `suffix-range = "-" suffix-length`
        (None, Some(suffix)) if first.is_empty() => match last_of_content {
            _ if suffix == 0 => Spec::Unsatisfiable,
            None => Spec::Whole,
            Some(end) => Spec::Range(ByteRange { first: content_length.saturating_sub(suffix), last: end }),
        },
        // `int-range = first-pos "-" [ last-pos ]`: "An int-range is invalid if the last-pos
        // value is present and less than the first-pos."
        (Some(first), Some(last)) if last < first => Spec::Malformed,
        (Some(first), number) if number.is_some() || last.is_empty() => match last_of_content {
            Some(end) if first <= end => {
                Spec::Range(ByteRange { first, last: number.unwrap_or(end).min(end) })
            }
            _ => Spec::Unsatisfiable,
        },
        _ => Spec::Malformed,
    }
}

/// How many of the ranges overlap another one.
fn overlapping(ranges: &[ByteRange]) -> usize {
    let overlaps_another = |(at, range): (usize, &ByteRange)| {
        ranges.iter().enumerate().any(|(other_at, other)| at != other_at && range.overlaps(*other))
    };
    ranges.iter().enumerate().filter(|&indexed| overlaps_another(indexed)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str, length: u64) -> String {
        let text = |range: &ByteRange| format!("{}-{}", range.first, range.last);
        match Ranges::parse(value.as_bytes(), length) {
            Ranges::Ignored => "ignored".into(),
            Ranges::Unsatisfiable => "unsatisfiable".into(),
            Ranges::One(range) => text(&range),
            Ranges::Many(ranges) => ranges.iter().map(text).collect::<Vec<_>>().join(","),
        }
    }

    #[test]
    fn ranges() {
        let many =
            |count: u64| (0..count).map(|at| format!("{}-{}", at * 2, at * 2)).collect::<Vec<_>>().join(",");
        let cases: &[(&str, u64, &str)] = &[
            ("bytes=0-1", 10, "0-1"),
            ("BYTES=0-1", 10, "0-1"),
            ("bytes=1-", 10, "1-9"),
            ("bytes=-1", 10, "9-9"),
            ("bytes=-100", 10, "0-9"),
            ("bytes=0-99", 10, "0-9"),
            ("bytes=9-9", 10, "9-9"),
            ("bytes=10-", 10, "unsatisfiable"),
            ("bytes=10-20, -0", 10, "unsatisfiable"),
            ("bytes=-0", 10, "unsatisfiable"),
            ("bytes=0-", 0, "unsatisfiable"),
            ("bytes=-5", 0, "ignored"),
            ("bytes=0-1, 3-4", 10, "0-1,3-4"),
            ("bytes=5-6,0-1,", 10, "5-6,0-1"),
            ("bytes=0-1,20-30", 10, "0-1"),
            ("bytes=2-1", 10, "ignored"),
            ("bytes=0-1,2-1", 10, "ignored"),
            ("bytes=", 10, "ignored"),
            ("bytes=-", 10, "ignored"),
            ("bytes=a-b", 10, "ignored"),
            ("bytes=0-b", 10, "ignored"),
            ("bytes=0--1", 10, "ignored"),
            ("bytes=0-1-", 10, "ignored"),
            ("bytes=0-b-", 10, "ignored"),
            ("bytes=0- 1", 10, "ignored"),
            ("bytes=0 -1", 10, "ignored"),
            ("bytes 0-1", 10, "ignored"),
            ("lines=0-1", 10, "ignored"),
            ("bytes=0-0,-0,-1", 10, "0-0,9-9"),
            ("bytes=18446744073709551615-", 10, "unsatisfiable"),
            ("bytes=0-99999999999999999999999", 10, "0-9"),
            (
                "bytes=9223372036854775807-9223372036854775808",
                u64::MAX,
                "9223372036854775807-9223372036854775808",
            ),
            ("bytes=0-5,3-9", 10, "0-5,3-9"),
            ("bytes=0-5,3-9,4-6", 10, "ignored"),
        ];
        for &(value, length, expected) in cases {
            assert_eq!(parse(value, length), expected, "{value} of {length}");
        }
        assert_eq!(parse(&format!("bytes={}", many(16)), 100), many(16));
        assert_eq!(parse(&format!("bytes={}", many(17)), 100), "ignored");
        assert_eq!(ByteRange { first: 0, last: u64::MAX }.length(), u64::MAX);
    }
}
