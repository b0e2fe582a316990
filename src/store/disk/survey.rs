//! What lies on the disk, read for people: each record in the order of the log, and what the
//! octets of the segments are.
//!
//! Invariant: looking is no use of a record, and changes nothing. It goes on while records are
//! written and segments go, so that it is right for none of its moments exactly. All of it waits
//! for the device.

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use super::record::{ALIGNMENT, HEADER_LENGTH, Header, Kind};
use super::segment::{Entry, Segment, file_name, list_length, read_footer};
use super::{Disk, slot_of};

/// What the octets of a disk's segments are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    pub segments: u64,
    /// Octets of all segments: the sum of those below.
    pub bytes: u64,
    /// Stored responses with their content.
    pub responses: Share,
    /// Freshened heads, and lists of variants.
    pub heads: Share,
    /// Removals and purges.
    pub removals: Share,
    /// Replaced or removed: to go with their segments.
    pub dead: Share,
    /// The lists at the ends of segments, and what a crash has cut off.
    pub rest_bytes: u64,
}

/// Some of the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub records: u64,
    pub bytes: u64,
}

/// Where a record lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lies {
    /// The name of its segment.
    pub segment: String,
    /// Octets in front of it there.
    pub at: u64,
    /// Octets that it takes, rounded up.
    pub length_max: u64,
    /// Uses since it was put there, up to seven.
    pub uses: u64,
}

impl Disk {
    /// Where the record of a key lies, if there is one.
    pub fn lies(&self, key: u128) -> Option<Lies> {
        let place = self.inner.index.find(key)?;
        let segment = self.inner.segment_in(place.slot)?;
        Some(Lies {
            segment: file_name(segment.id),
            at: u64::from(place.offset) * ALIGNMENT,
            length_max: place.length_max.into(),
            uses: place.frequency.into(),
        })
    }

    /// What the octets of the segments are. Segments that can't be read are left out.
    pub fn survey(&self) -> Survey {
        let mut survey = Survey::default();
        let purged_until = self.purges().all_until();
        for segment in self.segments() {
            let Ok((entries, length)) = lengths(&segment) else { continue };
            let slot = slot_of(segment.id);
            survey.segments += 1;
            survey.bytes += length;
            survey.rest_bytes += length;
            for (entry, bytes) in entries {
                let place = self.inner.index.find(entry.key);
                let is_live = place.is_some_and(|place| place.is_at(slot, entry.offset));
                let share = match entry.kind {
                    Kind::Tombstone | Kind::Purge => &mut survey.removals,
                    _ if !is_live || entry.seq < purged_until => &mut survey.dead,
                    Kind::Meta | Kind::Vary => &mut survey.heads,
                    Kind::Object | Kind::Head | Kind::Chunk => &mut survey.responses,
                };
                share.records += 1;
                share.bytes += bytes;
                survey.rest_bytes = survey.rest_bytes.saturating_sub(bytes);
            }
        }
        survey
    }

    /// Calls `look` with the header and the head of each record of this kind that the index
    /// points at, in the order of the log, until it has seen enough. The content isn't read, so
    /// that a head's checksum isn't either: who decodes it compares it with the key.
    pub fn for_each(&self, kind: Kind, look: &mut dyn FnMut(&Header, Bytes) -> ControlFlow<()>) {
        for segment in self.segments() {
            let Ok((entries, _length)) = lengths(&segment) else { continue };
            let slot = slot_of(segment.id);
            for (entry, _bytes) in entries.into_iter().filter(|(entry, _)| entry.kind == kind) {
                let place = self.inner.index.find(entry.key);
                if !place.is_some_and(|place| place.is_at(slot, entry.offset)) {
                    continue;
                }
                let at = u64::from(entry.offset) * ALIGNMENT;
                let Ok(Some((header, head))) = read_head(&segment, at) else { continue };
                if header.key == entry.key && look(&header, head).is_break() {
                    return;
                }
            }
        }
    }

    /// Header and head of a key's record, as [`Disk::for_each`] shows them.
    pub fn peek_head(&self, key: u128) -> Option<(Header, Bytes)> {
        let place = self.inner.index.find(key)?;
        let segment = self.inner.segment_in(place.slot)?;
        let read = read_head(&segment, u64::from(place.offset) * ALIGNMENT);
        read.ok().flatten().filter(|(header, _head)| header.key == key)
    }

    fn segments(&self) -> Vec<Arc<Segment>> {
        let segments = self.inner.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.values().cloned().collect()
    }
}

/// The records of a segment with the octets that each takes, and those of the whole file.
fn lengths(segment: &Segment) -> io::Result<(Vec<(Entry, u64)>, u64)> {
    let length = segment.file.length()?;
    let Some(entries) = read_footer(&*segment.file)? else {
        return Ok((walk(segment, length)?, length));
    };
    // The list of a full segment begins where its last record ends.
    let list = list_length(entries.len());
    let ends = entries.iter().skip(1).map(|next| u64::from(next.offset) * ALIGNMENT);
    let ends: Vec<u64> = ends.chain([length.saturating_sub(list)]).collect();
    let with_length =
        |(entry, end): (Entry, u64)| (entry, end.saturating_sub(u64::from(entry.offset) * ALIGNMENT));
    Ok((entries.into_iter().zip(ends).map(with_length).collect(), length))
}

/// The records of a segment without a list, by their headers.
fn walk(segment: &Segment, length: u64) -> io::Result<Vec<(Entry, u64)>> {
    let (mut entries, mut at) = (Vec::new(), 0);
    while at < length {
        let mut octets = [0; HEADER_LENGTH];
        let read = segment.file.read_at(&mut octets, at)?;
        let Ok(header) = Header::decode(octets.get(..read).unwrap_or_default()) else { break };
        let bytes = header.stored_length(at);
        let offset = (at / ALIGNMENT) as u32;
        entries.push((Entry { key: header.key, seq: header.seq, offset, kind: header.kind }, bytes));
        at += bytes;
    }
    Ok(entries)
}

/// Header and head of the record at `at`, if there is one.
fn read_head(segment: &Segment, at: u64) -> io::Result<Option<(Header, Bytes)>> {
    // Most heads are below this, so that one read does.
    let mut octets = vec![0; 2048];
    let read = segment.file.read_at(&mut octets, at)?;
    octets.truncate(read);
    let Ok(header) = Header::decode(&octets) else { return Ok(None) };
    let end = HEADER_LENGTH + header.head_length as usize;
    if octets.len() < end {
        octets.resize(end, 0);
        if segment.file.read_at(&mut octets, at)? != end {
            return Ok(None);
        }
    }
    Ok(Some((header, Bytes::from(octets).slice(HEADER_LENGTH..end))))
}
