//! How long a message's content is (RFC 9112 §6): the rules that request smuggling lives on.
//!
//! Requests get no benefit of the doubt: whatever another recipient could frame differently is
//! refused. Responses are repaired where the RFC allows it and the connection is then not used
//! again, because a sender that frames badly once may have desynchronised it.

use super::grammar::{Members, exact_decimal};
use super::{BodyLength, FieldName, Fields, HeadError, Method, Version};

/// The framing of a request.
pub(super) fn request_length(
    method: &Method,
    version: Version,
    fields: &Fields,
) -> Result<BodyLength, HeadError> {
    let length = match (coding(fields), fields.contains(FieldName::ContentLength)) {
        (Coding::None, false) => BodyLength::None,
        (Coding::None, true) => BodyLength::Exact(one_content_length(fields)?),
        // RFC 9112 §6.1: "A server or client that receives an HTTP/1.0 message containing a
        // Transfer-Encoding header field MUST treat the message as if the framing is faulty".
        _ if version == Version::Http10 => return Err(HeadError::TransferEncodingInHttp10),
        // RFC 9112 §6.1: both "might indicate an attempt to perform request smuggling".
        (_, true) => return Err(HeadError::LengthConflict),
        (Coding::Chunked, false) => BodyLength::Chunked,
        // RFC 9112 §6.3: anything but chunked at the end cannot be framed; chunked behind
        // another coding could, but no client sends it to a proxy in good faith.
        (Coding::Other, false) => return Err(HeadError::TransferEncoding),
    };
    let takes_none = matches!(method, Method::Connect | Method::Trace);
    // RFC 9110 §9.3.6: content of a CONNECT request has no meaning; §9.3.8: TRACE has none.
    if takes_none && !length.is_empty() {
        return Err(HeadError::UnexpectedContent);
    }
    Ok(length)
}

/// The framing of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResponseFraming {
    pub length: BodyLength,
    /// Whether the connection's state behind this message is certain.
    pub may_persist: bool,
}

/// The framing of a response to `method`.
pub(super) fn response_length(
    method: &Method,
    status: u16,
    version: Version,
    fields: &Fields,
) -> Result<ResponseFraming, HeadError> {
    let has_length = fields.contains(FieldName::ContentLength);
    let coded = fields.contains(FieldName::TransferEncoding);
    // RFC 9112 §6.3 rule 1: these end with their head whatever the fields say.
    if *method == Method::Head || matches!(status, 100..=199 | 204 | 304) {
        if has_length && status / 100 != 1 && status != 204 {
            agreed_content_length(fields)?;
        }
        return Ok(ResponseFraming {
            length: BodyLength::None,
            may_persist: !coded || *method == Method::Head,
        });
    }
    match coding(fields) {
        Coding::None if has_length => {
            let length = BodyLength::Exact(agreed_content_length(fields)?);
            Ok(ResponseFraming { length, may_persist: true })
        }
        Coding::None => Ok(ResponseFraming { length: BodyLength::UntilClose, may_persist: false }),
        _ if version == Version::Http10 => Err(HeadError::TransferEncodingInHttp10),
        // Rule 3: "Transfer-Encoding overrides the Content-Length"; the latter is not forwarded.
        Coding::Chunked => Ok(ResponseFraming { length: BodyLength::Chunked, may_persist: !has_length }),
        Coding::Other => Err(HeadError::TransferEncoding),
    }
}

enum Coding {
    None,
    /// Exactly one line that says `chunked`.
    Chunked,
    Other,
}

fn coding(fields: &Fields) -> Coding {
    let mut values = fields.all(FieldName::TransferEncoding);
    match (values.next(), values.next()) {
        (None, _) => Coding::None,
        (Some(value), None) if value.eq_ignore_ascii_case(b"chunked") => Coding::Chunked,
        _ => Coding::Other,
    }
}

/// The number in the one Content-Length line. RFC 9110 §8.6 allows repairing a list of equal
/// numbers; refusing it is allowed too, and no client sends one.
fn one_content_length(fields: &Fields) -> Result<u64, HeadError> {
    fields.only(FieldName::ContentLength).and_then(exact_decimal).ok_or(HeadError::ContentLength)
}

/// The number that all members of all Content-Length lines agree on (RFC 9112 §6.3 rule 5).
fn agreed_content_length(fields: &Fields) -> Result<u64, HeadError> {
    let mut agreed = None;
    for value in fields.all(FieldName::ContentLength) {
        if value.is_empty() || value.starts_with(b",") || value.ends_with(b",") {
            return Err(HeadError::ContentLength);
        }
        for member in Members::of(value) {
            let number = exact_decimal(member).ok_or(HeadError::ContentLength)?;
            if agreed.is_some_and(|other| other != number) {
                return Err(HeadError::ContentLength);
            }
            agreed = Some(number);
        }
    }
    agreed.ok_or(HeadError::ContentLength)
}
