//! Completing a stored response: asking for the octets that are missing, and telling whether what
//! comes is a part of the same representation (RFC 9111 §3.3, §3.4; RFC 9110 §15.3.7.3).

use bytes::Bytes;

use super::{ByteRange, ETag, StoredHead};
use crate::http::grammar::exact_decimal;
use crate::http::{BodyLength, FieldName, Fields, Response};

/// Why an answer is no part of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPart {
    #[error("the answer is not a 206")]
    Status,
    #[error("the answer has another entity tag, or none")]
    Validator,
    #[error("the answer has another range than was requested")]
    Range,
    #[error("the answer has another content coding or type")]
    Coding,
}

// §15.3.7.3: "A client that has received multiple partial responses to GET requests on a target
// resource MAY combine those responses into a larger continuous range if they share the same strong
// validator." With If-Range (§13.1.5), a representation that has changed is sent whole instead.
/// The field lines that ask for `range` of this response, up to its end if `range` has none; none
/// when it has no entity tag that is strong.
pub fn range_fields(stored: &StoredHead, first: u64, last: Option<u64>) -> Vec<(FieldName, Bytes)> {
    let Some(tag) = stored.etag().filter(|tag| !tag.is_weak()) else { return Vec::new() };
    let last = last.map(|last| last.to_string()).unwrap_or_default();
    vec![
        (FieldName::Range, Bytes::from(format!("bytes={first}-{last}"))),
        (FieldName::IfRange, Bytes::copy_from_slice(tag.as_bytes())),
    ]
}

/// Whether `response` is a part of `stored` that begins at `first` and ends at `last`, or at the
/// end of the content; `length` is that of the whole content, if known.
pub fn is_part(
    stored: &StoredHead,
    response: &Response,
    first: u64,
    last: Option<u64>,
    length: Option<u64>,
) -> Result<(), NoPart> {
    if response.status != 206 {
        return Err(NoPart::Status);
    }
    // §15.3.7: a 206 has the ETag that a 200 to the same request would have had.
    let tag = response.fields.only(FieldName::ETag).and_then(ETag::parse);
    if !stored.etag().zip(tag).is_some_and(|(stored, tag)| stored.strong_eq(&tag)) {
        return Err(NoPart::Validator);
    }
    if !is_alike(&stored.fields, &response.fields) {
        return Err(NoPart::Coding);
    }
    let told = response.fields.only(FieldName::ContentRange).and_then(content_range);
    let Some((range, complete)) = told else { return Err(NoPart::Range) };
    let complete = complete.or(length);
    let is_meant = range.first == first && last.or(complete.map(|all| all - 1)) == Some(range.last);
    let is_of_length = length.is_none() || complete == length;
    // What frames the content must not contradict what it is said to be.
    let is_framed = match response.length {
        BodyLength::Exact(octets) => octets == range.length(),
        BodyLength::Chunked | BodyLength::UntilEnd | BodyLength::UntilClose => true,
        BodyLength::None => false,
    };
    if is_meant && is_of_length && is_framed { Ok(()) } else { Err(NoPart::Range) }
}

/// Whether two responses say alike how their octets are encoded, and what they are. An origin may give
/// one tag to two codings of a content, whose octets must not be mixed. A part may leave out the type
/// (RFC 9110 §15.3.7), and not the coding: without it, its octets are not encoded.
pub(super) fn is_alike(one: &Fields, other: &Fields) -> bool {
    let coding = |fields: &Fields| -> Vec<Vec<u8>> {
        let codings = fields.members(FieldName::ContentEncoding).map(<[u8]>::to_ascii_lowercase);
        codings.filter(|coding| coding != b"identity").collect()
    };
    let kind = |fields: &Fields| -> Option<Vec<u8>> {
        let kind = fields.first(FieldName::ContentType)?;
        Some(kind.iter().filter(|octet| !b" \t".contains(octet)).map(u8::to_ascii_lowercase).collect())
    };
    let kinds = kind(one).zip(kind(other));
    coding(one) == coding(other) && kinds.is_none_or(|(one, other)| one == other)
}

// §14.4: `Content-Range = range-unit SP ( range-resp / unsatisfied-range )`,
// `range-resp = incl-range "/" ( complete-length / "*" )`.
/// The range and the complete length, which is above its last octet.
pub(super) fn content_range(value: &[u8]) -> Option<(ByteRange, Option<u64>)> {
    let value = std::str::from_utf8(value).ok()?;
    let (unit, rest) = value.split_once(' ')?;
    let (range, complete) = rest.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let range = ByteRange { first: exact_decimal(first.as_bytes())?, last: exact_decimal(last.as_bytes())? };
    let complete = match complete {
        "*" => None,
        complete => Some(exact_decimal(complete.as_bytes())?),
    };
    // "A Content-Range field value is invalid if it contains a range-resp that has a last-pos value
    // less than its first-pos value, or a complete-length value less than or equal to its last-pos".
    let is_valid = range.first <= range.last && complete.is_none_or(|complete| complete > range.last);
    (unit.eq_ignore_ascii_case("bytes") && is_valid).then_some((range, complete))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        type Read = Option<(u64, u64, Option<u64>)>;
        let cases: &[(&str, Read)] = &[
            ("bytes 0-0/1", Some((0, 0, Some(1)))),
            ("Bytes 5-9/*", Some((5, 9, None))),
            ("bytes 0-9/9", None),
            ("bytes 5-4/10", None),
            ("bytes */10", None),
            ("bytes=0-1/2", None),
            ("items 0-1/2", None),
            ("bytes 0-1", None),
            ("bytes 0-18446744073709551616/*", None),
            ("bytes -1/2", None),
            ("", None),
        ];
        for &(value, expected) in cases {
            let read = content_range(value.as_bytes()).map(|(range, all)| (range.first, range.last, all));
            assert_eq!(read, expected, "{value}");
        }
    }
}
