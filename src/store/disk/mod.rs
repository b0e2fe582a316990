//! The tier on disk: one folder with a log of records, cut into segments, and an index in RAM.
//!
//! There is one log, and its order is the truth: for each key the last record counts, and a
//! removal is a record, too. So recovery is to read the log in order; and since reclaim always
//! takes the oldest segment, whatever a record has replaced is gone before the record itself is.
//!
//! Invariant: the index points only at records that were written whole. One thread writes, and
//! it alone puts places into the index. What fails on the disk is a miss for whoever asked.

mod admission;
pub mod appender;
pub mod checkpoint;
#[cfg(target_os = "linux")]
mod direct;
pub mod extent;
#[cfg(test)]
pub mod faulty;
pub mod files;
pub mod ghost;
pub mod index;
mod log;
pub mod purges;
mod queue;
mod reclaim;
pub mod record;
pub mod recovery;
pub mod scrub;
pub mod segment;
pub mod set;
pub mod superblock;
pub mod survey;
#[cfg(test)]
mod tests;
mod usage;
pub mod verify;
mod waiting;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, RwLock, Weak};

use bytes::Bytes;
use tokio::sync::Notify;

use admission::WriteBudget;
use files::{Files, Lock};
use ghost::Ghost;
use index::{Index, Place};
use purges::Purges;
use queue::Queue;
use record::{ALIGNMENT, Record};
use scrub::Scrub;
use segment::Segment;
use superblock::{InvalidSuperblock, Superblock};

pub use queue::{Done, Queued};
pub use usage::DiskUsage;
pub use waiting::{Fate, Position, SETTLE_MAX};

use crate::clock::Clock;

/// Octets of the largest record's content.
const CHUNK_MAX: u64 = record::BODY_MAX as u64;

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
    #[error(
        "the store in {0} belongs to another cache than the other folders; use another, or remove this one"
    )]
    Stranger(PathBuf),
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

/// Says of a record that it is not worth a place: what it holds was purged.
pub type IsDead = dyn Fn(&Record) -> bool + Send + Sync;

struct Ask(Box<IsDead>);

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ask")
    }
}

/// One folder of the disk tier.
#[derive(Debug)]
pub struct Disk {
    inner: Arc<Inner>,
    appender: Mutex<Option<std::thread::JoinHandle<()>>>,
    scrubber: Mutex<Option<std::thread::JoinHandle<()>>>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    files: Arc<dyn Files>,
    clock: Clock,
    settings: DiskSettings,
    hash_key: [u64; 2],
    member: u64,
    superblock: Mutex<Superblock>,
    /// The others of its set.
    companions: OnceLock<Vec<Weak<Inner>>>,
    /// The logical clock.
    seq: AtomicU64,
    index: Index,
    /// Keys that were refused or let go not long ago.
    ghost: Ghost,
    budget: WriteBudget,
    segments: RwLock<BTreeMap<u64, Arc<Segment>>>,
    queue: Mutex<Queue>,
    /// There is something to write, or to stop for.
    work: Condvar,
    /// Something was written, or can't be: for threads, and for tasks.
    done: Condvar,
    advanced: Notify,
    /// There is nothing to wait for any more.
    stopping: Condvar,
    scrub: Scrub,
    used: AtomicU64,
    written: AtomicU64,
    reclaimed: AtomicU64,
    reads: AtomicU64,
    read_errors: AtomicU64,
    damaged: AtomicU64,
    dropped: AtomicU64,
    late_removals: AtomicU64,
    purges: Purges,
    is_dead: OnceLock<Ask>,
    _lock: Box<dyn Lock>,
}

/// Why a record was not read.
enum Unread {
    /// Its segment has just gone.
    Gone,
    Device,
    Damaged,
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
        set::open_one(folder, settings, &files, &clock, random)
    }

    /// Reads what is in a folder that is locked. It must not be used before its superblock is
    /// written: [`Disk::list_members`].
    pub(super) fn recover(
        folder: PathBuf,
        settings: DiskSettings,
        files: Arc<dyn Files>,
        clock: Clock,
        superblock: Superblock,
        lock: Box<dyn Lock>,
    ) -> io::Result<Disk> {
        let inner = Inner {
            folder,
            files,
            settings,
            hash_key: superblock.hash_key,
            member: superblock.member,
            seq: AtomicU64::new(u64::from(superblock.epoch) << 40),
            superblock: Mutex::new(superblock),
            companions: OnceLock::new(),
            index: Index::new(),
            ghost: Ghost::new(0),
            budget: WriteBudget::new(settings.size, clock.monotonic_ms()),
            clock,
            segments: RwLock::default(),
            queue: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            advanced: Notify::new(),
            stopping: Condvar::new(),
            scrub: Scrub::default(),
            used: AtomicU64::new(0),
            written: AtomicU64::new(0),
            reclaimed: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            read_errors: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            late_removals: AtomicU64::new(0),
            purges: Purges::new(),
            is_dead: OnceLock::new(),
            _lock: lock,
        };
        let last = recovery::recover(&inner)?;
        let inner = Arc::new(inner);
        let appender = inner.start_appender(last)?;
        Ok(Disk { inner, appender: Mutex::new(Some(appender)), scrubber: Mutex::default() })
    }

    /// The folder that it is in.
    pub fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// The purges that are in effect. Each has a record in the log, and goes with it: what it
    /// concerns lies before that, or was looked at since.
    pub fn purges(&self) -> &Purges {
        &self.inner.purges
    }

    /// Has `is_dead` asked before a record is written again to keep it. The first call counts.
    pub fn ask_before_reinsertion(&self, is_dead: Box<IsDead>) {
        let _set_before = self.inner.is_dead.set(Ask(is_dead));
    }

    /// The secret of the keys.
    pub fn hash_key(&self) -> [u64; 2] {
        self.inner.hash_key
    }

    /// Who this folder is among several, wherever it is mounted.
    pub fn member(&self) -> u64 {
        self.inner.member
    }

    /// Writes down which members this folder is open with, itself among them: what is removed from
    /// now on is removed in all of them.
    pub(super) fn list_members(&self, members: &[u64]) -> io::Result<()> {
        let mut superblock = self.inner.superblock.lock().unwrap_or_else(PoisonError::into_inner);
        superblock.open_with = members.to_vec();
        superblock.store(&*self.inner.files, &self.inner.folder)
    }

    /// Says which others are open with this one. The first call counts.
    pub(super) fn meet(&self, all: &[Disk]) {
        let others = all.iter().filter(|other| other.member() != self.member());
        let _met_before =
            self.inner.companions.set(others.map(|other| Arc::downgrade(&other.inner)).collect());
    }

    /// How large it is.
    pub fn settings(&self) -> DiskSettings {
        self.inner.settings
    }

    /// Moves the logical clock forward, so that several disks go by one.
    pub(super) fn advance_clock(&self, at_least: u64) {
        self.inner.seq.fetch_max(at_least, Ordering::Relaxed);
    }

    /// The next reading of the store's logical clock: later ones are higher, across restarts.
    pub fn next_seq(&self) -> u64 {
        self.inner.seq.fetch_add(1, Ordering::Relaxed)
    }

    /// Reads the record of a key, which this counts as a use; waits for the device. A damaged
    /// record is counted and forgotten.
    pub fn read(&self, key: u128) -> Option<Record> {
        // Looked at first: what is found after it may be from before a removal, but not from
        // between a removal's being queued and its being written.
        if self.inner.lock_queue().removing.contains_key(&key) {
            return None;
        }
        let place = self.inner.index.touch(key)?;
        let record = self.inner.read_or_forget(key, &place)?;
        self.inner.reads.fetch_add(1, Ordering::Relaxed);
        Some(record)
    }

    /// As [`Disk::read`], for who only looks: it is no use of the record.
    pub fn peek(&self, key: u128) -> Option<Record> {
        let place = self.inner.index.find(key)?;
        self.inner.read_or_forget(key, &place)
    }

    /// Writes what is queued, and waits until it is on the device.
    pub fn close(&self) {
        self.inner.lock_queue().stops = true;
        self.inner.work.notify_all();
        self.inner.stopping.notify_all();
        let scrubber = self.scrubber.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ended = scrubber.map(std::thread::JoinHandle::join);
        let appender = self.appender.lock().unwrap_or_else(PoisonError::into_inner).take();
        // One that panicked has nothing left to write.
        let _ended = appender.map(std::thread::JoinHandle::join);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.close();
    }
}

impl Inner {
    fn read_or_forget(&self, key: u128, place: &Place) -> Option<Record> {
        let unread = match self.read_at(key, place) {
            Ok(record) => return Some(record),
            Err(unread) => unread,
        };
        if self.forget(key, place.slot, place.offset) {
            match unread {
                Unread::Gone => 0,
                Unread::Device => self.read_errors.fetch_add(1, Ordering::Relaxed),
                Unread::Damaged => self.damaged.fetch_add(1, Ordering::Relaxed),
            };
        }
        None
    }

    fn read_at(&self, key: u128, place: &Place) -> Result<Record, Unread> {
        let segment = self.segment_in(place.slot).ok_or(Unread::Gone)?;
        let at = u64::from(place.offset) * ALIGNMENT;
        // A place knows where the next record begins, which may be far behind.
        let mut octets = vec![0; u64::from(place.length_max).min(record::STORED_MAX) as usize];
        let read = segment.file.read_at(&mut octets, at).map_err(|_counted| Unread::Device)?;
        octets.truncate(read);
        match Record::decode(&Bytes::from(octets), at) {
            Ok((_header, record)) if record.key == key => Ok(record),
            _ => Err(Unread::Damaged),
        }
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
