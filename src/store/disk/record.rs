//! Records: the unit that is written, whole or not at all. Little endian, at multiples of 256:
//!
//! ```text
//!   0  magic        u32   "LRec"
//!   4  header_crc   u32   CRC-32C of octets 8 to 64
//!   8  key          u128
//!  24  seq          u64   which of two records of one key is newer
//!  32  generation   u64   of the object that the record belongs to
//!  40  kind         u8    1 OBJECT 2 HEAD 3 CHUNK 4 META 5 VARY 6 TOMBSTONE 7 PURGE
//!  41  -            u8, u16  0
//!  44  head_length  u32   at most 128 KiB
//!  48  body_length  u32   at most 1 MiB
//!  52  content_crc  u32   CRC-32C of head and body
//!  56  part         u32   number of the chunk, else 0
//!  60  first        u32   first octet of the body within its chunk, else 0
//!  64  head, body
//! ```
//!
//! A body of 64 KiB and more begins at a multiple of 4096 of the file, for the sake of whoever
//! sends it from there. The gap in front of it and the rest behind the record are zeros.
//!
//! Invariant: decoding is total, and what it accepts has a checksum that was right. Where records
//! lie is not known here, beyond the alignment.

use bytes::{Buf as _, BufMut as _, Bytes};

/// Octets of a header.
pub const HEADER_LENGTH: usize = 64;
/// Records begin at multiples of this.
pub const ALIGNMENT: u64 = 256;
/// Bodies from here on begin at multiples of [`PAGE`].
pub const ALIGNED_BODY: u32 = 64 * 1024;
/// The unit of the page cache.
pub const PAGE: u64 = 4096;
/// Octets of a head, at the most.
pub const HEAD_MAX: usize = 128 * 1024;
/// Octets of a body, at the most.
pub const BODY_MAX: usize = 1024 * 1024;
/// Octets that a record takes in a file, at the most: with both gaps.
pub const STORED_MAX: u64 = HEADER_LENGTH as u64 + HEAD_MAX as u64 + PAGE + BODY_MAX as u64 + ALIGNMENT;

const MAGIC: u32 = u32::from_le_bytes(*b"LRec");

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A head and its whole content.
    Object = 1,
    /// A head whose content is in chunks.
    Head = 2,
    /// Content. The key of the HEAD record that it belongs to is in front of it.
    Chunk = 3,
    /// A freshened head. The key of the record that it belongs to is in front of it.
    Meta = 4,
    /// The variants of a key.
    Vary = 5,
    /// All of a key that is older is gone.
    Tombstone = 6,
    /// All of a host, a prefix or a tag that is older is gone.
    Purge = 7,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 7] =
        [Kind::Object, Kind::Head, Kind::Chunk, Kind::Meta, Kind::Vary, Kind::Tombstone, Kind::Purge];

    /// The kind with this number.
    pub fn of(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// Whether the key of the record that this one belongs to stands in its head.
    pub const fn has_owner(self) -> bool {
        matches!(self, Kind::Chunk | Kind::Meta)
    }

    /// Whether the record says that something is gone: it has no place in the index.
    pub const fn is_removal(self) -> bool {
        matches!(self, Kind::Tombstone | Kind::Purge)
    }
}

/// A record as it is written.
#[derive(Clone, Debug)]
pub struct Record {
    pub key: u128,
    pub kind: Kind,
    pub seq: u64,
    pub generation: u64,
    pub part: u32,
    pub first: u32,
    /// At most [`HEAD_MAX`] octets.
    pub head: Bytes,
    /// In pieces; at most [`BODY_MAX`] octets.
    pub body: Vec<Bytes>,
}

/// What stands in front of each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub key: u128,
    pub kind: Kind,
    pub seq: u64,
    pub generation: u64,
    pub part: u32,
    pub first: u32,
    pub head_length: u32,
    pub body_length: u32,
    pub content_crc: u32,
}

/// Why octets are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("the record is cut short")]
    Short,
    #[error("there is no record's magic number")]
    Magic,
    #[error("the header's checksum is wrong")]
    HeaderChecksum,
    #[error("the record's kind is not known")]
    Kind,
    #[error("a length is beyond its limit")]
    Length,
    #[error("the content's checksum is wrong")]
    ContentChecksum,
}

/// Why a record can't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a head or a body is too long for a record")]
pub struct TooLong;

impl Record {
    /// The key in front of the head of a record that [has an owner](Kind::has_owner).
    pub fn owner(&self) -> Option<u128> {
        let octets = self.head.first_chunk::<16>().filter(|_| self.kind.has_owner());
        octets.map(|octets| u128::from_le_bytes(*octets))
    }

    /// Octets of the body.
    pub fn body_length(&self) -> usize {
        self.body.iter().map(Bytes::len).sum()
    }

    /// Octets that the record takes in a file, from its place `at` to its end.
    pub fn stored_length(&self, at: u64) -> u64 {
        let body_at = body_at(at, HEADER_LENGTH + self.head.len(), self.body_length() as u64);
        (body_at + self.body_length() as u64).next_multiple_of(ALIGNMENT) - at
    }

    /// Appends the record as it will stand at `at` of its file.
    pub fn encode(&self, at: u64, out: &mut Vec<u8>) -> Result<Header, TooLong> {
        let body_length = self.body_length();
        if self.head.len() > HEAD_MAX || body_length > BODY_MAX {
            return Err(TooLong);
        }
        let content_crc =
            self.body.iter().fold(crc32c::crc32c(&self.head), |crc, piece| crc32c::crc32c_append(crc, piece));
        let header = Header {
            key: self.key,
            kind: self.kind,
            seq: self.seq,
            generation: self.generation,
            part: self.part,
            first: self.first,
            // Both were checked against far smaller limits.
            head_length: self.head.len() as u32,
            body_length: body_length as u32,
            content_crc,
        };
        let start = out.len();
        header.encode(out);
        out.extend_from_slice(&self.head);
        out.resize(start + (header.body_at(at) - at) as usize, 0);
        for piece in &self.body {
            out.extend_from_slice(piece);
        }
        out.resize(start + header.stored_length(at) as usize, 0);
        Ok(header)
    }

    /// Reads the record that stands at `at` of its file. `octets` begin there, and may go beyond
    /// the record's end. Its head and body share their memory.
    pub fn decode(octets: &Bytes, at: u64) -> Result<(Header, Record), Invalid> {
        let header = Header::decode(octets)?;
        let body_at = usize::try_from(header.body_at(at) - at).map_err(|_no_such_memory| Invalid::Length)?;
        let body_end = body_at + header.body_length as usize;
        let head_end = HEADER_LENGTH + header.head_length as usize;
        if octets.len() < body_end || octets.len() < head_end {
            return Err(Invalid::Short);
        }
        let head = octets.slice(HEADER_LENGTH..head_end);
        let body = octets.slice(body_at..body_end);
        header.check_content(&head, &body)?;
        let Header { key, kind, seq, generation, part, first, .. } = header;
        let body = if body.is_empty() { Vec::new() } else { vec![body] };
        Ok((header, Record { key, kind, seq, generation, part, first, head, body }))
    }
}

impl Header {
    /// Reads a header.
    pub fn decode(octets: &[u8]) -> Result<Header, Invalid> {
        let mut at = octets.get(..HEADER_LENGTH).ok_or(Invalid::Short)?;
        if at.get_u32_le() != MAGIC {
            return Err(Invalid::Magic);
        }
        let header_crc = at.get_u32_le();
        let covered = octets.get(8..HEADER_LENGTH).ok_or(Invalid::Short)?;
        if crc32c::crc32c(covered) != header_crc {
            return Err(Invalid::HeaderChecksum);
        }
        let (key, seq, generation) = (at.get_u128_le(), at.get_u64_le(), at.get_u64_le());
        let (kind, _zero, _zeros) = (at.get_u8(), at.get_u8(), at.get_u16_le());
        let (head_length, body_length) = (at.get_u32_le(), at.get_u32_le());
        let (content_crc, part, first) = (at.get_u32_le(), at.get_u32_le(), at.get_u32_le());
        let kind = Kind::of(kind).ok_or(Invalid::Kind)?;
        let is_within = first as usize <= BODY_MAX && first as usize + body_length as usize <= BODY_MAX;
        if head_length as usize > HEAD_MAX || body_length as usize > BODY_MAX || !is_within {
            return Err(Invalid::Length);
        }
        Ok(Header { key, kind, seq, generation, part, first, head_length, body_length, content_crc })
    }

    /// Whether head and body are those that the header was written with.
    pub fn check_content(&self, head: &[u8], body: &[u8]) -> Result<(), Invalid> {
        let crc = crc32c::crc32c_append(crc32c::crc32c(head), body);
        if crc == self.content_crc { Ok(()) } else { Err(Invalid::ContentChecksum) }
    }

    /// Where the body begins in the file, of a record at `at`.
    pub fn body_at(&self, at: u64) -> u64 {
        body_at(at, HEADER_LENGTH + self.head_length as usize, self.body_length.into())
    }

    /// Octets that the record takes in the file, at `at`.
    pub fn stored_length(&self, at: u64) -> u64 {
        (self.body_at(at) + u64::from(self.body_length)).next_multiple_of(ALIGNMENT) - at
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_u32_le(MAGIC);
        out.put_u32_le(0);
        out.put_u128_le(self.key);
        out.put_u64_le(self.seq);
        out.put_u64_le(self.generation);
        out.put_u8(self.kind as u8);
        out.put_bytes(0, 3);
        out.put_u32_le(self.head_length);
        out.put_u32_le(self.body_length);
        out.put_u32_le(self.content_crc);
        out.put_u32_le(self.part);
        out.put_u32_le(self.first);
        let crc = crc32c::crc32c(out.get(start + 8..).unwrap_or_default());
        if let Some(place) = out.get_mut(start + 4..start + 8) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
    }
}

/// Where a body begins behind `front` octets of a record at `at`.
pub(super) fn body_at(at: u64, front: usize, body_length: u64) -> u64 {
    let behind = at + front as u64;
    if body_length >= u64::from(ALIGNED_BODY) { behind.next_multiple_of(PAGE) } else { behind }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(head: usize, body: usize) -> Record {
        let octets = |length: usize| Bytes::from((0..length).map(|at| at as u8).collect::<Vec<_>>());
        let body = octets(body);
        let body = vec![body.slice(..body.len() / 3), body.slice(body.len() / 3..)];
        Record {
            key: 7 << 100,
            kind: Kind::Object,
            seq: 3,
            generation: 2,
            part: 0,
            first: 0,
            head: octets(head),
            body,
        }
    }

    #[test]
    fn what_is_written_is_read_wherever_it_stands() {
        for (head, body) in [(0, 0), (1, 1), (300, 65_535), (300, 65_536), (HEAD_MAX, BODY_MAX)] {
            for at in [0, 256, 4096 - 256, 63 << 20] {
                let (written, mut out) = (record(head, body), Vec::new());
                let header = written.encode(at, &mut out).expect("within the limits");
                assert_eq!(out.len() as u64, written.stored_length(at));
                assert_eq!((out.len() as u64 % ALIGNMENT, header.stored_length(at)), (0, out.len() as u64));
                assert!(body < 65_536 || header.body_at(at) % PAGE == 0);
                let (read_header, read) = Record::decode(&out.into(), at).expect("whole");
                assert_eq!(read_header, header);
                assert_eq!((read.key, read.seq, &read.head), (written.key, 3, &written.head));
                assert_eq!(read.body.concat(), written.body.concat());
            }
        }
        assert_eq!(record(HEAD_MAX + 1, 0).encode(0, &mut Vec::new()), Err(TooLong));
        assert_eq!(record(0, BODY_MAX + 1).encode(0, &mut Vec::new()), Err(TooLong));
    }

    #[test]
    fn no_flipped_bit_and_no_cut_is_a_record() {
        let mut out = Vec::new();
        record(100, 300).encode(512, &mut out).expect("within the limits");
        let whole = HEADER_LENGTH + 400;
        for end in 0..whole {
            assert!(Record::decode(&Bytes::copy_from_slice(&out[..end]), 512).is_err(), "cut at {end}");
        }
        for bit in 0..whole * 8 {
            let mut flipped = out.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::decode(&flipped.into(), 512).is_err(), "bit {bit}");
        }
    }
}
