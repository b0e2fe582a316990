//! Heads on their way to a client: which field lines leave, and the lines that Larder adds.

use bytes::Bytes;

use super::Shared;
use crate::caching::{Outcome, StoredHead, withheld_fields};
use crate::http::write::{field, field_line, number_field, status_line};
use crate::http::{ConnectionOptions, FieldName, Fields, Response, Version};

/// How the content of a response is framed towards the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// The head is all, and says nothing of a length (1xx, 204, 304).
    Empty,
    /// A Content-Length.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// Until the connection closes, for HTTP/1.0 clients, or the stream, for those of HTTP/2.
    UntilClose,
}

impl Framing {
    /// For content whose length is known, or not.
    pub(super) fn of(length: Option<u64>, client: Version) -> Framing {
        match (length, client) {
            (Some(length), _) => Framing::Length(length),
            (None, Version::Http11) => Framing::Chunked,
            // HTTP/2 frames content by itself.
            (None, Version::Http10 | Version::Http2) => Framing::UntilClose,
        }
    }

    /// Whether nothing tells beforehand where the content ends.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Framing::Chunked | Framing::UntilClose)
    }
}

/// Status line and field lines of a response that is stored: everything in its head that does
/// not change from hit to hit.
pub(super) fn stored_head(pseudonym: &str, head: &StoredHead, received: Version) -> Bytes {
    let mut out = Vec::with_capacity(head.fields.memory_bytes() + 64);
    status_line(&mut out, head.status, &head.reason);
    for line in head.fields.iter().filter(|line| line.id != FieldName::ContentLength) {
        field_line(&mut out, line.name, line.value);
    }
    via_as(&mut out, received, pseudonym);
    Bytes::from(out.into_boxed_slice())
}

/// The field lines of a response that are for who asked alone.
pub(super) fn withheld(shared: &Shared, response: &Response) -> Vec<u8> {
    let mut out = Vec::new();
    for line in withheld_fields(&response.fields, &shared.cache_policy.targets).iter() {
        field_line(&mut out, line.name, line.value);
    }
    out
}

/// Status line and field lines of a response that is passed on and not stored.
pub(super) fn passed_head(out: &mut Vec<u8>, shared: &Shared, response: &Response) {
    status_line(out, response.status, &response.reason);
    let options = ConnectionOptions::of(&response.fields);
    for line in response.fields.iter() {
        if line.id != FieldName::ContentLength && !options.ends_response_field(&line) {
            field_line(out, line.name, line.value);
        }
    }
    // RFC 9110 §6.6.1: a recipient with a clock adds the date that an origin left out.
    if response.status >= 200 && !response.fields.contains(FieldName::Date) {
        field(out, FieldName::Date, shared.clock.now().to_http_date());
    }
    via(out, response.version, shared);
}

/// An interim response, whole.
pub(super) fn interim_head(shared: &Shared, response: &Response) -> Vec<u8> {
    let mut out = Vec::new();
    passed_head(&mut out, shared, response);
    out.extend_from_slice(b"\r\n");
    out
}

/// The lines of a 206 or 304 out of a stored response: its fields but for those that describe
/// the whole content.
pub(super) fn stored_fields(out: &mut Vec<u8>, shared: &Shared, fields: &Fields, drop: &[FieldName]) {
    for line in fields.iter().filter(|line| line.id != FieldName::ContentLength && !drop.contains(&line.id)) {
        field_line(out, line.name, line.value);
    }
    via(out, Version::Http11, shared);
}

/// What every response's head ends with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail<'a> {
    pub framing: Framing,
    /// Seconds; `None` leaves the field out.
    pub age: Option<u64>,
    pub outcome: &'a Outcome,
    pub keep_open: bool,
}

impl Tail<'_> {
    /// Appends the tail and the empty line.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self.framing {
            Framing::Length(length) => number_field(out, FieldName::ContentLength, length),
            Framing::Chunked => field(out, FieldName::TransferEncoding, "chunked"),
            Framing::Empty | Framing::UntilClose => {}
        }
        if let Some(age) = self.age {
            number_field(out, FieldName::Age, age);
        }
        out.extend_from_slice(b"Cache-Status: ");
        self.outcome.write_cache_status(out);
        out.extend_from_slice(b"\r\n");
        if !self.keep_open {
            field(out, FieldName::Connection, "close");
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// RFC 9110 §7.6.3: `Via` names the version of the message received, and who received it.
pub(super) fn via(out: &mut Vec<u8>, received: Version, shared: &Shared) {
    via_as(out, received, &shared.pseudonym);
}

fn via_as(out: &mut Vec<u8>, received: Version, pseudonym: &str) {
    out.extend_from_slice(b"Via: ");
    out.extend_from_slice(received.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(pseudonym.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// RFC 9110 §15.4.5: the fields that a 304 must or should carry, and no description of content.
pub(super) fn not_modified(out: &mut Vec<u8>, fields: &Fields) {
    status_line(out, 304, b"");
    for line in fields.iter() {
        let describes_content = matches!(
            line.id,
            FieldName::ContentLength
                | FieldName::ContentEncoding
                | FieldName::ContentType
                | FieldName::ContentRange
                | FieldName::AcceptRanges
        );
        if !describes_content {
            field_line(out, line.name, line.value);
        }
    }
}
