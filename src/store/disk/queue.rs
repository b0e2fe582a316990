//! What waits to be written to a disk, and what becomes of it when the disk can't
//! be written to.
//!
//! Invariant: records are written in the order in which they were queued. A removal is never
//! refused before the end: one that can't be written is kept in mind, to be the first when the disk
//! is online again, and the folder loses the right to its content until then. So what a restart
//! finds has either the removal or nothing.
//!
//! A key leaves the index for a removal in one step with the removal's being queued, under the
//! queue's lock; [`Disk::contains`] looks at both under the same lock. So nobody finds neither, and
//! takes a removal for needless that a file needs.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError, Weak};

use super::purges::PurgeScope;
use super::record::{self, Kind, Record};
use super::segment::id_of;
use super::superblock::{Superblock, remove_if_there};
use super::{Disk, Inner, Refused};

/// Octets that may wait to be written; more are refused. Arbitrary: some of the largest records.
const QUEUE_MAX: u64 = 4 << 20;
/// Removals that a disk which can't be written to keeps in mind; arbitrary. After more of them
/// all that it holds counts as removed when it can be written to again.
const UNWRITTEN_MAX: usize = 16_384;
/// A record that waits to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    pub(super) number: u64,
    pub(super) is_removal: bool,
}

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
    /// The last record of each of them, without its body.
    pub latest: HashMap<u128, (Queued, Record)>,
    /// Those of them that are to be removed, and how often: nothing is read of them.
    pub removing: HashMap<u128, u32>,
    /// Keys that left the index without a removal in the log, because writing failed: a file may
    /// have a record of them. They are removed when the disk is online again.
    pub hidden: HashSet<u128>,
    /// Records queued and records done so far: tells a waiting one when it is through.
    pub queued: u64,
    pub finished: u64,
    /// Whom to tell when so many are done.
    pub waiting: Vec<(u64, Done)>,
    /// Nobody waits for the disk again before so many records are done: somebody has waited too long.
    pub behind_until: u64,
    /// Why nothing is written any more.
    pub read_only: Option<String>,
    /// Removals that could not be written.
    pub unwritten: Removals,
    pub withdrawal: Withdrawal,
    /// The thread that has failed to write is to end, for another one to begin.
    pub resumes: bool,
    pub stops: bool,
}

/// Removals that may have to be written again. After too many of them it is one of everything.
#[derive(Debug, Default)]
pub(super) struct Removals(Vec<Record>);

/// What has become of the folder's right to its content since a removal could not be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Withdrawal {
    /// Nothing: each removal is in the log.
    #[default]
    NotNeeded,
    Done,
    /// The disk does not permit that either.
    Failed,
}

impl Disk {
    /// Whether a file has, or may have, a record of this key, or will when the queue is written. It
    /// may say so of a key that has none any more; never the other way round.
    pub fn contains(&self, key: u128) -> bool {
        self.inner.contains(key)
    }

    /// Queues the removal of a record that can't be made use of any more.
    pub fn forget(&self, key: u128) {
        // Refused when the disk is being closed, when nothing more is read either.
        let _queued = self.inner.enqueue(tombstone(key, self.next_seq()));
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
        let is_through = queue.finished >= queued.number || queue.read_only.is_some();
        if is_through {
            let is_written = queue.finished >= queued.number;
            drop(queue);
            (done.0)(is_written);
        } else {
            queue.waiting.push((queued.number, done));
        }
        Ok(())
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
        self.inner.lock_queue().resumes = true;
        self.inner.work.notify_all();
        let _ended = appender.take().map(std::thread::JoinHandle::join);
        self.inner.resume();
        let started = self.inner.start_appender(last);
        *appender = Some(started.inspect_err(|error| {
            self.inner.give_up(error.to_string(), Vec::new(), Vec::new());
            // Nobody is there who would do it when it is needed.
            self.inner.withdraw();
        })?);
        Ok(true)
    }
}

impl Inner {
    pub(super) fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        // No code panics between the halves of a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn contains(&self, key: u128) -> bool {
        let queue = self.lock_queue();
        queue.keys.contains_key(&key) || queue.hidden.contains(&key) || self.index.find(key).is_some()
    }

    /// Queues a record. What a removal removes is not to be found from here on.
    pub(super) fn enqueue(&self, record: Record) -> Result<Queued, Refused> {
        let length = queued_octets(&record);
        if record.head.len() > record::HEAD_MAX || record.body_length() > record::BODY_MAX {
            return Err(Refused::TooLong);
        }
        let mut queue = self.lock_queue();
        if record.kind == Kind::Tombstone && self.index.remove(record.key) && queue.stops {
            queue.hidden.insert(record.key);
        }
        if queue.stops {
            return Err(Refused::ReadOnly);
        }
        if queue.read_only.is_some() {
            if !record.kind.is_removal() {
                return Err(Refused::ReadOnly);
            }
            // One of a key that is hidden already is written all the same when the disk is online.
            let is_new = record.kind != Kind::Tombstone || queue.hidden.insert(record.key);
            if is_new || queue.unwritten.is_empty() {
                queue.unwritten.keep([record]);
            }
            queue.queued += 1;
            let number = queue.queued;
            drop(queue);
            self.work.notify_all();
            return Ok(Queued { number, is_removal: true });
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

    /// Forgets a record that can't be read, if it is still what the key has. Whether it was. The log is
    /// told, too: another time the record may be read, and have been removed meanwhile.
    pub(super) fn forget(&self, key: u128, slot: u32, offset: u32) -> bool {
        let mut queue = self.lock_queue();
        let was_there = self.index.remove_if(key, slot, offset);
        // A segment leaves the table when its file is gone: then there is nothing to come back.
        if !was_there || self.segment_in(slot).is_none() {
            return was_there;
        }
        let gone = tombstone(key, self.seq.fetch_add(1, Ordering::Relaxed));
        if queue.stops || queue.read_only.is_some() {
            queue.hidden.insert(key);
        } else {
            queue.add(gone);
        }
        drop(queue);
        self.work.notify_all();
        true
    }

    /// Notes that nothing can be written any more. `written` are records that are in the log, although
    /// the device may have lost them since; `lost` are those that may be, whole or in part, or not at
    /// all. The removals of both are kept, and so is what a lost record was to replace.
    pub(super) fn give_up(&self, why: String, written: Vec<Record>, lost: Vec<Record>) {
        let mut queue = self.lock_queue();
        for record in written {
            for key in keys_of(&record) {
                // Its octets are not to be trusted before they were read again.
                self.index.remove(key);
                queue.hidden.insert(key);
            }
            queue.unwritten.keep([record]);
        }
        let later = std::mem::take(&mut queue.records);
        for record in lost.into_iter().chain(later) {
            // What it was to replace is older, and not to be found any more, nor what was written in
            // front of a removal. A chunk replaces its like.
            for key in keys_of(&record) {
                let is_older_there = self.index.remove(key) || queue.hidden.contains(&key);
                if is_older_there && record.kind != Kind::Chunk {
                    queue.unwritten.keep([tombstone(key, record.seq)]);
                }
                queue.hidden.insert(key);
            }
            queue.unwritten.keep([record]);
        }
        queue.read_only = Some(why);
        queue.keys.clear();
        queue.latest.clear();
        queue.removing.clear();
        queue.octets = 0;
    }

    /// Lets records be queued again behind a failure: first of all those that say what was removed.
    fn resume(&self) {
        let mut queue = self.lock_queue();
        // Whoever waits for one of these is told by the withdrawal, for which nobody stands by now.
        while !queue.unwritten.is_empty() && queue.withdrawal == Withdrawal::NotNeeded {
            drop(queue);
            self.withdraw();
            queue = self.lock_queue();
        }
        queue.resumes = false;
        // What was lost is nobody's to wait for any more.
        queue.finished = queue.queued;
        self.tell_waiting();
        for record in queue.unwritten.take() {
            queue.add(record);
        }
        let hidden = std::mem::take(&mut queue.hidden);
        if hidden.len() > UNWRITTEN_MAX {
            queue.add(purge_of_all(self.seq.fetch_add(1, Ordering::Relaxed)));
        } else {
            for key in hidden {
                queue.add(tombstone(key, self.seq.fetch_add(1, Ordering::Relaxed)));
            }
        }
        queue.read_only = None;
    }

    /// While nothing can be written: takes the folder's right to its content away as soon as there is
    /// a removal that its log does not have. Ends when the disk is online again, or closed.
    pub(super) fn stand_by(&self) {
        let mut queue = self.lock_queue();
        loop {
            if !queue.unwritten.is_empty() && queue.withdrawal == Withdrawal::NotNeeded {
                drop(queue);
                self.withdraw();
                queue = self.lock_queue();
            }
            if queue.stops || queue.resumes {
                return;
            }
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes the folder's right to its content away, and tells who waits for a removal.
    pub(super) fn withdraw(&self) {
        let own = {
            let _superblock = self.superblock.lock().unwrap_or_else(PoisonError::into_inner);
            Superblock::withdraw(&*self.files, &self.folder)
        };
        // Where this one can't be told, the others can: it stands in none of their lists then.
        let withdrawn = own.or_else(|error| if self.is_disowned() { Ok(()) } else { Err(error) });
        if let Err(error) = &withdrawn {
            let folder = self.folder.display();
            tracing::warn!("what is removed from {folder} may come back after a restart: {error}");
        }
        self.lock_queue().withdrawal = if withdrawn.is_ok() { Withdrawal::Done } else { Withdrawal::Failed };
        self.tell_waiting();
    }

    /// Takes this folder out of the lists of all that it is open with. Whether there are others, and
    /// each has done it.
    fn is_disowned(&self) -> bool {
        let companions = self.companions.get().map(Vec::as_slice).unwrap_or_default();
        let disown = |other: &Weak<Inner>| other.upgrade().is_some_and(|other| other.disown(self.member));
        !companions.is_empty() && companions.iter().filter(|other| !disown(other)).count() == 0
    }

    fn disown(&self, member: u64) -> bool {
        let mut superblock = self.superblock.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has no right itself would have it back with its superblock.
        if self.lock_queue().withdrawal != Withdrawal::NotNeeded {
            return false;
        }
        superblock.open_with.retain(|other| *other != member);
        superblock.store(&*self.files, &self.folder).is_ok()
    }

    /// Gives the folder its right back, when each removal is in its log.
    pub(super) fn restore(&self) -> io::Result<()> {
        let superblock = self.superblock.lock().unwrap_or_else(PoisonError::into_inner);
        // From here on it may be there already.
        self.lock_queue().withdrawal = Withdrawal::NotNeeded;
        superblock.store(&*self.files, &self.folder)
    }

    /// Writes a small file and removes it; gives the number of the newest segment, which may be
    /// one that could not be used.
    fn try_writing(&self) -> io::Result<u64> {
        let path = self.folder.join("trial");
        remove_if_there(&*self.files, &path)?;
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
        self.queued += 1;
        let queued = Queued { number: self.queued, is_removal: record.kind.is_removal() };
        let latest = Record { head: record.head.clone(), body: Vec::new(), ..record };
        self.latest.insert(record.key, (queued, latest));
        self.records.push(record);
        queued
    }

    /// A record is through: it is in the index, or `is_written` is false.
    pub fn done(&mut self, record: &Record, is_written: bool) {
        self.octets = self.octets.saturating_sub(queued_octets(record));
        count_down(&mut self.keys, record.key);
        if !self.keys.contains_key(&record.key) {
            self.latest.remove(&record.key);
        }
        if record.kind == Kind::Tombstone && is_written {
            count_down(&mut self.removing, record.key);
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

impl Removals {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, and leaves none.
    pub fn take(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.0)
    }

    /// Adds those of the records that are removals.
    pub fn keep(&mut self, records: impl IntoIterator<Item = Record>) {
        for record in records.into_iter().filter(|record| record.kind.is_removal()) {
            let is_full = self.0.len() >= UNWRITTEN_MAX;
            match self.0.last_mut().filter(|_| is_full) {
                Some(last) => *last = purge_of_all(record.seq.max(last.seq)),
                None => self.0.push(record),
            }
        }
    }
}

/// What a record counts for in the queue, in octets: chunks are bounded by who brings them.
pub(super) fn queued_octets(record: &Record) -> u64 {
    if record.kind == Kind::Chunk { 0 } else { record.stored_length(0) }
}

/// The keys that a record says something of: a freshened head of its owner, too, which would have the
/// head before without it; a purge of none.
fn keys_of(record: &Record) -> impl Iterator<Item = u128> {
    let own = (record.kind != Kind::Purge).then_some(record.key);
    let owner = if record.kind == Kind::Meta { record.owner() } else { None };
    own.into_iter().chain(owner)
}

/// The record that says that all of a key before it is gone.
fn tombstone(key: u128, seq: u64) -> Record {
    let (kind, head) = (Kind::Tombstone, bytes::Bytes::new());
    Record { key, kind, seq, generation: 0, part: 0, first: 0, head, body: Vec::new() }
}

/// The record that says that all before `seq` is gone.
fn purge_of_all(seq: u64) -> Record {
    let head = PurgeScope::All.encode();
    Record { key: 0, kind: Kind::Purge, seq, generation: seq, part: 0, first: 0, head, body: Vec::new() }
}
