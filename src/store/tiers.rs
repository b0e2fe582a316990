//! The two tiers as one: what goes from memory to disk and back, and in which order, so that
//! what was removed stays removed.
//!
//! An invalidation takes the key out of the disk's index and queues a tombstone, then counts and
//! clears memory, all under the key's lock of [`Tiers::order`]. Whoever queues something for the
//! disk looks at the count under the same lock, so that it lies before the tombstone or nowhere;
//! whoever puts something into memory looks at it under memory's lock. What is read from disk is
//! from before the count, or does not see the key: until a tombstone is written its key is hidden.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::disk::Done;
use super::disk::purges::Purges;
use super::disk::set::place_of;
use super::fill::Chunks;
use super::memory::{Changes, Evicted, Memory, Variants};
use super::object::Object;
use super::on_disk::{ContentId, OnDisk};
use super::{Generation, Key, VARIANTS_MAX, tick};
use crate::budget::{Share, Use};
use crate::caching::StoredHead;

#[derive(Debug)]
pub(super) struct Tiers {
    pub memory: Arc<Memory>,
    /// None, one, or several, of which each key has one.
    pub disks: Vec<OnDisk>,
    /// The logical clock of a store without a disk.
    pub clock: AtomicU64,
    /// Of a store without a disk.
    pub purges_of_memory: Purges,
    /// Locks that order what is queued for the disk of one key; several keys share one.
    pub order: [Mutex<()>; ORDERS],
    /// For the indexes of the disks.
    pub index: Mutex<Share>,
}

/// One object may take a quarter of its disk: fewer would turn the store over too often.
const OBJECT_PART: u64 = 4;

/// Arbitrary; more than threads will ever meet in.
pub(super) const ORDERS: usize = 64;

/// What brings an object to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    /// It has been fetched.
    Arrived,
    /// It was used, and memory has no room for it any more.
    Evicted,
}

/// What becomes of a stored response of a key when another one comes.
#[derive(Debug)]
pub enum Beside {
    /// It answers other requests.
    Stays,
    /// The new one takes its place.
    Goes,
    /// The two are one from now on, and this is it.
    Joins(Box<Object>),
    /// It is newer, or worth more: the other one is not stored.
    Forbids,
}

impl Tiers {
    /// Has what memory evicts go to the disk, if it was used, and what was purged not be kept there.
    pub fn catch_evicted(self: &Arc<Tiers>) {
        // Weak: the memory is a part of the tiers.
        let tiers = Arc::downgrade(self);
        self.memory.on_evicted(Box::new(move |evicted| {
            if let Some(tiers) = tiers.upgrade() {
                tiers.evicted(&evicted);
            }
        }));
        for (place, tier) in self.disks.iter().enumerate() {
            let tiers = Arc::downgrade(self);
            tier.disk.ask_before_reinsertion(Box::new(move |record| {
                let tiers = tiers.upgrade();
                tiers.is_some_and(|tiers| tiers.disks.get(place).is_some_and(|tier| tier.is_purged(record)))
            }));
        }
    }

    /// Charges what the indexes of the disks take now.
    pub fn count_index(&self) {
        let bytes = self.disks.iter().map(|tier| tier.disk.usage().index_bytes).sum::<u64>();
        let mut share = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let (more, less) = (bytes.saturating_sub(share.bytes()), share.bytes().saturating_sub(bytes));
        share.merge(self.memory.budget().count(Use::Index, more));
        share.shrink(less);
    }

    /// The disk that has the records of this key, if any has.
    pub fn tier(&self, key: u128) -> Option<&OnDisk> {
        self.tier_and_place(key).map(|(_place, tier)| tier)
    }

    pub fn tier_and_place(&self, key: u128) -> Option<(usize, &OnDisk)> {
        let place = match self.disks.as_slice() {
            [] | [_] => 0,
            several => {
                let weighed = several.iter().map(|tier| (tier.disk.member(), tier.disk.settings().size));
                place_of(key, weighed)
            }
        };
        Some((place, self.disks.get(place)?))
    }

    /// The disks that have something of a key, which was theirs when there were other disks or
    /// other sizes: it is out of reach, and must not come back when they are as before.
    fn left_behind(&self, key: u128) -> impl Iterator<Item = &OnDisk> {
        let own = self.tier(key).map(|tier| tier.disk.member());
        let others = self.disks.iter().filter(move |tier| Some(tier.disk.member()) != own);
        others.filter(move |tier| tier.contains(key))
    }

    /// Where the chunks go of a response with this head that was asked for at `generation`.
    pub fn chunks(
        self: &Arc<Tiers>,
        key: Key<'_>,
        head: &StoredHead,
        generation: u64,
        object_max: Option<u64>,
    ) -> Option<Box<dyn Chunks>> {
        let tier = self.tier(key.hash)?;
        let size = tier.disk.settings().size;
        let length_max = object_max.unwrap_or(size / OBJECT_PART).min(size);
        let owner = tier.key_of(key.hash, generation, head);
        let id = ContentId { key: key.hash, generation };
        Some(Box::new(ToDisk { tiers: self.clone(), id, owner, length_max }))
    }

    pub fn next_seq(&self) -> u64 {
        match self.disks.first() {
            Some(first) => first.disk.next_seq(),
            None => tick(&self.clock),
        }
    }

    pub async fn load(self: &Arc<Tiers>, key: Key<'_>) -> Option<Variants> {
        if !self.tier(key.hash)?.contains(key.hash) {
            return None;
        }
        // A new response comes to memory and is queued for the disk under this lock: the count is
        // never read between the two.
        let changes = {
            let _order = self.lock_order(key.hash);
            self.memory.changes(key.hash)
        };
        let retired = self.purges(key.hash).retired();
        let (tiers, uri, hash) = (self.clone(), key.uri.clone(), key.hash);
        let reading = move || Some(tiers.tier(hash)?.load(Key { uri: &uri, hash }));
        // One that was not started, at a shutdown, has found nothing.
        let objects = tokio::task::spawn_blocking(reading).await.ok().flatten()?;
        if objects.is_empty() {
            return None;
        }
        let objects: Vec<Arc<Object>> =
            objects.into_iter().map(|object| Arc::new(object.charged_to(self.memory.budget()))).collect();
        let mut current = Vec::new();
        self.memory.update(key, |stored| {
            // Somebody was quicker, or what was read has been replaced or removed since.
            if !stored.is_empty() || self.memory.changes(key.hash) != changes {
                current = stored.to_vec();
            } else if self.purges(key.hash).retired() == retired {
                current = objects;
                current.retain(|object| !self.is_purged(key, object));
            }
            // Else nobody can say any more of what was read whether a purge concerned it.
            current.clone()
        });
        (!current.is_empty()).then(|| current.into())
    }

    pub fn insert(
        &self,
        key: Key<'_>,
        object: Option<Arc<Object>>,
        asked: Generation,
        beside: impl Fn(&Object) -> Beside,
    ) {
        let mut variants = None;
        // Memory and the disk's queue change in one step. Between the two, a look-up could read from
        // disk what this response replaces, and after an eviction nothing would say that it was replaced.
        let order = self.lock_order(key.hash);
        let changes = self.memory.change(key, |stored| {
            let mut object = object.clone();
            let mut others = Vec::new();
            for other in stored {
                match beside(other) {
                    Beside::Stays => others.push(other.clone()),
                    // What was purged is on its way out, and nothing is made of it.
                    Beside::Goes | Beside::Joins(_) if self.is_purged(key, other) => {}
                    Beside::Goes => {}
                    Beside::Joins(joined) => {
                        object = Some(Arc::new(joined.charged_to(self.memory.budget())));
                    }
                    Beside::Forbids => return stored.to_vec(),
                }
            }
            let Some(object) = object else { return stored.to_vec() };
            // Under the lock that an invalidation takes after it has counted.
            if !self.memory.changes(key.hash).is_as_valid_as(asked.changes)
                || self.is_purged_on_arrival(key, &object)
            {
                return stored.to_vec();
            }
            let others = others.into_iter();
            // One key takes no more than one object may: the newest variants stay.
            let mut room = self.memory.object_max().saturating_sub(object.memory_bytes());
            let others = others.take(VARIANTS_MAX - 1).take_while(|other| {
                let fits = other.memory_bytes() <= room;
                room = room.saturating_sub(other.memory_bytes());
                fits
            });
            let all: Vec<_> = std::iter::once(object.clone()).chain(others).collect();
            variants = Some((object, all.clone()));
            all
        });
        if let Some((object, variants)) = variants {
            self.to_disk(key, &object, &variants, changes, Occasion::Arrived);
        }
        drop(order);
        self.memory.evict_to_fit();
    }

    pub fn forget_left_behind(&self, key: Key<'_>) {
        for other in self.left_behind(key.hash) {
            // What can't be written down is told in the log.
            let _queued = other.forget(key);
        }
    }

    pub fn lock_order(&self, key: u128) -> MutexGuard<'_, ()> {
        #[expect(clippy::indexing_slicing, reason = "there are ORDERS of them")]
        let order = &self.order[key as usize % ORDERS];
        order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn evicted(&self, evicted: &Evicted) {
        // Stored once and used never: a one-hit wonder.
        if evicted.uses < 2.0 {
            return;
        }
        let key = Key { uri: &evicted.uri, hash: evicted.hash };
        let Some(disk) = self.tier(key.hash) else { return };
        for object in evicted.variants.iter().rev() {
            if disk.contains_object(key.hash, object) {
                continue;
            }
            let _order = self.lock_order(key.hash);
            self.to_disk(key, object, &evicted.variants, evicted.changes, Occasion::Evicted);
        }
    }

    /// Brings an object to the disk, unless the disk does not want it. The caller holds [the
    /// lock](Tiers::lock_order) of this key.
    fn to_disk(
        &self,
        key: Key<'_>,
        object: &Arc<Object>,
        variants: &[Arc<Object>],
        changes: Changes,
        occasion: Occasion,
    ) {
        let Some(disk) = self.tier(key.hash) else { return };
        if !self.memory.changes(key.hash).is_as_valid_as(changes) {
            return;
        }
        // What the disk has of this key is older from now on and must not come back.
        let replaces = disk.contains(key.hash);
        let Some(variants) = self.current(key, object, variants, changes) else {
            if replaces && self.memory.peek(key).is_none() {
                disk.forget(key);
            }
            return;
        };
        // A one-hit wonder stays in memory: what is used comes when memory lets it go. Chunks
        // were let in before they came.
        let is_in_memory = object.content.is_in_memory();
        let octets = Some(object.content.length());
        if is_in_memory && occasion == Occasion::Arrived && !replaces && !disk.disk.admits(key.hash, octets) {
            tracing::debug!("{} is in memory only: disk-once", key.uri);
            return;
        }
        let queued = disk.append(key, object, &varying(&variants));
        if let Err(refused) = queued {
            tracing::debug!("{} is in memory only: {refused}", key.uri);
        }
        if self.is_purged(key, object) || replaces && queued.is_err() {
            disk.forget(key);
        }
        self.forget_left_behind(key);
    }

    /// The responses of a key beside `object`, as they are by now; `None` when it was replaced or
    /// removed after `changes`, and what has done so was quicker here.
    fn current(
        &self,
        key: Key<'_>,
        object: &Arc<Object>,
        variants: &[Arc<Object>],
        changes: Changes,
    ) -> Option<Variants> {
        if self.memory.changes(key.hash) == changes {
            // Eviction counts as no change.
            return Some(variants.into());
        }
        let (variants, _uses) = self.memory.peek(key)?;
        variants.iter().any(|other| other.generation == object.generation).then_some(variants)
    }
}

/// The way of one response's chunks to the disk.
#[derive(Debug)]
struct ToDisk {
    tiers: Arc<Tiers>,
    id: ContentId,
    /// The key of the HEAD record.
    owner: u128,
    length_max: u64,
}

impl Chunks for ToDisk {
    fn admits(&self, octets: Option<u64>) -> Result<(), &'static str> {
        let Some(tier) = self.tiers.tier(self.id.key) else { return Err("no-disk") };
        if octets.is_some_and(|octets| octets > self.length_max) {
            return Err("too-large");
        }
        if tier.disk.is_read_only() {
            return Err("disk-read-only");
        }
        // What replaces something comes again, too.
        let is_wanted = tier.contains(self.id.key) || tier.disk.admits(self.id.key, octets);
        if is_wanted { Ok(()) } else { Err("disk-once") }
    }

    fn length_max(&self) -> u64 {
        self.length_max
    }

    fn append(&self, number: u32, body: Vec<Bytes>, done: Done) -> bool {
        let tier = self.tiers.tier(self.id.key);
        tier.is_some_and(|tier| tier.append_chunk(self.id, self.owner, number, body, done).is_ok())
    }
}

/// The generations of those that vary.
pub(super) fn varying(variants: &[Arc<Object>]) -> Vec<u64> {
    variants.iter().filter(|object| object.head.varies()).map(|object| object.generation).collect()
}
