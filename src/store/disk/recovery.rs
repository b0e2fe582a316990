//! Reading the log again at the start: segment after segment, in order, into the index. What the
//! saved index knows is not read again.
//!
//! A segment that was ended has a list of its records; another is read record by record, up to
//! the first that is not whole, which is where a crash has cut it, and gets its list now. A segment
//! that the device can't read goes, for good, with all that are older: it may hold what has removed
//! theirs, and what is removed from now on could not be told to it. Segments that were there get no
//! further records.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::checkpoint::{self, Checkpoint};
use super::files::File;
use super::index::{Changes, Place};
use super::purges::PurgeScope;
use super::record::{ALIGNMENT, Kind};
use super::segment::{Entry, Segment, file_name, id_of, read_footer, read_record, scan, seal};
use super::{Inner, slot_of};

/// Changes of the index that are gathered before they are made: arbitrary, some 64 MiB.
const CHANGES_MAX: usize = 2 << 20;

/// Fills the index; gives the number of the last segment.
pub(super) fn recover(inner: &Inner) -> io::Result<u64> {
    let names = inner.files.list(&inner.folder)?;
    let mut ids: Vec<u64> = names.iter().filter_map(|name| id_of(name)).collect();
    ids.sort_unstable();
    let known_before = load_checkpoint(inner);
    let mut changes = Changes::default();
    for &id in &ids {
        let path = inner.folder.join(file_name(id));
        let opened = inner.files.open(&path).and_then(|file| {
            // The saved index knows all that lies in it.
            let is_known = id < known_before;
            let entries = if is_known { Vec::new() } else { entries_of(inner, &path, &*file)? };
            Ok((file.length()?, file, entries))
        });
        match opened {
            Ok((length, file, entries)) => {
                replay(&mut changes, id, length, &entries);
                if changes.count() >= CHANGES_MAX {
                    inner.index.apply(&mut changes);
                }
                replay_purges(inner, &*file, &entries);
                inner.used.fetch_add(length, Ordering::Relaxed);
                let mut segments = inner.segments.write().unwrap_or_else(PoisonError::into_inner);
                segments.insert(id, Arc::new(Segment { id, file }));
            }
            Err(error) if is_of_device(&error) => {
                tracing::warn!("{} and everything older is removed: {error}", path.display());
                remove_until(inner, &ids, id)?;
                changes = Changes::default();
            }
            // For want of descriptors, say: it can be read at another time.
            Err(error) => return Err(error),
        }
    }
    inner.index.apply(&mut changes);
    // Never one that the saved index takes for older than it is.
    Ok(ids.last().copied().unwrap_or(0).max(known_before.saturating_sub(1)))
}

fn is_of_device(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// Removes the segments up to `last`, which were read so far, and that one. The oldest first: what is
/// left at any moment is the end of the log, which may go without what is older. Places that the
/// index has in them are found to be gone when they are asked for.
fn remove_until(inner: &Inner, ids: &[u64], last: u64) -> io::Result<()> {
    let Inner { files, folder, .. } = inner;
    let remove = |id: &u64| files.remove(&folder.join(file_name(*id)));
    // Another one before may have had them removed.
    let there = |id: &&u64| inner.segments.read().unwrap_or_else(PoisonError::into_inner).contains_key(id);
    ids.iter().take_while(|id| **id < last).filter(there).try_for_each(remove)?;
    files.sync_folder(folder)?;
    remove(&last)?;
    files.sync_folder(folder)?;
    inner.segments.write().unwrap_or_else(PoisonError::into_inner).clear();
    inner.used.store(0, Ordering::Relaxed);
    Ok(())
}

/// Loads the saved index; gives the first segment that it may not know, 0 when there is none.
fn load_checkpoint(inner: &Inner) -> u64 {
    let identity = checkpoint::identity(inner.hash_key);
    let loaded = Checkpoint::load(&inner.index, &*inner.files, &inner.folder, identity);
    let (segment, purges) = match loaded {
        Ok(Some(Checkpoint { segment, purges, .. })) => (segment, purges),
        Ok(None) => (0, Vec::new()),
        Err(error) => {
            tracing::warn!("the saved index in {} can't be read: {error}", inner.folder.display());
            (0, Vec::new())
        }
    };
    if segment == 0 {
        // A part of it may have been loaded before the rest turned out to be wrong.
        inner.index.clear();
    }
    purges.into_iter().for_each(|purge| put_in_force(inner, purge.scope, purge.seq));
    segment
}

/// The records of a segment: by its list, or read one by one where a crash has cut it.
fn entries_of(inner: &Inner, path: &Path, file: &dyn File) -> io::Result<Vec<Entry>> {
    if let Some(entries) = read_footer(file)? {
        return Ok(entries);
    }
    let (entries, end) = scan(file)?;
    end_with_list(inner, path, &entries, end);
    Ok(entries)
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

/// Gathers what the records of a segment say. A record ends, at the latest, where the next begins.
fn replay(changes: &mut Changes, id: u64, length: u64, entries: &[Entry]) {
    let ends = entries.iter().skip(1).map(|next| u64::from(next.offset) * ALIGNMENT).chain([length]);
    for (entry, end) in entries.iter().zip(ends) {
        match entry.kind {
            Kind::Tombstone => changes.push(entry.key, None),
            Kind::Purge => {}
            _ => {
                let length = end.saturating_sub(u64::from(entry.offset) * ALIGNMENT);
                let length_max = u32::try_from(length).unwrap_or(u32::MAX);
                changes.push(entry.key, Some(place(id, entry.offset, length_max)));
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
            tracing::warn!("a purge can't be read: everything older is purged");
            PurgeScope::All
        });
        put_in_force(inner, scope, entry.seq);
    }
}

fn put_in_force(inner: &Inner, scope: PurgeScope, seq: u64) {
    if let Err(refused) = inner.purges.merge(scope, seq) {
        tracing::warn!("everything older than a purge is purged: {refused}");
        // One of everything is never refused.
        let _merged = inner.purges.merge(PurgeScope::All, seq);
    }
}

/// The place of a record that was just put there.
pub(super) fn place(segment: u64, offset: u32, length_max: u32) -> Place {
    Place { slot: slot_of(segment), offset, length_max, frequency: 0, flags: Place::LIVE }
}
