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
pub mod extent;
pub mod files;
pub mod ghost;
pub mod index;
pub mod purges;
pub mod record;
pub mod recovery;
pub mod segment;
pub mod superblock;
pub mod survey;
#[cfg(test)]
mod tests;
pub mod verify;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use bytes::Bytes;

use admission::WriteBudget;
use files::{Files, Lock};
use ghost::Ghost;
use index::{Index, Place};
use purges::{PurgeScope, Purges};
use record::{ALIGNMENT, Kind, Record};
use segment::{Segment, id_of};
use superblock::{InvalidSuperblock, Superblock};

use crate::clock::Clock;

/// Octets that may wait to be written; more are refused. Arbitrary: some of the largest records.
const QUEUE_MAX: u64 = 4 << 20;
/// Removals that a disk which can't be written to keeps in mind; arbitrary. After more of them
/// all that it holds counts as removed when it can be written to again.
const UNWRITTEN_MAX: usize = 16_384;

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

/// Called when a record was written, or could not be; true says that it is there to be read.
pub struct Done(pub Box<dyn FnOnce(bool) + Send>);

impl std::fmt::Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Done")
    }
}

/// Says of a record that it is not worth a place: what it holds was purged.
pub type IsDead = dyn Fn(&Record) -> bool + Send + Sync;

struct Ask(Box<IsDead>);

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ask")
    }
}

/// What a disk tier holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Octets of segments that were removed since the start to make room.
    pub reclaimed_bytes: u64,
    /// Records read since the start, because they were asked for.
    pub reads: u64,
    /// Reads that the device or the file system has failed.
    pub read_errors: u64,
    /// Records that were found damaged.
    pub damaged: u64,
    /// Records that were refused because too many waited to be written.
    pub dropped: u64,
    /// Why it can't be written to any more; `None` while it can.
    pub read_only: Option<String>,
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
    budget: WriteBudget,
    segments: RwLock<BTreeMap<u64, Arc<Segment>>>,
    queue: Mutex<Queue>,
    /// There is something to write, or to stop for.
    work: Condvar,
    /// Something was written, or can't be.
    done: Condvar,
    used: AtomicU64,
    written: AtomicU64,
    reclaimed: AtomicU64,
    reads: AtomicU64,
    read_errors: AtomicU64,
    damaged: AtomicU64,
    dropped: AtomicU64,
    purges: Purges,
    is_dead: OnceLock<Ask>,
    _lock: Box<dyn Lock>,
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Queue {
    records: Vec<Record>,
    octets: u64,
    /// Keys that are waiting or being written, and how often.
    keys: HashMap<u128, u32>,
    /// Those of them that are to be removed, and how often: nothing is read of them.
    removing: HashMap<u128, u32>,
    /// Records queued and records done so far: tells a waiting one when it is through.
    queued: u64,
    finished: u64,
    /// Whom to tell when so many are done.
    waiting: Vec<(u64, Done)>,
    /// Why nothing is written any more.
    read_only: Option<String>,
    /// Removals that could not be written.
    unwritten: Vec<Record>,
    stops: bool,
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
            settings,
            hash_key: superblock.hash_key,
            seq: AtomicU64::new(u64::from(superblock.epoch) << 40),
            index: Index::new(),
            ghost: Ghost::new(0),
            budget: WriteBudget::new(settings.size, clock.monotonic_ms()),
            clock,
            segments: RwLock::default(),
            queue: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            used: AtomicU64::new(0),
            written: AtomicU64::new(0),
            reclaimed: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            read_errors: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            purges: Purges::new(),
            is_dead: OnceLock::new(),
            _lock: lock,
        };
        let last = recovery::recover(&inner).map_err(io)?;
        let inner = Arc::new(inner);
        let appender = inner.start_appender(last).map_err(io)?;
        Ok(Disk { inner, appender: Mutex::new(Some(appender)) })
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

    /// The next reading of the store's logical clock: later ones are higher, across restarts.
    pub fn next_seq(&self) -> u64 {
        self.inner.seq.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether there is, or will be when the queue is written, a record of this key.
    pub fn contains(&self, key: u128) -> bool {
        self.inner.lock_queue().keys.contains_key(&key) || self.inner.index.find(key).is_some()
    }

    /// Queues a record. Removals are never refused for want of room: they are small, and what
    /// they remove must not come back.
    pub fn append(&self, record: Record) -> Result<Queued, Refused> {
        self.inner.enqueue(record)
    }

    /// Queues a chunk of content, and has `done` called, on the thread that writes, when it is
    /// through. Whoever brings chunks bounds how many wait: none is refused for want of room.
    pub fn append_chunk(&self, record: Record, done: Done) -> Result<(), Refused> {
        let queued = self.inner.enqueue(record)?;
        let mut queue = self.inner.lock_queue();
        let is_through = queue.finished >= queued.0 || queue.read_only.is_some();
        if is_through {
            let is_written = queue.finished >= queued.0;
            drop(queue);
            (done.0)(is_written);
        } else {
            queue.waiting.push((queued.0, done));
        }
        Ok(())
    }

    /// Waits until what was queued is written, so that a crash of this process doesn't undo it.
    /// False: it could not be written.
    pub fn wait(&self, queued: Queued) -> bool {
        let mut queue = self.inner.lock_queue();
        while queue.finished < queued.0 && queue.read_only.is_none() {
            queue = self.inner.done.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.finished >= queued.0
    }

    /// Whether nothing can be written any more.
    pub fn is_read_only(&self) -> bool {
        self.inner.lock_queue().read_only.is_some()
    }

    /// Takes a key out of the index. The log still has it.
    pub fn remove(&self, key: u128) {
        self.inner.index.remove(key);
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

    /// Lets a disk that could not be written to be written to again, if a file can be made there
    /// now. Removals that could not be written down are written first. Whether it was needed.
    pub fn online(&self) -> io::Result<bool> {
        let mut appender = self.appender.lock().unwrap_or_else(PoisonError::into_inner);
        if self.inner.lock_queue().read_only.is_none() {
            return Ok(false);
        }
        let last = self.inner.try_writing()?;
        // It ended when it could not write.
        let _ended = appender.take().map(std::thread::JoinHandle::join);
        let mut queue = self.inner.lock_queue();
        // What was lost is nobody's to wait for any more.
        queue.finished = queue.queued;
        for record in std::mem::take(&mut queue.unwritten) {
            queue.add(record);
        }
        queue.read_only = None;
        drop(queue);
        let started = self.inner.start_appender(last);
        *appender = Some(started.inspect_err(|error| {
            self.inner.lock_queue().read_only = Some(error.to_string());
        })?);
        Ok(true)
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
            reclaimed_bytes: self.inner.reclaimed.load(Ordering::Relaxed),
            reads: self.inner.reads.load(Ordering::Relaxed),
            read_errors: self.inner.read_errors.load(Ordering::Relaxed),
            damaged: self.inner.damaged.load(Ordering::Relaxed),
            dropped: self.inner.dropped.load(Ordering::Relaxed),
            read_only: self.inner.lock_queue().read_only.clone(),
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
        let length = queued_octets(&record);
        if record.head.len() > record::HEAD_MAX || record.body_length() > record::BODY_MAX {
            return Err(Refused::TooLong);
        }
        let mut queue = self.lock_queue();
        if queue.read_only.is_some() || queue.stops {
            queue.keep_removals([record]);
            return Err(Refused::ReadOnly);
        }
        if queue.octets + length > QUEUE_MAX && !record.kind.is_removal() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return Err(Refused::Queue);
        }
        let number = queue.add(record);
        drop(queue);
        self.work.notify_all();
        Ok(number)
    }

    fn read_or_forget(&self, key: u128, place: &Place) -> Option<Record> {
        let unread = match self.read_at(key, place) {
            Ok(record) => return Some(record),
            Err(unread) => unread,
        };
        if self.index.remove_if(key, place.slot, place.offset) {
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
        let mut octets = vec![0; place.length_max as usize];
        let read = segment.file.read_at(&mut octets, at).map_err(|_counted| Unread::Device)?;
        octets.truncate(read);
        match Record::decode(&Bytes::from(octets), at) {
            Ok((_header, record)) if record.key == key => Ok(record),
            _ => Err(Unread::Damaged),
        }
    }

    /// Starts the thread that writes; `last` is the newest segment there is.
    fn start_appender(self: &Arc<Inner>, last: u64) -> io::Result<std::thread::JoinHandle<()>> {
        let inner = self.clone();
        let thread = std::thread::Builder::new().name("larder-disk".to_owned());
        thread.spawn(move || appender::run(&inner, last))
    }

    /// Writes a small file and removes it; gives the number of the newest segment, which may be
    /// one that could not be used.
    fn try_writing(&self) -> io::Result<u64> {
        let path = self.folder.join("trial");
        match self.files.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.files.create(&path)?;
        let written = file.write_all_at(&[0; 4096], 0).and_then(|()| file.sync());
        self.files.remove(&path)?;
        written?;
        let names = self.files.list(&self.folder)?;
        Ok(names.iter().filter_map(|name| id_of(name)).max().unwrap_or(0))
    }

    /// The segment whose number ends in these 20 bits: no two that are in force share them.
    fn segment_in(&self, slot: u32) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let newest = *segments.keys().next_back()?;
        let back = (newest as u32).wrapping_sub(slot) & SLOT_MASK;
        segments.get(&newest.checked_sub(u64::from(back))?).cloned()
    }
}

impl Queue {
    fn add(&mut self, record: Record) -> Queued {
        self.octets += queued_octets(&record);
        *self.keys.entry(record.key).or_default() += 1;
        if record.kind == Kind::Tombstone {
            *self.removing.entry(record.key).or_default() += 1;
        }
        self.records.push(record);
        self.queued += 1;
        Queued(self.queued)
    }

    /// Keeps what must be written as soon as anything can be again.
    fn keep_removals(&mut self, records: impl IntoIterator<Item = Record>) {
        for record in records.into_iter().filter(|record| record.kind.is_removal()) {
            let is_full = self.unwritten.len() >= UNWRITTEN_MAX;
            match self.unwritten.last_mut().filter(|_| is_full) {
                Some(last) => *last = purge_of_all(record.seq.max(last.seq)),
                None => self.unwritten.push(record),
            }
        }
    }
}

/// What a record counts for in the queue, in octets: chunks are bounded by who brings them.
fn queued_octets(record: &Record) -> u64 {
    if record.kind == Kind::Chunk { 0 } else { record.stored_length(0) }
}

/// The record that says that all before `seq` is gone.
fn purge_of_all(seq: u64) -> Record {
    let head = PurgeScope::All.encode();
    Record { key: 0, kind: Kind::Purge, seq, generation: seq, part: 0, first: 0, head, body: Vec::new() }
}

/// A segment's slot in the index is its number in 20 bits.
const SLOT_MASK: u32 = (1 << 20) - 1;

/// The slot of a segment.
fn slot_of(segment: u64) -> u32 {
    segment as u32 & SLOT_MASK
}
