//! The oldest segment goes, to make room.
//!
//! What was read from it since it was written is written again first, at the end of the log: a second
//! chance for what is used (FIFO with reinsertion).
//!
//! Invariant: a record leaves the index after its file is gone, and never before. Whoever removes a
//! key asks the index whether there is anything to remove; were the file still there, a removal that
//! was not written down would be undone by a kill. The other way round costs a removal that was not
//! needed, and what is read meanwhile comes from a file without a name.

use std::collections::BTreeMap;
use std::io;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::index::Place;
use super::log::Open;
use super::record::{ALIGNMENT, HEADER_LENGTH, Header, Kind, Record};
use super::segment::{Entry, Segment, file_name, read_footer, read_record, scan};
use super::superblock::remove_if_there;
use super::{Inner, slot_of};

/// Of a segment that goes, at most so many hundredths are written again: more would mean that
/// the disk is mostly rewriting; a replay (benches/eviction) gains little beyond.
const REINSERTED_PERCENT_MAX: u64 = 75;
/// The same with the heads that have to go along with what was written again.
const WITH_HEADS_PERCENT_MAX: u64 = 90;

/// Lets a segment go. What it holds of value is at the end of the log after this.
pub(super) fn reclaim(inner: &Inner, victim: &Segment, open: &mut Open) -> io::Result<()> {
    let entries = match read_footer(&*victim.file)? {
        Some(entries) => entries,
        None => scan(&*victim.file)?.0,
    };
    inner.ghost.grow(inner.index.entries());
    reinsert(inner, victim, &entries, open)?;
    // The copies first: what they replace is gone after this.
    open.segment.file.sync()?;
    // It may be gone: a disk that has failed here and is online again comes here a second time.
    remove_if_there(&*inner.files, &inner.folder.join(file_name(victim.id)))?;
    // For good, before anything in it counts as gone, and before the next one goes.
    inner.files.sync_folder(&inner.folder)?;
    let slot = slot_of(victim.id);
    for entry in &entries {
        // Unless it lies elsewhere by now, which is the copy just made.
        if inner.index.remove_if(entry.key, slot, entry.offset) {
            inner.ghost.note(entry.key);
        }
    }
    inner.segments.write().unwrap_or_else(PoisonError::into_inner).remove(&victim.id);
    // What they concern was written before them, or looked at since: it has gone by now.
    let purges = entries.iter().filter(|entry| entry.kind == Kind::Purge);
    if let Some(newest) = purges.map(|entry| entry.seq).max() {
        inner.purges.retire(newest);
    }
    let length = victim.file.length()?;
    inner.used.fetch_sub(length, Ordering::Relaxed);
    inner.reclaimed.fetch_add(length, Ordering::Relaxed);
    Ok(())
}

/// Writes again what is worth it, the most used first, and the freshened heads of what stays.
fn reinsert(inner: &Inner, victim: &Segment, entries: &[Entry], open: &mut Open) -> io::Result<()> {
    let slot = slot_of(victim.id);
    let (mut live, mut heads) = (BTreeMap::new(), Vec::new());
    for entry in entries {
        match inner.index.find(entry.key).filter(|place| place.is_at(slot, entry.offset)) {
            Some(place) if entry.kind == Kind::Meta => heads.push((*entry, place)),
            Some(place) => {
                live.insert((u8::MAX - place.frequency, entry.offset), (*entry, place));
            }
            None => {}
        }
    }
    let of_segment = |percent: u64| inner.settings.segment_size * percent / 100;
    let mut room = of_segment(REINSERTED_PERCENT_MAX);
    for (entry, place) in live.into_values() {
        if place.frequency == 0 || u64::from(place.length_max) > room {
            continue;
        }
        // One that can't be read is not worth a place: it goes with its segment.
        let Some(record) = whole(victim, &entry) else { continue };
        let is_whole = !entry.kind.has_owner() || inner.has_owner(&record);
        if is_whole && inner.is_dead.get().is_none_or(|ask| !(ask.0)(&record)) {
            room -= record.stored_length(open.end).min(room);
            open.write(inner, &[&record])?;
        }
    }
    let mut room = room + of_segment(WITH_HEADS_PERCENT_MAX) - of_segment(REINSERTED_PERCENT_MAX);
    for (entry, place) in heads {
        let Some(record) = whole(victim, &entry) else { continue };
        let Some((owner, lies)) = inner.owner(&record) else { continue };
        // Its owner goes with this segment.
        if lies.slot == slot {
            continue;
        }
        if u64::from(place.length_max) <= room {
            room -= record.stored_length(open.end).min(room);
            open.write(inner, &[&record])?;
        } else {
            // The head that it had before may have been good for longer than the one that goes.
            inner.forget(owner, lies.slot, lies.offset);
        }
    }
    Ok(())
}

fn whole(victim: &Segment, entry: &Entry) -> Option<Record> {
    let read = read_record(&*victim.file, u64::from(entry.offset) * ALIGNMENT);
    read.ok()?.ok().map(|(_header, record)| record)
}

impl Inner {
    /// Whether the object is there that a freshened head or a chunk belongs to: its key stands in
    /// front.
    fn has_owner(&self, record: &Record) -> bool {
        self.owner(record).is_some()
    }

    /// The key and the place of the object that a freshened head or a chunk belongs to.
    fn owner(&self, record: &Record) -> Option<(u128, Place)> {
        let owner = record.owner()?;
        let place = self.index.find(owner)?;
        let segment = self.segment_in(place.slot)?;
        let mut octets = [0; HEADER_LENGTH];
        let read = segment.file.read_at(&mut octets, u64::from(place.offset) * ALIGNMENT);
        let header = read.map(|read| Header::decode(octets.get(..read).unwrap_or_default()));
        let Ok(Ok(header)) = header else {
            // It must not stay without what belongs to it.
            self.forget(owner, place.slot, place.offset);
            return None;
        };
        let is_it = header.key == owner && header.generation == record.generation;
        is_it.then_some((owner, place))
    }
}
