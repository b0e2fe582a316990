//! The one thread that writes: it takes what is queued, writes it with one call, and only then
//! puts it into the index. When a segment is full it gets its list, and the oldest one goes.
//!
//! Order of a change of segments: list, sync, new file, removal (`reclaim.rs`). After an error nothing
//! more is written.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Inner;
use super::checkpoint::{self, Checkpoint};
use super::files::File;
use super::log::Open;
use super::queue::{Removals, Withdrawal};
use super::reclaim::reclaim;
use super::record::Record;
use super::segment::{Segment, file_name, seal};

/// What a power cut may cost, in time.
const SYNC_EVERY: Duration = Duration::from_secs(5);
/// Segments beyond what the size asks for: arbitrary, a few descriptors.
const SEGMENTS_SPARE: u64 = 16;
/// The index is saved when an eighth of its records are new, so that a start reads the lists of no
/// more, and when twice its size was written, so that tiny records don't make it the most of what is
/// written: 2 % more to write at 8 KiB a record.
const NEW_RECORDS_PART: u64 = 8;
const WRITTEN_SIZES_MIN: u64 = 2;

impl Inner {
    /// Starts the thread that writes; `last` is the newest segment there is.
    pub(super) fn start_appender(self: &Arc<Inner>, last: u64) -> io::Result<std::thread::JoinHandle<()>> {
        let inner = self.clone();
        let thread = std::thread::Builder::new().name("larder-disk".to_owned());
        thread.spawn(move || run(&inner, last))
    }
}

/// Writes until told to stop.
pub(super) fn run(inner: &Inner, last: u64) {
    let synced_ms = inner.clock.monotonic_ms();
    let mut log = Log {
        inner,
        last,
        open: None,
        appended: 0,
        is_dirty: false,
        synced_ms,
        unsynced: Removals::default(),
        unsaved: Unsaved::default(),
    };
    while let Some(mut batch) = log.next_batch() {
        log.appended = 0;
        let written = log.write_batch(&batch);
        let mut queue = inner.lock_queue();
        batch.iter().for_each(|record| queue.done(record, written.is_ok()));
        if written.is_ok() {
            queue.finished += batch.len() as u64;
        }
        drop(queue);
        if let Err(error) = &written {
            let folder = inner.folder.display();
            tracing::warn!("the disk tier in {folder} is read-only until `larder cache online`: {error}");
            let mut in_log = log.unsynced.take();
            let lost = batch.split_off(log.appended.min(batch.len()));
            in_log.extend(batch);
            inner.give_up(error.to_string(), in_log, lost);
        }
        let mut queue = inner.lock_queue();
        let finished = if written.is_ok() { queue.finished } else { u64::MAX };
        let through: Vec<_> = queue.waiting.extract_if(.., |(number, _)| *number <= finished).collect();
        drop(queue);
        inner.tell_waiting();
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

struct Log<'a> {
    inner: &'a Inner,
    /// Of the newest segment.
    last: u64,
    open: Option<Open>,
    /// Records of the batch under way that are in the log.
    appended: usize,
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
            // What is written in part is dirty, too.
            self.is_dirty = true;
            open.write(self.inner, &records)?;
            self.appended += count;
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
        let mut open = Open::new(segment);
        while let Some(victim) = self.victim() {
            reclaim(self.inner, &victim, &mut open)?;
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
}
