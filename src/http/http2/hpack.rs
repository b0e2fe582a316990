//! HPACK, decoded (RFC 7541): field lines out of field blocks, in pieces as they come.
//!
//! Invariant: what is held of a block is at most one field line of [`STRING_MAX`] octets; of a longer
//! string the octets are passed over, and the dynamic table is what its sender takes it to be. What is
//! wrong with a field line is for others to say: here octets are octets. Larder sends no block that needs
//! a table of its own.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};

use super::huffman;

/// The size of the dynamic table, which Larder leaves at what it is without a setting (RFC 9113 §6.5.2).
const TABLE: usize = 4096;
/// What an entry counts beside its octets (§4.1).
const ENTRY: usize = 32;
/// Octets of one string that are decoded. No longer one is ever used.
pub(super) const STRING_MAX: usize = 64 * 1024;

/// The state that both ends would no longer share: nothing that follows can be read (§2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Undecodable;

/// One field line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Field(Bytes, Bytes),
    /// One that is sent on in this way alone (§6.2.3).
    NeverIndexed(Bytes, Bytes),
    /// One with a string over [`STRING_MAX`].
    TooLong,
}

/// The decoder of one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The newest entry first.
    table: VecDeque<(Bytes, Bytes)>,
    size: usize,
    /// What the sender has limited the table to, if it has.
    limit: Option<usize>,
    /// The beginning of a line whose rest has not come.
    pending: BytesMut,
    /// Octets of it before which another look is in vain: a string in many pieces is decoded once, not with
    /// each piece.
    needed: usize,
    skipping: Option<Skipping>,
    /// A line of this block has come: the size of the table may not change behind it.
    has_line: bool,
}

/// A string that is passed over.
#[derive(Clone, Copy, Debug)]
struct Skipping {
    left: usize,
    /// It is a name: a value follows.
    is_name: bool,
}

impl Decoder {
    /// Takes the next octets of a block, and gives its lines one by one.
    pub(super) fn push(&mut self, octets: &[u8], mut line: impl FnMut(Line)) -> Result<(), Undecodable> {
        self.pending.extend_from_slice(octets);
        while let Some(next) = self.next_line()? {
            line(next);
        }
        Ok(())
    }

    /// The block ends here.
    pub(super) fn end(&mut self) -> Result<(), Undecodable> {
        self.has_line = false;
        if self.pending.is_empty() && self.skipping.is_none() { Ok(()) } else { Err(Undecodable) }
    }

    fn next_line(&mut self) -> Result<Option<Line>, Undecodable> {
        loop {
            let step = match self.skipping {
                Some(skipping) => self.skip(skipping)?,
                None => self.step()?,
            };
            match step {
                Step::Incomplete => return Ok(None),
                Step::Line(line) => return Ok(Some(line)),
                Step::Again => {}
            }
        }
    }

    fn step(&mut self) -> Result<Step, Undecodable> {
        if self.pending.len() < self.needed {
            return Ok(Step::Incomplete);
        }
        let mut input = Input::new(&self.pending);
        let Some(first) = input.octets.first().copied() else { return Ok(Step::Incomplete) };
        let parsed = match first {
            0x80.. => self.indexed(&mut input)?,
            0x40.. => self.literal(&mut input, 6)?,
            0x20.. => self.resized(&mut input)?,
            _ => self.literal(&mut input, 4)?,
        };
        let (taken, missing) = (self.pending.len() - input.octets.len(), input.missing);
        let is_added = (0x40..0x80).contains(&first);
        self.needed = 0;
        let step = match parsed {
            Parsed::Incomplete => {
                self.needed = self.pending.len() + missing;
                return Ok(Step::Incomplete);
            }
            Parsed::Resized(limit) => {
                self.limit = Some(limit);
                self.evict(limit);
                Step::Again
            }
            Parsed::Line(name, value) => {
                if is_added {
                    self.insert(name.clone(), value.clone());
                }
                let is_never_indexed = (0x10..0x20).contains(&first);
                let line = if is_never_indexed { Line::NeverIndexed } else { Line::Field };
                Step::Line(line(name, value))
            }
            Parsed::Long(skipping) => {
                self.skipping = Some(skipping);
                if is_added {
                    // §4.4: "an attempt to add an entry larger than the maximum size causes the table to be
                    // emptied". No code has more than 30 bits, so that this one is larger.
                    self.evict(0);
                }
                Step::Again
            }
        };
        // Only a new limit stands in front of lines.
        self.has_line |= !(0x20..0x40).contains(&first);
        self.pending.advance(taken);
        Ok(step)
    }

    /// Passes over a string, and over the value behind a name.
    fn skip(&mut self, skipping: Skipping) -> Result<Step, Undecodable> {
        let length = skipping.left.min(self.pending.len());
        self.pending.advance(length);
        let left = skipping.left - length;
        self.skipping = Some(Skipping { left, ..skipping });
        if left > 0 {
            return Ok(Step::Incomplete);
        }
        if !skipping.is_name {
            self.skipping = None;
            return Ok(Step::Line(Line::TooLong));
        }
        let mut input = Input::new(&self.pending);
        let Some(left) = input.integer(7)? else { return Ok(Step::Incomplete) };
        let taken = self.pending.len() - input.octets.len();
        self.pending.advance(taken);
        self.skipping = Some(Skipping { left, is_name: false });
        Ok(Step::Again)
    }

    /// §6.1.
    fn indexed(&self, input: &mut Input<'_>) -> Result<Parsed, Undecodable> {
        let Some(index) = input.integer(7)? else { return Ok(Parsed::Incomplete) };
        let (name, value) = self.entry(index).ok_or(Undecodable)?;
        Ok(Parsed::Line(name, value))
    }

    /// §6.2.
    fn literal(&self, input: &mut Input<'_>, prefix: u8) -> Result<Parsed, Undecodable> {
        let name = match input.integer(prefix)? {
            None => return Ok(Parsed::Incomplete),
            Some(0) => match input.string()? {
                Text::Incomplete => return Ok(Parsed::Incomplete),
                Text::Long(left) => return Ok(Parsed::Long(Skipping { left, is_name: true })),
                Text::Whole(name) => name,
            },
            Some(index) => self.entry(index).ok_or(Undecodable)?.0,
        };
        Ok(match input.string()? {
            Text::Incomplete => Parsed::Incomplete,
            Text::Long(left) => Parsed::Long(Skipping { left, is_name: false }),
            Text::Whole(value) => Parsed::Line(name, value),
        })
    }

    /// §6.3; §4.2: it "MUST occur at the beginning of the first header block following the change".
    fn resized(&self, input: &mut Input<'_>) -> Result<Parsed, Undecodable> {
        match input.integer(5)? {
            None => Ok(Parsed::Incomplete),
            Some(limit) if limit <= TABLE && !self.has_line => Ok(Parsed::Resized(limit)),
            Some(_) => Err(Undecodable),
        }
    }

    /// §2.3.3.
    fn entry(&self, index: usize) -> Option<(Bytes, Bytes)> {
        let index = index.checked_sub(1)?;
        if let Some((name, value)) = STATIC.get(index) {
            return Some((Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes())));
        }
        self.table.get(index - STATIC.len()).cloned()
    }

    /// §4.4.
    fn insert(&mut self, name: Bytes, value: Bytes) {
        let (size, limit) = (name.len() + value.len() + ENTRY, self.limit.unwrap_or(TABLE));
        self.evict(limit.saturating_sub(size));
        if size <= limit {
            self.size += size;
            self.table.push_front((name, value));
        }
    }

    fn evict(&mut self, size_max: usize) {
        while self.size > size_max {
            let Some((name, value)) = self.table.pop_back() else { return };
            self.size = self.size.saturating_sub(name.len() + value.len() + ENTRY);
        }
    }
}

enum Step {
    Incomplete,
    Line(Line),
    Again,
}

enum Parsed {
    Incomplete,
    Line(Bytes, Bytes),
    Resized(usize),
    Long(Skipping),
}

enum Text {
    Incomplete,
    Whole(Bytes),
    /// Its octets are still to come.
    Long(usize),
}

/// Octets that are taken from the front.
struct Input<'a> {
    octets: &'a [u8],
    /// At least so many were not there.
    missing: usize,
}

impl<'a> Input<'a> {
    fn new(octets: &'a [u8]) -> Input<'a> {
        Input { octets, missing: 0 }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let Some((taken, rest)) = self.octets.split_at_checked(length) else {
            self.missing = length - self.octets.len();
            return None;
        };
        self.octets = rest;
        Some(taken)
    }

    /// §5.1; `None` where its end has not come. "Integer encodings that exceed implementation limits -- in
    /// value or octet length -- MUST be treated as decoding errors."
    fn integer(&mut self, prefix: u8) -> Result<Option<usize>, Undecodable> {
        let mask = (1usize << prefix) - 1;
        let Some(&[first]) = self.take(1) else { return Ok(None) };
        let mut value = usize::from(first) & mask;
        if value < mask {
            return Ok(Some(value));
        }
        for shift in [0, 7, 14, 21] {
            let Some(&[octet]) = self.take(1) else { return Ok(None) };
            value += usize::from(octet & 0x7f) << shift;
            if octet < 0x80 {
                return Ok(Some(value));
            }
        }
        Err(Undecodable)
    }

    /// §5.2.
    fn string(&mut self) -> Result<Text, Undecodable> {
        let Some(is_huffman) = self.octets.first().map(|first| first & 0x80 != 0) else {
            return Ok(Text::Incomplete);
        };
        let Some(length) = self.integer(7)? else { return Ok(Text::Incomplete) };
        if length > STRING_MAX {
            return Ok(Text::Long(length));
        }
        let Some(octets) = self.take(length) else { return Ok(Text::Incomplete) };
        Ok(Text::Whole(match is_huffman {
            true => huffman::decode(octets).ok_or(Undecodable)?,
            false => Bytes::copy_from_slice(octets),
        }))
    }
}

/// Appendix A.
#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""),
    ("cache-control", ""), ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""),
    ("content-length", ""), ("content-location", ""), ("content-range", ""), ("content-type", ""),
    ("cookie", ""), ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""),
    ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""),
    ("via", ""), ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    type Lines = Vec<(String, String)>;

    fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Lines, Undecodable> {
        let mut lines = Vec::new();
        let text = |octets: &Bytes| String::from_utf8_lossy(octets).into_owned();
        decoder.push(block, |line| match line {
            Line::Field(name, value) | Line::NeverIndexed(name, value) => {
                lines.push((text(&name), text(&value)));
            }
            Line::TooLong => lines.push(("too long".to_owned(), String::new())),
        })?;
        decoder.end().map(|()| lines)
    }

    fn octets(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }

    #[test]
    fn the_examples_of_the_rfc_are_decoded() {
        // RFC 7541 §C.4: three requests on one connection, with the Huffman code.
        let mut decoder = Decoder::default();
        let blocks = [
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", ":authority", "www.example.com", 57),
            ("8286 84be 5886 a8eb 1064 9cbf", "cache-control", "no-cache", 110),
            (
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
                "custom-key",
                "custom-value",
                164,
            ),
        ];
        for (block, name, value, size) in blocks {
            let lines = decode(&mut decoder, &octets(block)).expect("well-formed");
            assert_eq!(lines.last(), Some(&(name.to_owned(), value.to_owned())));
            assert_eq!(lines[0], (":method".to_owned(), "GET".to_owned()));
            assert_eq!(decoder.size, size);
        }
    }

    #[test]
    fn entries_leave_the_table_from_its_end() {
        let mut decoder = Decoder::default();
        let literal = |name: &str, length: usize| {
            let mut block = vec![0x40, name.len() as u8];
            block.extend(name.as_bytes());
            block.extend([0x7f, ((length - 127) % 128) as u8 | 0x80, ((length - 127) / 128) as u8]);
            block.extend(vec![b'v'; length]);
            block
        };
        for name in ["a", "b", "c"] {
            decode(&mut decoder, &literal(name, 1500)).expect("well-formed");
        }
        assert_eq!(decoder.table.len(), 2);
        assert_eq!(decode(&mut decoder, &[0xbf]).expect("the older one")[0].0, "b");
        assert_eq!(decode(&mut decoder, &[0xc0]), Err(Undecodable));
        // One that is larger than the table empties it.
        let mut decoder = Decoder::default();
        decode(&mut decoder, &literal("a", 1500)).expect("well-formed");
        decode(&mut decoder, &literal("b", 5000)).expect("well-formed");
        assert!(decoder.table.is_empty() && decoder.size == 0);
    }

    #[test]
    fn a_long_string_is_passed_over() {
        for first in [0x00, 0x40] {
            let mut decoder = Decoder::default();
            decode(&mut decoder, &[0x40, 1, b'a', 1, b'b']).expect("well-formed");
            // A name of 100,000 octets, and a value of 3; then a line that is looked at again.
            let mut block = vec![first, 0x7f, 0xa1, 0x8c, 0x06];
            block.extend(vec![b'n'; 100_000]);
            block.extend([3, b'x', b'y', b'z', 0x82]);
            let mut lines = Vec::new();
            for piece in block.chunks(1000) {
                decoder.push(piece, |line| lines.push(line)).expect("well-formed");
                assert!(decoder.pending.len() < 2000);
            }
            decoder.end().expect("whole");
            let get = Line::Field(Bytes::from_static(b":method"), Bytes::from_static(b"GET"));
            assert_eq!(lines, [Line::TooLong, get]);
            assert_eq!(decoder.table.len(), usize::from(first == 0));
        }
    }

    #[test]
    fn what_can_not_be_decoded_is_refused() {
        for block in [
            // Index 0; one beyond the tables; an integer without end; a size over the setting; a size
            // behind a line; half a string; half an integer.
            &[0x80][..],
            &[0xbe],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x3f, 0xe2, 0x1f],
            &[0x82, 0x20],
            &[0x00, 5, b'a'],
            &[0xff],
        ] {
            assert_eq!(decode(&mut Decoder::default(), block), Err(Undecodable), "{block:x?}");
        }
    }

    #[test]
    fn octets_may_come_one_by_one() {
        let mut decoder = Decoder::default();
        let mut lines = Vec::new();
        for octet in octets("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff") {
            decoder.push(&[octet], |line| lines.push(line)).expect("well-formed");
        }
        decoder.end().expect("whole");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn a_string_in_pieces_is_decoded_once() {
        // A name of 60,000 octets, with the Huffman code, and a value of as many.
        let string = [&[0xff, 0xe1, 0xd3, 0x03][..], &[0x18, 0xc6, 0x31, 0x8c, 0x63].repeat(12_000)].concat();
        let mut decoder = Decoder::default();
        decoder.push(&[0x00], |_| panic!("half a line")).expect("well-formed");
        decoder.push(&string[..10], |_| panic!("half a line")).expect("well-formed");
        assert_eq!(decoder.needed, 1 + string.len());
        decoder.push(&string[10..], |_| panic!("half a line")).expect("well-formed");
        decoder.push(&string[..10], |_| panic!("half a line")).expect("well-formed");
        assert_eq!(decoder.needed, 1 + 2 * string.len());
        // It is not looked at before: what is wrong with it is found at its end.
        decoder.push(&vec![0xff; string.len() - 11], |_| panic!("half a line")).expect("not looked at");
        assert_eq!(decoder.push(&[0xff], |_| panic!("no line")), Err(Undecodable));
    }
}
