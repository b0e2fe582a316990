//! A field section on its way from its block to the `h2` crate (RFC 9113 §8.2).
//!
//! The crate ends a whole connection where an octet of one value is not one that it knows, or where a
//! section is far too large. Here that is found first, and concerns its stream alone: what leaves is a
//! section that the crate accepts, or one for which it resets the stream. It is written without
//! compression, so that the crate's own table stays empty.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::super::never_indexed;
use super::frames::{FrameHeader, PAYLOAD_MAX, flag, kind};
use super::hpack::Line;

/// Octets of a section's fields, as RFC 9113 §6.5.2 counts them.
pub const SECTION_MAX: usize = 64 * 1024;
/// What a field counts beside its octets.
const FIELD: usize = 32;

/// Octets of a pseudo-field's value where the section is too large, and of a `Host` in its place.
const VALUE_MAX: usize = 8 * 1024;

/// Where a section stands in what its sender says on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In front of everything.
    First,
    /// Behind content.
    Trailer,
    /// Where none is expected, or where that is not known.
    Other,
}

/// Whose messages these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Origin,
}

/// What a section is, once all of it is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    WellFormed,
    /// Its stream is reset (RFC 9113 §8.1.1).
    Malformed,
    /// A request whose control data alone is left.
    TooLarge,
}

/// A section whose block may not have ended.
#[derive(Debug)]
pub(super) struct Section {
    pub stream: u32,
    pub is_end: bool,
    place: Place,
    fields: Vec<(Bytes, Bytes)>,
    /// Names of fields that must be sent on without a table.
    never_indexed: Vec<Bytes>,
    pub size: usize,
    is_malformed: bool,
    /// A field that is not a pseudo-field has come.
    is_past_control: bool,
}

impl Section {
    /// The section that this frame begins.
    pub(super) fn new(header: &FrameHeader, place: Place) -> Section {
        Section {
            stream: header.stream,
            is_end: header.has(flag::END_STREAM),
            place,
            fields: Vec::new(),
            never_indexed: Vec::new(),
            size: 0,
            is_malformed: false,
            is_past_control: false,
        }
    }

    /// Whether a message begins with it.
    pub(super) fn begins_message(&self) -> bool {
        self.place == Place::First
    }

    /// Whether it stands behind content.
    pub(super) fn is_trailer(&self) -> bool {
        self.place == Place::Trailer
    }

    /// Octets of the fields that are written, counted as those of the section are.
    pub(super) fn octets(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len() + FIELD).sum()
    }

    /// Puts a request that says nothing in the place of this one, whose stream is refused. One that is
    /// malformed remains so.
    pub(super) fn empty(&mut self) {
        let control =
            [(":method", "GET"), (":scheme", "https"), (":authority", "refused.invalid"), (":path", "/")];
        let field = |(name, value): (&'static str, &'static str)| {
            (Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes()))
        };
        self.fields = control.into_iter().map(field).collect();
        self.size = self.octets();
    }

    /// It is malformed for what does not stand in its lines.
    pub(super) fn spoil(&mut self) {
        self.is_malformed = true;
    }

    /// Takes the next line.
    pub(super) fn add(&mut self, line: Line) {
        let (name, value, is_never_indexed) = match line {
            Line::Field(name, value) => (name, value, false),
            Line::NeverIndexed(name, value) => (name, value, true),
            Line::TooLong => return self.grow(SECTION_MAX + 1),
        };
        self.grow(name.len() + value.len() + FIELD);
        let is_control = name.starts_with(b":");
        // RFC 9113 §8.3: pseudo-fields "MUST appear in a field block before all regular field lines", and
        // none of them twice. The crate would say so between two frames of the block, and take the next one
        // for an error of the connection.
        if is_control && (self.is_past_control || self.has(&name)) {
            self.spoil();
        }
        self.is_past_control |= !is_control;
        // What the gate says behind the crate, it says alone.
        let is_listing = name == never_indexed::FIELD;
        if self.is_malformed || is_listing || (self.is_too_large() && !is_control) {
            return;
        }
        let is_bounded = !self.is_too_large() || value.len() <= VALUE_MAX;
        if !is_bounded || !is_known(&name, &value, self.place) {
            return self.spoil();
        }
        if is_never_indexed && !is_control && !self.never_indexed.contains(&name) {
            self.never_indexed.push(name.clone());
        }
        self.fields.push((name, value));
    }

    fn has(&self, wanted: &[u8]) -> bool {
        self.fields.iter().any(|(name, _)| name == wanted)
    }

    /// The crate takes a section for too large that reaches its limit.
    fn is_too_large(&self) -> bool {
        self.size >= SECTION_MAX
    }

    fn grow(&mut self, octets: usize) {
        let was_within = !self.is_too_large();
        self.size = self.size.saturating_add(octets);
        if was_within && self.is_too_large() {
            // What is left says what was asked for.
            self.fields.retain(|(name, _)| name.starts_with(b":"));
        }
    }

    /// Writes the section as frames, once all of it is here.
    pub(super) fn write(mut self, sender: Sender, out: &mut BytesMut) -> Judged {
        let is_request = sender == Sender::Client && self.place == Place::First;
        if is_request {
            self.name_authority();
        }
        self.list_never_indexed();
        let is_too_large = self.is_too_large();
        if self.is_malformed || (is_too_large && !is_request) {
            // A field that has the stream reset.
            self.fields = vec![(Bytes::from_static(b"connection"), Bytes::from_static(b"close"))];
            self.frames(out);
            return Judged::Malformed;
        }
        self.frames(out);
        if is_too_large { Judged::TooLarge } else { Judged::WellFormed }
    }

    /// RFC 9113 §8.3.1: a request may have `Host` in the place of `:authority`. The `http` crate's URIs
    /// have no scheme without an authority.
    fn name_authority(&mut self) {
        if self.has(b":authority") || !self.has(b":scheme") {
            return;
        }
        let mut hosts = self.fields.iter().filter(|(name, _)| name == &b"host"[..]);
        if let (Some((_, host)), None) = (hosts.next(), hosts.next())
            && !host.is_empty()
            && host.len() <= VALUE_MAX
            && is_known(b":authority", host, self.place)
        {
            let host = host.clone();
            self.grow(b":authority".len() + host.len() + FIELD);
            self.fields.insert(0, (Bytes::from_static(b":authority"), host));
        }
    }

    /// Says behind the crate which fields must not be indexed.
    fn list_never_indexed(&mut self) {
        if !self.never_indexed.is_empty() && !self.is_too_large() {
            let names = Bytes::from(self.never_indexed.join(&b","[..]));
            self.grow(never_indexed::FIELD.len() + names.len() + FIELD);
            self.fields.push((Bytes::from_static(never_indexed::FIELD.as_bytes()), names));
        }
    }

    /// RFC 9113 §6.2, §6.10: a field block in as many frames as it takes.
    fn frames(&self, out: &mut BytesMut) {
        let mut block = BytesMut::with_capacity(self.size.min(SECTION_MAX) + 64);
        for (name, value) in &self.fields {
            // RFC 7541 §6.2.2: literal, without indexing, with a new name.
            block.put_u8(0);
            string(&mut block, name);
            string(&mut block, value);
        }
        let mut pieces = block.chunks(PAYLOAD_MAX).peekable();
        let mut is_first = true;
        while is_first || pieces.peek().is_some() {
            let piece = pieces.next().unwrap_or_default();
            let ends = if pieces.peek().is_none() { flag::END_HEADERS } else { 0 };
            let (kind, flags) = match is_first {
                true if self.is_end => (kind::HEADERS, ends | flag::END_STREAM),
                true => (kind::HEADERS, ends),
                false => (kind::CONTINUATION, ends),
            };
            FrameHeader { length: piece.len(), kind, flags, stream: self.stream }.write(out);
            out.put_slice(piece);
            is_first = false;
        }
    }
}

/// RFC 7541 §5.2, without the Huffman code.
fn string(out: &mut BytesMut, octets: &[u8]) {
    match octets.len().checked_sub(127) {
        None => out.put_u8(octets.len() as u8),
        Some(mut left) => {
            out.put_u8(127);
            while left >= 128 {
                out.put_u8(left as u8 | 128);
                left >>= 7;
            }
            out.put_u8(left as u8);
        }
    }
    out.put_slice(octets);
}

/// Whether the `h2` crate takes this field.
fn is_known(name: &[u8], value: &[u8], place: Place) -> bool {
    match name {
        // RFC 9113 §8.1: "Trailers MUST NOT include pseudo-header fields".
        [b':', ..] if place == Place::Trailer => false,
        b":method" => Method::from_bytes(value).is_ok(),
        b":status" => StatusCode::from_bytes(value).is_ok(),
        b":authority" | b":scheme" | b":path" | b":protocol" => std::str::from_utf8(value).is_ok(),
        [b':', ..] => false,
        // RFC 9113 §8.2.2: "any message containing connection-specific header fields MUST be treated as
        // malformed", and `TE` may contain nothing but "trailers".
        b"connection" | b"proxy-connection" | b"keep-alive" | b"transfer-encoding" | b"upgrade" => false,
        b"te" => value == b"trailers",
        name => HeaderName::from_lowercase(name).is_ok() && HeaderValue::from_bytes(value).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::hpack::Decoder;
    use super::*;

    const HEADERS: FrameHeader = FrameHeader {
        length: 0,
        kind: kind::HEADERS,
        flags: flag::END_STREAM | flag::END_HEADERS,
        stream: 5,
    };

    fn line(name: &str, value: &str) -> Line {
        Line::Field(Bytes::copy_from_slice(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
    }

    /// What becomes of these lines, and how they are written.
    fn written(sender: Sender, place: Place, lines: &[Line]) -> (Judged, Vec<Line>, usize) {
        let mut section = Section::new(&HEADERS, place);
        lines.iter().for_each(|line| section.add(line.clone()));
        let mut out = BytesMut::new();
        let judged = section.write(sender, &mut out);
        let (mut decoder, mut found, mut frames) = (Decoder::default(), Vec::new(), 0);
        let mut rest = &out[..];
        while let Some(header) = FrameHeader::of(rest) {
            assert_eq!(header.stream, 5);
            assert_eq!(header.kind, if frames == 0 { kind::HEADERS } else { kind::CONTINUATION });
            assert!(header.length <= PAYLOAD_MAX);
            decoder.push(&rest[9..9 + header.length], |line| found.push(line)).expect("well-formed");
            rest = &rest[9 + header.length..];
            assert_eq!(header.has(flag::END_HEADERS), rest.is_empty());
            frames += 1;
        }
        decoder.end().expect("whole");
        (judged, found, frames)
    }

    fn request(more: &[(&str, &str)]) -> Vec<Line> {
        let control = [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")];
        control.iter().chain(more).map(|(name, value)| line(name, value)).collect()
    }

    #[test]
    fn what_is_well_formed_is_written_as_it_is() {
        for value in ["", "1", &"v".repeat(126), &"v".repeat(127), &"v".repeat(300), &"v".repeat(40_000)] {
            let lines = request(&[("x", value), ("cookie", "\u{e9}")]);
            let (judged, found, frames) = written(Sender::Client, Place::First, &lines);
            assert_eq!((judged, frames), (Judged::WellFormed, 1 + value.len() / PAYLOAD_MAX));
            assert_eq!(found, lines);
        }
    }

    #[test]
    fn what_is_malformed_has_its_stream_reset() {
        let spoilt = [
            ("x", "a\u{1}b"),
            ("x", "a\u{7f}"),
            ("x", "a\r\nb"),
            ("Upper", "1"),
            ("", "1"),
            ("a b", "1"),
            (":unknown", "1"),
            (":method", "G T"),
            (":status", "20"),
            (":path", "/"),
            ("connection", "close"),
            ("keep-alive", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip"),
            ("te", "trailers, gzip"),
        ];
        for (name, value) in spoilt {
            let (judged, found, _) = written(Sender::Client, Place::First, &request(&[(name, value)]));
            assert_eq!((judged, found), (Judged::Malformed, vec![line("connection", "close")]), "{name}");
        }
        for (sender, late) in [(Sender::Client, ":protocol"), (Sender::Origin, ":status")] {
            let (judged, ..) = written(sender, Place::Other, &[line("x", "1"), line(late, "200")]);
            assert_eq!(judged, Judged::Malformed);
        }
        // What is dropped counts: a pseudo-field behind it is late.
        let late = [request(&[("x", &"v".repeat(70_000))]), vec![line(":protocol", "websocket")]].concat();
        assert_eq!(written(Sender::Client, Place::First, &late).0, Judged::Malformed);
        let (judged, ..) = written(Sender::Client, Place::Trailer, &[line("x", "1"), line(":path", "/")]);
        assert_eq!(judged, Judged::Malformed);
    }

    #[test]
    fn what_is_too_large_keeps_what_was_asked_for() {
        let large = "v".repeat(1000);
        let many: Vec<_> = (0..70).map(|_| ("x", large.as_str())).collect();
        let (judged, found, frames) = written(Sender::Client, Place::First, &request(&many));
        assert_eq!((judged, frames), (Judged::TooLarge, 1));
        assert_eq!(found, request(&[]));
        let (judged, found, _) =
            written(Sender::Client, Place::First, &[request(&[]), vec![Line::TooLong]].concat());
        assert_eq!((judged, found), (Judged::TooLarge, request(&[])));
        for (sender, place) in [(Sender::Origin, Place::Other), (Sender::Client, Place::Trailer)] {
            assert_eq!(written(sender, place, &[Line::TooLong]).0, Judged::Malformed);
        }
    }

    #[test]
    fn the_names_of_what_no_table_may_hold_are_listed_behind_the_fields() {
        let marked = |name: &'static str| {
            Line::NeverIndexed(Bytes::from_static(name.as_bytes()), Bytes::from_static(b"1"))
        };
        // Pseudo-fields can't be marked behind the crate; what a peer lists itself is dropped.
        let forged = line(never_indexed::FIELD, "x");
        let lines = [request(&[("x", "1")]), vec![marked("a"), marked("b"), forged, marked("a")]].concat();
        let (judged, found, _) = written(Sender::Client, Place::First, &lines);
        assert_eq!(judged, Judged::WellFormed);
        let plain = [("x", "1"), ("a", "1"), ("b", "1"), ("a", "1"), (never_indexed::FIELD, "a,b")];
        assert_eq!(found, request(&plain));
    }

    #[test]
    fn host_stands_in_for_the_authority() {
        let without = [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("host", "a.test")];
        let lines: Vec<_> = without.iter().map(|(name, value)| line(name, value)).collect();
        let (_, found, _) = written(Sender::Client, Place::First, &lines);
        assert_eq!(found[0], line(":authority", "a.test"));
        assert_eq!(found[1..], lines);
        let twice = [lines.clone(), vec![line("host", "b.test")]].concat();
        assert_eq!(written(Sender::Client, Place::First, &twice).1, twice);
        let of = |host: &[u8]| {
            let host = Line::Field(Bytes::from_static(b"host"), Bytes::copy_from_slice(host));
            [&lines[..3], &[host]].concat()
        };
        // What is not text can be no pseudo-field of the crate's, nor what makes the block too long for it.
        for host in [&b"\xff"[..], b"a\xc3", &[b'h'; VALUE_MAX + 1]] {
            assert_eq!(written(Sender::Client, Place::First, &of(host)).1, of(host));
        }
        let (_, found, frames) = written(Sender::Client, Place::First, &of(&[b'h'; VALUE_MAX]));
        assert_eq!((found.len(), frames), (5, 2));
    }

    #[test]
    fn a_section_that_reaches_the_limit_is_too_large() {
        let counted: usize = request(&[("x", "")])
            .iter()
            .map(|line| match line {
                Line::Field(name, value) => name.len() + value.len() + FIELD,
                Line::NeverIndexed(..) | Line::TooLong => 0,
            })
            .sum();
        for (size, expected) in [(SECTION_MAX - 1, Judged::WellFormed), (SECTION_MAX, Judged::TooLarge)] {
            let lines = request(&[("x", &"v".repeat(size - counted))]);
            assert_eq!(written(Sender::Client, Place::First, &lines).0, expected, "{size}");
        }
    }
}
