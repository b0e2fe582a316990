//! The tier on disk: one folder with a log of records, cut into segments, and an index in RAM.
//!
//! There is one log, and its order is the truth: for each key the last record counts, and a
//! removal is a record, too. So recovery is to read the log in order; and since reclaim always
//! takes the oldest segment, whatever a record has replaced is gone before the record itself is.
//!
//! Invariant: the index points only at records that were written whole. One thread writes, and
//! it alone puts places into the index. What fails on the disk is a miss for whoever asked.

pub mod appender;
pub mod files;
pub mod ghost;
pub mod index;
pub mod purges;
pub mod record;
pub mod recovery;
pub mod segment;
pub mod superblock;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;

use files::{Files, Lock};
use ghost::Ghost;
use index::{Index, Place};
use record::{ALIGNMENT, Record};
use segment::Segment;
use superblock::{InvalidSuperblock, Superblock};

use crate::clock::Clock;

/// Octets that may wait to be written; more are refused. Arbitrary: some of the largest records.
const QUEUE_MAX: u64 = 4 << 20;

/// Up to here the disk takes anything, in hundredths of its size. Arbitrary.
const FREE_PERCENT: u64 = 80;

/// How large a disk tier is, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSettings {
    /// All segments together; one segment more is written before the oldest goes.
    pub size: u64,
    /// One segment: at most 64 MiB, and more than the largest record.
    pub segment_size: u64,
}

/// The segment size that is used outside of tests.
pub const SEGMENT_SIZE: u64 = 64 << 20;

/// Why a folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("another larder is using this cache folder: it holds the store in {0}")]
    InUse(PathBuf),
    #[error("the store in {0} can't be read: {1}; use another folder, or remove this one")]
    Format(PathBuf, InvalidSuperblock),
    #[error("the store in {0} can't be opened: {1}")]
    Io(PathBuf, io::Error),
}

/// Why a record is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("disk-read-only")]
    ReadOnly,
    #[error("disk-queue")]
    Queue,
    #[error("disk-record-length")]
    TooLong,
}

/// A record that waits to be written.
#[derive(Clone, Copy, Debug)]
pub struct Queued(u64);

/// What a disk tier holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Octets of all segments.
    pub used_bytes: u64,
    /// Octets that the segments may take.
    pub size: u64,
    /// Records that the index points at.
    pub records: u64,
    pub segments: u64,
    /// Octets written since the start.
    pub written_bytes: u64,
    /// Records that were found damaged or could not be read.
    pub damaged: u64,
    /// Whether it can't be written to any more.
    pub is_read_only: bool,
}

/// One folder of the disk tier.
#[derive(Debug)]
pub struct Disk {
    inner: Arc<Inner>,
    appender: Mutex<Option<std::thread::JoinHandle<()>>>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    files: Arc<dyn Files>,
    clock: Clock,
    settings: DiskSettings,
    hash_key: [u64; 2],
    /// The logical clock.
    seq: AtomicU64,
    index: Index,
    /// Keys that were refused or let go not long ago.
    ghost: Ghost,
    segments: RwLock<BTreeMap<u64, Arc<Segment>>>,
    queue: Mutex<Queue>,
    /// There is something to write, or to stop for.
    work: Condvar,
    /// Something was written, or can't be.
    done: Condvar,
    used: AtomicU64,
    written: AtomicU64,
    damaged: AtomicU64,
    _lock: Box<dyn Lock>,
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Queue {
    records: Vec<Record>,
    octets: u64,
    /// Keys that are waiting or being written, and how often.
    keys: HashMap<u128, u32>,
    /// Records queued and records done so far: tells a waiting one when it is through.
    queued: u64,
    finished: u64,
    is_read_only: bool,
    stops: bool,
}

impl Disk {
    /// Opens the store in `folder`, or makes one. `random` becomes a new store's secret.
    pub fn open(
        folder: &Path,
        settings: DiskSettings,
        files: Arc<dyn Files>,
        clock: Clock,
        random: [u64; 2],
    ) -> Result<Disk, OpenError> {
        let io = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse(folder.to_owned()),
            _ => OpenError::Io(folder.to_owned(), error),
        };
        files.create_folder(folder).map_err(io)?;
        let lock = files.lock(&folder.join("lock"), &std::process::id().to_string()).map_err(io)?;
        let found = Superblock::load(&*files, folder).map_err(io)?.transpose();
        let found = found.map_err(|invalid| OpenError::Format(folder.to_owned(), invalid))?;
        let before = found.unwrap_or(Superblock { epoch: 0, hash_key: random });
        let superblock = Superblock { epoch: before.epoch.wrapping_add(1), ..before };
        superblock.store(&*files, folder).map_err(io)?;
        let inner = Inner {
            folder: folder.to_owned(),
            files,
            clock,
            settings,
            hash_key: superblock.hash_key,
            seq: AtomicU64::new(u64::from(superblock.epoch) << 40),
            index: Index::new(),
            ghost: Ghost::new(0),
            segments: RwLock::default(),
            queue: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            used: AtomicU64::new(0),
            written: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            _lock: lock,
        };
        let last = recovery::recover(&inner).map_err(io)?;
        let inner = Arc::new(inner);
        let of_thread = inner.clone();
        let appender = std::thread::Builder::new()
            .name("larder-disk".to_owned())
            .spawn(move || appender::run(&of_thread, last))
            .map_err(io)?;
        Ok(Disk { inner, appender: Mutex::new(Some(appender)) })
    }

    /// The secret of the keys.
    pub fn hash_key(&self) -> [u64; 2] {
        self.inner.hash_key
    }

    /// The next reading of the store's logical clock: later ones are higher, across restarts.
    pub fn next_seq(&self) -> u64 {
        self.inner.seq.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether there is, or will be when the queue is written, a record of this key.
    pub fn contains(&self, key: u128) -> bool {
        self.inner.lock_queue().keys.contains_key(&key) || self.inner.index.find(key).is_some()
    }

    /// Whether the disk wants something new under this key. As long as there is room, anything;
    /// then only what is asked for a second time: most responses never are.
    pub fn admits(&self, key: u128) -> bool {
        let inner = &self.inner;
        let used = inner.used.load(Ordering::Relaxed);
        if used < inner.settings.size / 100 * FREE_PERCENT || inner.ghost.take(key) {
            return true;
        }
        inner.ghost.note(key);
        false
    }

    /// Queues a record. Removals are never refused for want of room: they are small, and what
    /// they remove must not come back.
    pub fn append(&self, record: Record) -> Result<Queued, Refused> {
        self.inner.enqueue(record)
    }

    /// Waits until what was queued is written, so that a crash of this process doesn't undo it.
    /// False: it could not be written.
    pub fn wait(&self, queued: Queued) -> bool {
        let mut queue = self.inner.lock_queue();
        while queue.finished < queued.0 && !queue.is_read_only {
            queue = self.inner.done.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.finished >= queued.0
    }

    /// Takes a key out of the index. The log still has it.
    pub fn remove(&self, key: u128) {
        self.inner.index.remove(key);
    }

    /// Reads the record of a key, which this counts as a use; waits for the device. A damaged
    /// record is counted and forgotten.
    pub fn read(&self, key: u128) -> Option<Record> {
        let place = self.inner.index.touch(key)?;
        let record = self.inner.read_at(key, &place);
        if record.is_none() && self.inner.index.remove_if(key, place.slot, place.offset) {
            self.inner.damaged.fetch_add(1, Ordering::Relaxed);
        }
        record
    }

    /// Writes what is queued, and waits until it is on the device.
    pub fn close(&self) {
        self.inner.lock_queue().stops = true;
        self.inner.work.notify_all();
        let appender = self.appender.lock().unwrap_or_else(PoisonError::into_inner).take();
        // One that panicked has nothing left to write.
        let _ended = appender.map(std::thread::JoinHandle::join);
    }

    /// What it holds.
    pub fn usage(&self) -> DiskUsage {
        DiskUsage {
            used_bytes: self.inner.used.load(Ordering::Relaxed),
            size: self.inner.settings.size,
            records: self.inner.index.entries(),
            segments: self.inner.segments.read().unwrap_or_else(PoisonError::into_inner).len() as u64,
            written_bytes: self.inner.written.load(Ordering::Relaxed),
            damaged: self.inner.damaged.load(Ordering::Relaxed),
            is_read_only: self.inner.lock_queue().is_read_only,
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.close();
    }
}

impl Inner {
    fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        // No code panics between the halves of a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(&self, record: Record) -> Result<Queued, Refused> {
        let length = record.stored_length(0);
        if record.head.len() > record::HEAD_MAX || record.body_length() > record::BODY_MAX {
            return Err(Refused::TooLong);
        }
        let mut queue = self.lock_queue();
        if queue.is_read_only || queue.stops {
            return Err(Refused::ReadOnly);
        }
        if queue.octets + length > QUEUE_MAX && !record.kind.is_removal() {
            return Err(Refused::Queue);
        }
        queue.octets += length;
        *queue.keys.entry(record.key).or_default() += 1;
        queue.records.push(record);
        queue.queued += 1;
        let number = Queued(queue.queued);
        drop(queue);
        self.work.notify_all();
        Ok(number)
    }

    fn read_at(&self, key: u128, place: &Place) -> Option<Record> {
        let segment = self.segment_in(place.slot)?;
        let at = u64::from(place.offset) * ALIGNMENT;
        let mut octets = vec![0; place.length_max as usize];
        let read = segment.file.read_at(&mut octets, at).ok()?;
        octets.truncate(read);
        let (header, record) = Record::decode(&Bytes::from(octets), at).ok()?;
        (header.key == key).then_some(record)
    }

    /// The segment whose number ends in these 20 bits: no two that are in force share them.
    fn segment_in(&self, slot: u32) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let newest = *segments.keys().next_back()?;
        let back = (newest as u32).wrapping_sub(slot) & SLOT_MASK;
        segments.get(&newest.checked_sub(u64::from(back))?).cloned()
    }
}

/// A segment's slot in the index is its number in 20 bits.
const SLOT_MASK: u32 = (1 << 20) - 1;

/// The slot of a segment.
fn slot_of(segment: u64) -> u32 {
    segment as u32 & SLOT_MASK
}
