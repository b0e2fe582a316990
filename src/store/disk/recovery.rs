//! Reading the log again at the start: segment after segment, in order, into the index.
//!
//! A full segment has a list of its records; the last one is read record by record, up to the
//! first that is not whole, which is what a crash has cut. What can't be read is left out, with a
//! warning. Segments that were there are never written to again.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::index::Place;
use super::record::{ALIGNMENT, Kind};
use super::segment::{Entry, Segment, id_of, read_footer, scan};
use super::{Inner, slot_of};

/// Fills the index; gives the number of the last segment.
pub(super) fn recover(inner: &Inner) -> io::Result<u64> {
    let names = inner.files.list(&inner.folder)?;
    let mut ids: Vec<u64> = names.iter().filter_map(|name| id_of(name)).collect();
    ids.sort_unstable();
    for &id in &ids {
        let path = inner.folder.join(super::segment::file_name(id));
        let opened = inner.files.open(&path).and_then(|file| {
            let entries = match read_footer(&*file)? {
                Some(entries) => entries,
                None => scan(&*file)?,
            };
            Ok((file.length()?, file, entries))
        });
        match opened {
            Ok((length, file, entries)) => {
                replay(inner, id, length, &entries);
                inner.used.fetch_add(length, Ordering::Relaxed);
                let mut segments = inner.segments.write().unwrap_or_else(PoisonError::into_inner);
                segments.insert(id, Arc::new(Segment { id, file }));
            }
            Err(error) => tracing::warn!("{} is left out: {error}", path.display()),
        }
    }
    Ok(ids.last().copied().unwrap_or(0))
}

/// Does what the records of a segment say. A record ends, at the latest, where the next begins.
fn replay(inner: &Inner, id: u64, length: u64, entries: &[Entry]) {
    let ends = entries.iter().skip(1).map(|next| u64::from(next.offset) * ALIGNMENT).chain([length]);
    for (entry, end) in entries.iter().zip(ends) {
        match entry.kind {
            Kind::Tombstone => {
                inner.index.remove(entry.key);
            }
            Kind::Purge => {}
            _ => {
                let length = end.saturating_sub(u64::from(entry.offset) * ALIGNMENT);
                let length_max = u32::try_from(length).unwrap_or(u32::MAX);
                inner.index.set(entry.key, place(id, entry.offset, length_max));
            }
        }
    }
}

/// The place of a record that was just put there.
pub(super) fn place(segment: u64, offset: u32, length_max: u32) -> Place {
    Place { slot: slot_of(segment), offset, length_max, frequency: 0, flags: Place::LIVE }
}
