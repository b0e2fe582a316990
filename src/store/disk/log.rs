//! The open segment: the end of the log, to which records are added.
//!
//! Invariant: what the index says of a record was written before it says so. When a segment is begun
//! and when it is ended is `appender.rs`'s to know.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Inner;
use super::index::Place;
use super::record::{ALIGNMENT, Kind, Record};
use super::recovery::place;
use super::segment::{Entry, Segment};

/// The segment that is being written.
pub(super) struct Open {
    pub segment: Arc<Segment>,
    /// Where the next record goes.
    pub end: u64,
    pub entries: Vec<Entry>,
}

impl Open {
    /// One with nothing in it.
    pub fn new(segment: Arc<Segment>) -> Open {
        Open { segment, end: 0, entries: Vec::new() }
    }

    /// Writes records at the end with one call, then puts them into the index.
    pub fn write(&mut self, inner: &Inner, records: &[&Record]) -> io::Result<()> {
        let mut octets = Vec::new();
        let mut entries = Vec::with_capacity(records.len());
        for record in records {
            let at = self.end + octets.len() as u64;
            let header = record.encode(at, &mut octets).map_err(io::Error::other)?;
            let offset = (at / ALIGNMENT) as u32;
            let entry = Entry { key: record.key, seq: record.seq, offset, kind: record.kind };
            entries.push((entry, header.stored_length(at)));
        }
        self.segment.file.write_all_at(&octets, self.end)?;
        self.end += octets.len() as u64;
        inner.count_written(octets.len() as u64);
        for (entry, length) in entries {
            match entry.kind {
                Kind::Tombstone => {
                    inner.index.remove(entry.key);
                }
                Kind::Purge => {}
                _ => {
                    let length_max = u32::try_from(length).unwrap_or(u32::MAX);
                    let place = place(self.segment.id, entry.offset, length_max);
                    // Its checksum was made of the very octets that were written.
                    let flags = place.flags | Place::VERIFIED;
                    inner.index.set(entry.key, Place { flags, ..place });
                }
            }
            self.entries.push(entry);
        }
        Ok(())
    }
}

impl Inner {
    pub(super) fn count_written(&self, octets: u64) {
        self.written.fetch_add(octets, Ordering::Relaxed);
        self.used.fetch_add(octets, Ordering::Relaxed);
    }
}
