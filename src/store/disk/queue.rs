//! What waits to be written to a disk, who waits for it, and what becomes of it when the disk can't
//! be written to.
//!
//! Invariant: records are written in the order in which they were queued. Removals are never refused
//! while the disk can be written to, and are kept in mind when it can't be.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::purges::PurgeScope;
use super::record::{self, Kind, Record};
use super::segment::id_of;
use super::{Disk, Inner, Refused, appender};

/// Octets that may wait to be written; more are refused. Arbitrary: some of the largest records.
const QUEUE_MAX: u64 = 4 << 20;
/// Removals that a disk which can't be written to keeps in mind; arbitrary. After more of them
/// all that it holds counts as removed when it can be written to again.
const UNWRITTEN_MAX: usize = 16_384;

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

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub records: Vec<Record>,
    pub octets: u64,
    /// Keys that are waiting or being written, and how often.
    pub keys: HashMap<u128, u32>,
    /// Those of them that are to be removed, and how often: nothing is read of them.
    pub removing: HashMap<u128, u32>,
    /// Records queued and records done so far: tells a waiting one when it is through.
    pub queued: u64,
    pub finished: u64,
    /// Whom to tell when so many are done.
    pub waiting: Vec<(u64, Done)>,
    /// Why nothing is written any more.
    pub read_only: Option<String>,
    /// Removals that could not be written.
    pub unwritten: Vec<Record>,
    pub stops: bool,
}

impl Disk {
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
}

impl Inner {
    pub(super) fn lock_queue(&self) -> MutexGuard<'_, Queue> {
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

    /// Starts the thread that writes; `last` is the newest segment there is.
    pub(super) fn start_appender(self: &Arc<Inner>, last: u64) -> io::Result<std::thread::JoinHandle<()>> {
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
}

impl Queue {
    pub fn add(&mut self, record: Record) -> Queued {
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
    pub fn keep_removals(&mut self, records: impl IntoIterator<Item = Record>) {
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
pub(super) fn queued_octets(record: &Record) -> u64 {
    if record.kind == Kind::Chunk { 0 } else { record.stored_length(0) }
}

/// The record that says that all before `seq` is gone.
fn purge_of_all(seq: u64) -> Record {
    let head = PurgeScope::All.encode();
    Record { key: 0, kind: Kind::Purge, seq, generation: seq, part: 0, first: 0, head, body: Vec::new() }
}
