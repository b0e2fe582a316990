//! Storing a 206: what it says of the whole representation, and whether two responses are of one
//! (RFC 9111 §3.3, §3.4; RFC 9110 §14.4, §15.3.7).

use bytes::Bytes;

use super::partial::{content_range, is_alike};
use super::{ByteRange, NotStored, StoredHead};
use crate::http::{BodyLength, FieldName, Method, Request, Response};

/// A part of a representation, as a response brought it.
#[derive(Clone, Debug)]
pub struct PartOfWhole {
    pub range: ByteRange,
    /// The 200 that it is a part of: the whole length, and nothing that is about the part.
    /// [`super::may_store`] judges it as it would have judged that one.
    pub whole: Response,
}

impl PartOfWhole {
    /// Octets of the whole representation.
    pub fn complete_length(&self) -> u64 {
        match self.whole.length {
            BodyLength::Exact(length) => length,
            BodyLength::None | BodyLength::Chunked | BodyLength::UntilClose | BodyLength::UntilEnd => 0,
        }
    }
}

/// What a 206 to a GET is a part of. An error when it is none that could be put together with
/// others: its place is not known exactly, or it contradicts itself.
pub fn part_of_whole(request: &Request, response: &Response) -> Result<PartOfWhole, NotStored> {
    // RFC 9110 §14.2: "GET is the only method for which range handling is defined."
    if response.status != 206 || request.method != Method::Get {
        return Err(NotStored::Partial);
    }
    let fields = &response.fields;
    // §15.3.7.2: "To avoid confusion with single-part responses, a server MUST NOT generate a
    // Content-Range header field in the HTTP header section of a multiple part response".
    let is_multipart = fields.all(FieldName::ContentType).any(|kind| {
        let kind = kind.trim_ascii_start();
        kind.get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/"))
    });
    let told = fields.only(FieldName::ContentRange).and_then(content_range);
    // "*" is "a complete length that is unknown": nothing tells where the representation ends.
    let Some((range, Some(complete))) = told.filter(|_| !is_multipart) else {
        return Err(NotStored::Partial);
    };
    // What frames the content must not contradict what it is said to be. Content without a length is counted.
    match response.length {
        BodyLength::Exact(octets) if octets == range.length() => {}
        BodyLength::Chunked | BodyLength::UntilEnd | BodyLength::UntilClose => {}
        BodyLength::Exact(_) | BodyLength::None => return Err(NotStored::Partial),
    }
    let mut kept = fields.without(|field| {
        matches!(
            field.id,
            FieldName::ContentRange | FieldName::ContentLength | FieldName::TransferEncoding
        ) || field.is_named(b"Content-MD5")
            // RFC 9530 §2: of the content of this message, which is the part.
            || field.is_named(b"Content-Digest")
    });
    kept.add(FieldName::ContentLength, complete.to_string());
    let whole = Response {
        status: 200,
        reason: Bytes::from_static(b"OK"),
        fields: kept.build(),
        length: BodyLength::Exact(complete),
        ..response.clone()
    };
    Ok(PartOfWhole { range, whole })
}

/// Whether a part that answers this request may be the first that is stored of its representation.
pub fn may_begin_with_part(request: &Request) -> bool {
    // RFC 9110 §15.3.7: "If a 206 is generated in response to a request with an If-Range header
    // field, the sender SHOULD NOT generate other representation header fields beyond those
    // required": it is no head to answer others with. And who did not ask for a range was not
    // meant to get one.
    request.fields.contains(FieldName::Range) && !request.fields.contains(FieldName::IfRange)
}

// RFC 9111 §3.4: "A cache MAY combine these responses into a single stored response […] if they all
// share the same strong validator". A modification date would have to be shown to be strong
// (RFC 9110 §8.8.2.2), so entity tags alone count.
/// Whether both are of one representation, so that their octets may be put together. The lengths
/// of their contents are for the caller to compare.
pub fn is_same_representation(one: &StoredHead, other: &StoredHead) -> bool {
    let tags = one.etag().zip(other.etag());
    one.status == other.status
        && one.method == other.method
        && tags.is_some_and(|(one, other)| one.strong_eq(other))
        && is_alike(&one.fields, &other.fields)
}
