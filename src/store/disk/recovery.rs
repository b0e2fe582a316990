//! Reading the log again at the start: segment after segment, in order, into the index.
//!
//! A segment that was ended has a list of its records; another is read record by record, up to
//! the first that is not whole, which is where a crash has cut it, and gets its list now. What
//! can't be read is left out, with a warning. Segments that were there get no further records.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::files::File;
use super::index::Place;
use super::purges::PurgeScope;
use super::record::{ALIGNMENT, Kind};
use super::segment::{Entry, Segment, id_of, read_footer, read_record, scan, seal};
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
                None => {
                    let (entries, end) = scan(&*file)?;
                    end_with_list(inner, &path, &entries, end);
                    entries
                }
            };
            Ok((file.length()?, file, entries))
        });
        match opened {
            Ok((length, file, entries)) => {
                replay(inner, id, length, &entries);
                replay_purges(inner, &*file, &entries);
                inner.used.fetch_add(length, Ordering::Relaxed);
                let mut segments = inner.segments.write().unwrap_or_else(PoisonError::into_inner);
                segments.insert(id, Arc::new(Segment { id, file }));
            }
            Err(error) => tracing::warn!("{} is left out: {error}", path.display()),
        }
    }
    Ok(ids.last().copied().unwrap_or(0))
}

/// Gives a segment that a crash has cut the list that it lacks, so that the next start is quick.
fn end_with_list(inner: &Inner, path: &Path, entries: &[Entry], end: u64) {
    let sealed = inner.files.open_to_write(path).and_then(|file| {
        // What stands behind the last whole record was never in force.
        file.set_length(end)?;
        seal(&*file, entries, end)
    });
    if let Err(error) = sealed {
        tracing::warn!("{} has no list of its records: {error}", path.display());
    }
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

/// Puts the purges of a segment in force. One that can't be read was of something: of all.
fn replay_purges(inner: &Inner, file: &dyn File, entries: &[Entry]) {
    for entry in entries.iter().filter(|entry| entry.kind == Kind::Purge) {
        let record = read_record(file, u64::from(entry.offset) * ALIGNMENT).ok().and_then(Result::ok);
        let scope = record.and_then(|(_header, record)| PurgeScope::decode(&record.head).ok());
        let scope = scope.unwrap_or_else(|| {
            tracing::warn!("a purge can't be read, so that all that is older is purged");
            PurgeScope::All
        });
        if let Err(refused) = inner.purges.merge(scope, entry.seq) {
            tracing::warn!("all that is older than a purge is purged: {refused}");
            // One of everything is never refused.
            let _merged = inner.purges.merge(PurgeScope::All, entry.seq);
        }
    }
}

/// The place of a record that was just put there.
pub(super) fn place(segment: u64, offset: u32, length_max: u32) -> Place {
    Place { slot: slot_of(segment), offset, length_max, frequency: 0, flags: Place::LIVE }
}
