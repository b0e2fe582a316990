//! The one thread that writes: it takes what is queued, writes it with one call, and only then
//! puts it into the index. When a segment is full it gets its list, and the oldest one goes.
//!
//! Before the oldest segment goes, what was read from it since it was written is written again,
//! at the end of the log: a second chance for what is used (FIFO with reinsertion). Order of a
//! change of segments: list, sync, new file, removal. After an error nothing more is written.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::checkpoint::{self, Checkpoint};
use super::files::File;
use super::index::Place;
use super::queue::{Removals, Withdrawal, queued_octets};
use super::record::{ALIGNMENT, Kind, Record};
use super::recovery::place;
use super::segment::{Entry, Segment, file_name, read_footer, read_record, scan, seal};
use super::{Inner, slot_of};

/// What a power cut may cost, in time.
const SYNC_EVERY: Duration = Duration::from_secs(5);
/// Segments beyond what the size asks for: arbitrary, a few descriptors.
const SEGMENTS_SPARE: u64 = 16;
/// The index is saved when an eighth of its records are new, so that a start reads the lists of no
/// more, and when twice its size was written, so that tiny records don't make it the most of what is
/// written: 2 % more to write at 8 KiB a record.
const NEW_RECORDS_PART: u64 = 8;
const WRITTEN_SIZES_MIN: u64 = 2;
/// Of a segment that goes, at most so many hundredths are written again: more would mean that
/// the disk is mostly rewriting; a replay (benches/eviction) gains little beyond.
const REINSERTED_PERCENT_MAX: u64 = 75;

/// Writes until told to stop.
pub(super) fn run(inner: &Inner, last: u64) {
    let synced_ms = inner.clock.monotonic_ms();
    let mut log = Log {
        inner,
        last,
        open: None,
        is_dirty: false,
        synced_ms,
        unsynced: Removals::default(),
        unsaved: Unsaved::default(),
    };
    while let Some(batch) = log.next_batch() {
        let written = log.write_batch(&batch);
        let mut queue = inner.lock_queue();
        for record in &batch {
            queue.octets = queue.octets.saturating_sub(queued_octets(record));
            count_down(&mut queue.keys, record.key);
            if record.kind == Kind::Tombstone && written.is_ok() {
                count_down(&mut queue.removing, record.key);
            }
        }
        if written.is_ok() {
            queue.finished += batch.len() as u64;
        }
        drop(queue);
        if let Err(error) = &written {
            let folder = inner.folder.display();
            tracing::warn!("the disk tier in {folder} is read-only until `larder cache online`: {error}");
            inner.give_up(error.to_string(), log.unsynced.take().into_iter().chain(batch));
        }
        let mut queue = inner.lock_queue();
        let finished = if written.is_ok() { queue.finished } else { u64::MAX };
        let through: Vec<_> = queue.waiting.extract_if(.., |(number, _)| *number <= finished).collect();
        drop(queue);
        inner.done.notify_all();
        for (_number, done) in through {
            (done.0)(written.is_ok());
        }
        if written.is_err() {
            return inner.stand_by();
        }
    }
    match log.seal() {
        Ok(()) => log.save_index(log.last + 1),
        Err(error) => {
            tracing::warn!("the disk tier in {} could not be closed: {error}", inner.folder.display());
            if !log.unsynced.is_empty() {
                inner.withdraw();
            }
        }
    }
}

/// Counts one less of a key, and forgets it when there is none left.
fn count_down(counts: &mut HashMap<u128, u32>, key: u128) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

struct Log<'a> {
    inner: &'a Inner,
    /// Of the newest segment.
    last: u64,
    open: Option<Open>,
    is_dirty: bool,
    /// Of the last sync, on the monotonic clock.
    synced_ms: u64,
    /// Removals since the last sync: what a sync that fails was to keep may be lost.
    unsynced: Removals,
    unsaved: Unsaved,
}

/// What segments hold that were ended since the index was saved.
#[derive(Default)]
struct Unsaved {
    records: u64,
    octets: u64,
}

/// The segment that is being written.
struct Open {
    segment: Arc<Segment>,
    /// Where the next record goes.
    end: u64,
    entries: Vec<Entry>,
}

impl Log<'_> {
    /// Waits for records; none when a sync is due, `None` at the end.
    fn next_batch(&self) -> Option<Vec<Record>> {
        let mut queue = self.inner.lock_queue();
        loop {
            if !queue.records.is_empty() {
                return Some(std::mem::take(&mut queue.records));
            }
            if queue.stops {
                return None;
            }
            if !self.is_dirty {
                queue = self.inner.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self.inner.work.wait_timeout(queue, SYNC_EVERY);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if timeout.timed_out() && queue.records.is_empty() {
                return Some(Vec::new());
            }
        }
    }

    fn write_batch(&mut self, batch: &[Record]) -> io::Result<()> {
        self.append(batch)?;
        self.unsynced.keep(batch.iter().filter(|record| record.kind.is_removal()).cloned());
        // The first batch after a failure has all the removals that could not be written then.
        if self.inner.lock_queue().withdrawal != Withdrawal::NotNeeded {
            self.sync()?;
            self.inner.restore()?;
        }
        self.sync_if_due()
    }

    fn append(&mut self, mut batch: &[Record]) -> io::Result<()> {
        while !batch.is_empty() {
            let room = self.inner.settings.segment_size;
            if self
                .open
                .as_ref()
                .is_none_or(|open| batch.iter().take(1).any(|r| open.end + r.stored_length(open.end) > room))
            {
                self.next_segment()?;
            }
            let Some(open) = &mut self.open else { return Ok(()) };
            let mut end = open.end;
            let fits = |record: &&Record| {
                end += record.stored_length(end);
                end <= room
            };
            // A record that is larger than a segment has one of its own.
            let count = batch.iter().take_while(fits).count().max(1);
            let (now, later) = batch.split_at(count);
            let records: Vec<&Record> = now.iter().collect();
            write(self.inner, open, &records)?;
            self.is_dirty = true;
            batch = later;
        }
        Ok(())
    }

    fn sync_if_due(&mut self) -> io::Result<()> {
        let now = self.inner.clock.monotonic_ms();
        if u128::from(now.saturating_sub(self.synced_ms)) < SYNC_EVERY.as_millis() {
            return Ok(());
        }
        self.sync()?;
        self.synced_ms = now;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if let Some(open) = self.open.as_ref().filter(|_| self.is_dirty) {
            open.segment.file.sync()?;
        }
        self.is_dirty = false;
        self.unsynced.take();
        Ok(())
    }

    /// Ends the open segment: what it holds is on the device before it says so.
    fn seal(&mut self) -> io::Result<()> {
        self.sync()?;
        let Some(open) = self.open.take() else { return Ok(()) };
        let octets = seal(&*open.segment.file, &open.entries, open.end)?;
        self.inner.count_written(octets);
        self.unsaved.records += open.entries.len() as u64;
        self.unsaved.octets += open.end + octets;
        Ok(())
    }

    /// Ends the open segment, begins the next one, and lets the oldest go if there is no room.
    fn next_segment(&mut self) -> io::Result<()> {
        self.seal()?;
        let id = self.last + 1;
        let file: Arc<dyn File> = self.inner.files.create(&self.inner.folder.join(file_name(id)))?;
        self.inner.files.sync_folder(&self.inner.folder)?;
        self.last = id;
        let segment = Arc::new(Segment { id, file });
        self.inner.segments.write().unwrap_or_else(PoisonError::into_inner).insert(id, segment.clone());
        let mut open = Open { segment, end: 0, entries: Vec::new() };
        while let Some(victim) = self.victim() {
            self.reclaim(&victim, &mut open)?;
        }
        self.open = Some(open);
        let index = &self.inner.index;
        let is_due = self.unsaved.records * NEW_RECORDS_PART >= index.entries()
            && self.unsaved.octets >= index.memory_bytes() * WRITTEN_SIZES_MIN;
        if is_due {
            // All that lies before the new segment is in the table; what lies in it is read again.
            self.save_index(id);
        }
        Ok(())
    }

    /// Saves the index, which costs a start the lists of the segments from `segment` on. A disk
    /// that fails at this fails at the next write, too, and a start can do without.
    fn save_index(&mut self, segment: u64) {
        let Inner { index, files, folder, purges, .. } = self.inner;
        let identity = checkpoint::identity(self.inner.hash_key);
        let checkpoint = Checkpoint { identity, segment, purges: purges.all() };
        match checkpoint.store(index, &**files, folder) {
            Ok(octets) => {
                self.inner.written.fetch_add(octets, Ordering::Relaxed);
            }
            Err(error) => tracing::warn!("the index in {} is not saved: {error}", folder.display()),
        }
        self.unsaved = Unsaved::default();
    }

    /// The oldest segment, when a full new one would not fit beside the others.
    fn victim(&self) -> Option<Arc<Segment>> {
        let settings = &self.inner.settings;
        let used = self.inner.used.load(Ordering::Relaxed);
        let segments = self.inner.segments.read().unwrap_or_else(PoisonError::into_inner);
        let (_id, oldest) = segments.first_key_value()?;
        // Each start begins a segment: many starts must not leave many files.
        let too_many = segments.len() as u64 > 2 * (settings.size / settings.segment_size) + SEGMENTS_SPARE;
        let too_large = used + settings.segment_size > settings.size;
        (segments.len() > 1 && (too_large || too_many)).then(|| oldest.clone())
    }

    fn reclaim(&self, victim: &Segment, open: &mut Open) -> io::Result<()> {
        let slot = slot_of(victim.id);
        let entries = match read_footer(&*victim.file)? {
            Some(entries) => entries,
            None => scan(&*victim.file)?.0,
        };
        self.inner.ghost.grow(self.inner.index.entries());
        let mut live = BTreeMap::new();
        for entry in &entries {
            let place = self.inner.index.find(entry.key).filter(|place| place.is_at(slot, entry.offset));
            if let Some(place) = place {
                live.insert((u8::MAX - place.frequency, entry.offset), (*entry, place));
            }
        }
        let mut room = self.inner.settings.segment_size * REINSERTED_PERCENT_MAX / 100;
        for ((_hottest_first, _offset), (entry, place)) in live {
            let at = u64::from(entry.offset) * ALIGNMENT;
            let is_wanted = place.frequency > 0 || entry.kind == Kind::Meta;
            if is_wanted
                && u64::from(place.length_max) <= room
                && let Ok((_header, record)) = read_record(&*victim.file, at)?
                && (!entry.kind.has_owner() || self.inner.has_owner(&record))
                && self.inner.is_dead.get().is_none_or(|ask| !(ask.0)(&record))
            {
                room -= record.stored_length(open.end).min(room);
                write(self.inner, open, &[&record])?;
            }
            // Unless it lies elsewhere by now, which is the copy just made.
            if self.inner.index.remove_if(entry.key, slot, entry.offset) {
                self.inner.ghost.note(entry.key);
            }
        }
        // What they concern was written before them, or looked at since: it has gone by now.
        let purges = entries.iter().filter(|entry| entry.kind == Kind::Purge);
        if let Some(newest) = purges.map(|entry| entry.seq).max() {
            self.inner.purges.retire(newest);
        }
        self.inner.segments.write().unwrap_or_else(PoisonError::into_inner).remove(&victim.id);
        let length = victim.file.length()?;
        self.inner.used.fetch_sub(length, Ordering::Relaxed);
        self.inner.reclaimed.fetch_add(length, Ordering::Relaxed);
        // The copies first: what they replace is gone after this.
        open.segment.file.sync()?;
        self.inner.files.remove(&self.inner.folder.join(file_name(victim.id)))
    }
}

/// Writes records at the end of the open segment with one call, then puts them into the index.
fn write(inner: &Inner, open: &mut Open, records: &[&Record]) -> io::Result<()> {
    let mut octets = Vec::new();
    let mut entries = Vec::with_capacity(records.len());
    for record in records {
        let at = open.end + octets.len() as u64;
        let header = record.encode(at, &mut octets).map_err(io::Error::other)?;
        let offset = (at / ALIGNMENT) as u32;
        let entry = Entry { key: record.key, seq: record.seq, offset, kind: record.kind };
        entries.push((entry, header.stored_length(at)));
    }
    open.segment.file.write_all_at(&octets, open.end)?;
    open.end += octets.len() as u64;
    inner.count_written(octets.len() as u64);
    for (entry, length) in entries {
        match entry.kind {
            Kind::Tombstone => {
                inner.index.remove(entry.key);
            }
            Kind::Purge => {}
            _ => {
                let length_max = u32::try_from(length).unwrap_or(u32::MAX);
                let place = place(open.segment.id, entry.offset, length_max);
                // Its checksum was made of the very octets that were written.
                let flags = place.flags | Place::VERIFIED;
                inner.index.set(entry.key, Place { flags, ..place });
            }
        }
        open.entries.push(entry);
    }
    Ok(())
}

impl Inner {
    fn count_written(&self, octets: u64) {
        self.written.fetch_add(octets, Ordering::Relaxed);
        self.used.fetch_add(octets, Ordering::Relaxed);
    }

    /// Whether the object is there that a freshened head or a chunk belongs to: its key stands in
    /// front.
    fn has_owner(&self, meta: &Record) -> bool {
        let owner = meta.head.first_chunk::<16>().map(|octets| u128::from_le_bytes(*octets));
        let found = owner.and_then(|owner| self.read_at(owner, &self.index.find(owner)?).ok());
        found.is_some_and(|object| object.generation == meta.generation)
    }
}
