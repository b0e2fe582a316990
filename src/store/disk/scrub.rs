//! A look at all that a disk holds, in the background: bits that have flipped are found before
//! somebody asks for them.
//!
//! Segments that are full are read record by record, slowly: all of them once in the period. A record
//! that is damaged is forgotten, counted, and told of once for its segment. Invariant: nobody waits
//! for this. The kernel is told that octets which were not in the page cache are not needed there; what it
//! has read ahead may stay.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::files::File;
use super::record::ALIGNMENT;
use super::segment::{Entry, Segment, file_name, read_footer, read_record, scan};
use super::{Disk, Inner, slot_of};
use crate::http::Timestamp;

/// Octets that are read between two pauses; arbitrary.
const READ_AT_ONCE: u64 = 1 << 20;
/// The longest pause: a disk that is nearly empty would have one of days, and grow meanwhile.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What scrubbing has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubUsage {
    /// Octets that were read and compared.
    pub read_bytes: u64,
    /// Records that were damaged, or could not be read.
    pub damaged: u64,
    /// Times that all was looked at.
    pub passes: u64,
    /// When that was done last.
    pub last_pass: Option<Timestamp>,
}

impl ScrubUsage {
    /// Of two disks: what was looked at on both.
    #[must_use]
    pub fn and(self, other: ScrubUsage) -> ScrubUsage {
        ScrubUsage {
            read_bytes: self.read_bytes + other.read_bytes,
            damaged: self.damaged + other.damaged,
            passes: self.passes.min(other.passes),
            last_pass: self.last_pass.zip(other.last_pass).map(|(one, other)| one.min(other)),
        }
    }
}

/// The counters of one disk.
#[derive(Debug, Default)]
pub(super) struct Scrub {
    read: AtomicU64,
    damaged: AtomicU64,
    passes: AtomicU64,
    /// In seconds since 1970; 0 for never.
    last_pass: AtomicU64,
}

impl Scrub {
    pub(super) fn usage(&self) -> ScrubUsage {
        let last_pass = self.last_pass.load(Ordering::Relaxed);
        ScrubUsage {
            read_bytes: self.read.load(Ordering::Relaxed),
            damaged: self.damaged.load(Ordering::Relaxed),
            passes: self.passes.load(Ordering::Relaxed),
            last_pass: (last_pass > 0).then_some(Timestamp(last_pass)),
        }
    }
}

impl Disk {
    /// Has all of the disk looked at once in each `period`, on a thread of its own, until it is
    /// closed. The first call counts.
    pub fn scrub_every(&self, period: Duration) -> io::Result<()> {
        let mut scrubber = self.scrubber.lock().unwrap_or_else(PoisonError::into_inner);
        if scrubber.is_none() {
            let inner = self.inner.clone();
            let thread = std::thread::Builder::new().name("larder-scrub".to_owned());
            *scrubber = Some(thread.spawn(move || while pass(&inner, Some(period)) == Pass::Whole {})?);
        }
        Ok(())
    }

    /// Looks at all of the disk now.
    pub fn scrub(&self) {
        pass(&self.inner, None);
    }
}

/// How a pass has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Whole,
    /// The disk is being closed.
    Stopped,
}

/// Looks at all segments that are full, at a pace that takes the period.
fn pass(inner: &Inner, period: Option<Duration>) -> Pass {
    let full = |segments: &std::collections::BTreeMap<u64, Arc<Segment>>| -> Vec<Arc<Segment>> {
        // The newest one is being written.
        segments.values().rev().skip(1).rev().cloned().collect()
    };
    let segments = full(&inner.segments.read().unwrap_or_else(PoisonError::into_inner));
    let began_ms = inner.clock.monotonic_ms();
    let mut unpaid = 0;
    for segment in segments {
        let mut damaged = 0;
        let past_cache = inner.files.open_past_cache(&inner.folder.join(file_name(segment.id))).ok();
        for entry in entries_of(past_cache.as_deref().unwrap_or(&*segment.file)) {
            let (octets, is_right) = look(inner, &segment, past_cache.as_deref(), &entry);
            damaged += u64::from(!is_right);
            unpaid += octets;
            if unpaid >= READ_AT_ONCE {
                if pause(inner, period.map(|period| pace(period, unpaid, inner))) == Pass::Stopped {
                    return Pass::Stopped;
                }
                unpaid = 0;
            }
        }
        if damaged > 0 {
            let name = inner.folder.join(file_name(segment.id));
            tracing::warn!("{} has damaged records, which were removed: {damaged}", name.display());
        }
    }
    inner.scrub.passes.fetch_add(1, Ordering::Relaxed);
    inner.scrub.last_pass.store(inner.clock.now().0, Ordering::Relaxed);
    let left = || {
        let took = Duration::from_millis(inner.clock.monotonic_ms().saturating_sub(began_ms));
        period.map(|period| period.saturating_sub(took)).filter(|left| !left.is_zero())
    };
    while let Some(left) = left() {
        if pause(inner, Some(left.min(PAUSE_MAX))) == Pass::Stopped {
            return Pass::Stopped;
        }
    }
    Pass::Whole
}

/// How long reading so many octets may take.
fn pace(period: Duration, octets: u64, inner: &Inner) -> Duration {
    let share = octets as f64 / inner.used.load(Ordering::Relaxed).max(octets).max(1) as f64;
    period.mul_f64(share).min(PAUSE_MAX)
}

/// Waits, unless the disk is being closed.
fn pause(inner: &Inner, long: Option<Duration>) -> Pass {
    let queue = inner.lock_queue();
    let waited = inner.stopping.wait_timeout_while(queue, long.unwrap_or_default(), |queue| !queue.stops);
    let (queue, _timeout) = waited.unwrap_or_else(PoisonError::into_inner);
    if queue.stops { Pass::Stopped } else { Pass::Whole }
}

/// The records of a segment; none when it can't be read, which its readers find out.
fn entries_of(file: &dyn File) -> Vec<Entry> {
    match read_footer(file) {
        Ok(Some(entries)) => entries,
        Ok(None) => scan(file).map(|(entries, _end)| entries).unwrap_or_default(),
        Err(_unreadable) => Vec::new(),
    }
}

/// Reads a record that is in force and compares its checksums; forgets one that is damaged. Octets
/// that were read, and whether they are right.
fn look(inner: &Inner, segment: &Segment, past_cache: Option<&dyn File>, entry: &Entry) -> (u64, bool) {
    let slot = slot_of(segment.id);
    let is_in_force = || inner.index.find(entry.key).filter(|place| place.is_at(slot, entry.offset));
    let Some(place) = is_in_force() else { return (0, true) };
    let at = u64::from(entry.offset) * ALIGNMENT;
    let length = u64::from(place.length_max);
    // What looks damaged past the cache is read as everybody does, too, before it is condemned.
    let is_right = past_cache.is_some_and(|file| is_whole(file, at, entry.key))
        || is_whole_in_cache(&*segment.file, at, length, entry.key);
    inner.scrub.read.fetch_add(length, Ordering::Relaxed);
    if !is_right && inner.forget(entry.key, slot, entry.offset) {
        inner.scrub.damaged.fetch_add(1, Ordering::Relaxed);
        inner.damaged.fetch_add(1, Ordering::Relaxed);
        return (length, false);
    }
    (length, true)
}

fn is_whole(file: &dyn File, at: u64, key: u128) -> bool {
    matches!(read_record(file, at), Ok(Ok((header, _record))) if header.key == key)
}

fn is_whole_in_cache(file: &dyn File, at: u64, length: u64, key: u128) -> bool {
    let was_in_memory = file.read_at_once(&mut [0], at).is_ok();
    let is_whole = is_whole(file, at, key);
    if !was_in_memory {
        file.forget(at, length);
    }
    is_whole
}
