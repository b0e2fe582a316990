//! Segment files: records one behind the other, and at the end of a full one the list of them.
//!
//! ```text
//! seg-%08x:  records from 0 on | footer: 32 B for each record | trailer, 24 B
//! footer     key u128 | seq u64 | offset u32 (256 B units) | kind u8 | zeros
//! trailer    magic "LarderSg" | records u32 | footer_crc u32 | footer at u32 (256 B units)
//!            | crc u32 of the 20 octets before
//! ```
//!
//! A segment is written from front to back and never in place: whoever sends octets from it sees
//! them as they are. One without a trailer is read record by record up to the first that is none.
//! Names and order of segments are known here; what is in force of them is not.

use std::io;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes};

use super::files::File;
use super::record::{ALIGNMENT, HEADER_LENGTH, Header, Invalid, Kind, Record};

const MAGIC: &[u8; 8] = b"LarderSg";
const ENTRY_LENGTH: usize = 32;
const TRAILER_LENGTH: usize = 24;

/// One record of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: u128,
    pub seq: u64,
    /// In units of [`ALIGNMENT`].
    pub offset: u32,
    pub kind: Kind,
}

/// The name of the segment with this number.
pub fn file_name(id: u64) -> String {
    format!("seg-{id:08x}")
}

/// The number of the segment with this name.
pub fn id_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("seg-")?;
    u64::from_str_radix(digits, 16).ok().filter(|id| file_name(*id) == name)
}

/// Writes the list of a segment's records behind them, at `end`, for good. Octets written.
pub fn seal(file: &dyn File, entries: &[Entry], end: u64) -> io::Result<u64> {
    let footer = encode_footer(entries, end);
    file.write_all_at(&footer, end)?;
    file.sync()?;
    Ok(footer.len() as u64)
}

/// Octets of the list of so many records.
pub fn list_length(records: usize) -> u64 {
    (records * ENTRY_LENGTH + TRAILER_LENGTH) as u64
}

/// Whether a segment that has no list that is whole has one that is damaged.
pub fn has_damaged_list(file: &dyn File) -> io::Result<bool> {
    let Some(at) = file.length()?.checked_sub(TRAILER_LENGTH as u64) else { return Ok(false) };
    let mut magic = [0; MAGIC.len()];
    Ok(file.read_at(&mut magic, at)? == MAGIC.len() && &magic == MAGIC)
}

/// Footer and trailer of a segment whose records end at `at`, a multiple of [`ALIGNMENT`].
fn encode_footer(entries: &[Entry], at: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * ENTRY_LENGTH + TRAILER_LENGTH);
    for entry in entries {
        out.put_u128_le(entry.key);
        out.put_u64_le(entry.seq);
        out.put_u32_le(entry.offset);
        out.put_u8(entry.kind as u8);
        out.put_bytes(0, 3);
    }
    let footer_crc = crc32c::crc32c(&out);
    let trailer = out.len();
    out.put_slice(MAGIC);
    out.put_u32_le(entries.len() as u32);
    out.put_u32_le(footer_crc);
    out.put_u32_le((at / ALIGNMENT) as u32);
    out.put_u32_le(crc32c::crc32c(out.get(trailer..).unwrap_or_default()));
    out
}

/// The records of a segment that has its list; `None` when it has none that is whole.
pub fn read_footer(file: &dyn File) -> io::Result<Option<Vec<Entry>>> {
    let length = file.length()?;
    let Some(trailer_at) = length.checked_sub(TRAILER_LENGTH as u64) else { return Ok(None) };
    let mut trailer = [0; TRAILER_LENGTH];
    if file.read_at(&mut trailer, trailer_at)? != TRAILER_LENGTH {
        return Ok(None);
    }
    let (covered, mut crc) = trailer.split_at(TRAILER_LENGTH - 4);
    let Some(mut at) = covered.strip_prefix(MAGIC).filter(|_| crc.get_u32_le() == crc32c::crc32c(covered))
    else {
        return Ok(None);
    };
    let (count, footer_crc, footer_at) = (at.get_u32_le(), at.get_u32_le(), at.get_u32_le());
    let footer_at = u64::from(footer_at) * ALIGNMENT;
    let footer_length = count as usize * ENTRY_LENGTH;
    if footer_at + footer_length as u64 != trailer_at {
        return Ok(None);
    }
    let mut footer = vec![0; footer_length];
    if file.read_at(&mut footer, footer_at)? != footer_length || crc32c::crc32c(&footer) != footer_crc {
        return Ok(None);
    }
    Ok(footer.chunks_exact(ENTRY_LENGTH).map(decode_entry).collect())
}

fn decode_entry(mut octets: &[u8]) -> Option<Entry> {
    let (key, seq) = (octets.try_get_u128_le().ok()?, octets.try_get_u64_le().ok()?);
    let offset = octets.try_get_u32_le().ok()?;
    Some(Entry { key, seq, offset, kind: Kind::of(octets.try_get_u8().ok()?)? })
}

/// The records of a segment without a list, each checked whole, up to the first that is none; and
/// where that is.
pub fn scan(file: &dyn File) -> io::Result<(Vec<Entry>, u64)> {
    let (mut entries, mut at) = (Vec::new(), 0);
    let length = file.length()?;
    let mut window = Window { file, start: 0, octets: Bytes::new() };
    while at < length {
        let Ok(header) = Header::decode(&window.at(at, HEADER_LENGTH)?) else { break };
        // Both lengths were checked against their limits.
        let octets = window.at(at, header.stored_length(at) as usize)?;
        if Record::decode(&octets, at).is_err() {
            break;
        }
        let offset = (at / ALIGNMENT) as u32;
        entries.push(Entry { key: header.key, seq: header.seq, offset, kind: header.kind });
        at += header.stored_length(at);
    }
    Ok((entries, at))
}

/// Octets that are read at once by [`scan`]; arbitrary.
const WINDOW: usize = 4 << 20;

/// A part of a file in memory, for reading it from front to back.
struct Window<'a> {
    file: &'a dyn File,
    start: u64,
    octets: Bytes,
}

impl Window<'_> {
    /// The octets from `at` on, fewer where the file ends.
    fn at(&mut self, at: u64, length: usize) -> io::Result<Bytes> {
        let is_within = at >= self.start && at + length as u64 <= self.start + self.octets.len() as u64;
        if !is_within {
            let mut octets = vec![0; length.max(WINDOW)];
            let read = self.file.read_at(&mut octets, at)?;
            octets.truncate(read);
            (self.start, self.octets) = (at, octets.into());
        }
        // What the file has of them.
        let from = ((at - self.start) as usize).min(self.octets.len());
        Ok(self.octets.slice(from..(from + length).min(self.octets.len())))
    }
}

/// The record at `at`; waits for the device.
pub fn read_record(file: &dyn File, at: u64) -> io::Result<Result<(Header, Record), Invalid>> {
    let mut front = [0; HEADER_LENGTH];
    let read = file.read_at(&mut front, at)?;
    let header = match Header::decode(front.get(..read).unwrap_or_default()) {
        Ok(header) => header,
        Err(invalid) => return Ok(Err(invalid)),
    };
    // Both lengths were checked against their limits.
    let mut octets = vec![0; header.stored_length(at) as usize];
    let read = file.read_at(&mut octets, at)?;
    octets.truncate(read);
    Ok(Record::decode(&Bytes::from(octets), at))
}

/// A segment that is open.
#[derive(Debug)]
pub struct Segment {
    pub id: u64,
    pub file: Arc<dyn File>,
}
