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
use super::fill::Chunks;
use super::memory::{Changes, Evicted, Memory, Variants};
use super::object::Object;
use super::on_disk::{ContentId, OnDisk};
use super::{Generation, Key, VARIANTS_MAX, tick};
use crate::caching::StoredHead;

#[derive(Debug)]
pub(super) struct Tiers {
    pub memory: Arc<Memory>,
    pub disk: Option<OnDisk>,
    /// The logical clock of a store without a disk.
    pub clock: AtomicU64,
    /// Of a store without a disk.
    pub purges_of_memory: Purges,
    /// Locks that order what is queued for the disk of one key; several keys share one.
    pub order: [Mutex<()>; ORDERS],
}

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
        let tiers = Arc::downgrade(self);
        let Some(tier) = &self.disk else { return };
        tier.disk.ask_before_reinsertion(Box::new(move |record| {
            tiers
                .upgrade()
                .is_some_and(|tiers| tiers.disk.as_ref().is_some_and(|tier| tier.is_purged(record)))
        }));
    }

    /// Where the chunks go of a response with this head that was asked for at `generation`.
    pub fn chunks(
        self: &Arc<Tiers>,
        key: Key<'_>,
        head: &StoredHead,
        generation: u64,
        length_max: u64,
    ) -> Option<Box<dyn Chunks>> {
        let tier = self.disk.as_ref()?;
        let owner = tier.key_of(key.hash, generation, head);
        let id = ContentId { key: key.hash, generation };
        Some(Box::new(ToDisk { tiers: self.clone(), id, owner, length_max }))
    }

    pub fn next_seq(&self) -> u64 {
        match &self.disk {
            Some(disk) => disk.disk.next_seq(),
            None => tick(&self.clock),
        }
    }

    pub async fn load(self: &Arc<Tiers>, key: Key<'_>) -> Option<Variants> {
        let disk = self.disk.as_ref()?;
        if !disk.contains(key.hash) {
            return None;
        }
        let changes = self.memory.changes(key.hash);
        let (tiers, uri, hash) = (self.clone(), key.uri.clone(), key.hash);
        let reading = move || Some(tiers.disk.as_ref()?.load(Key { uri: &uri, hash }));
        // One that was not started, at a shutdown, has found nothing.
        let objects = tokio::task::spawn_blocking(reading).await.ok().flatten()?;
        if objects.is_empty() {
            return None;
        }
        let objects: Vec<Arc<Object>> = objects.into_iter().map(Arc::new).collect();
        let mut current = Vec::new();
        self.memory.update(key, |stored| {
            // Somebody was quicker, or what was read has been replaced or removed since.
            if !stored.is_empty() || self.memory.changes(key.hash) != changes {
                current = stored.to_vec();
            } else {
                current = objects;
                current.retain(|object| !self.is_purged(key.uri, object));
            }
            current.clone()
        });
        (!current.is_empty()).then(|| current.into())
    }

    pub fn insert(
        self: &Arc<Tiers>,
        key: Key<'_>,
        object: Arc<Object>,
        asked: Generation,
        replaces: impl Fn(&Object) -> bool,
    ) {
        let mut variants = None;
        self.memory.update(key, |stored| {
            // Under the lock that an invalidation takes after it has counted.
            if !self.memory.changes(key.hash).is_as_valid_as(asked.changes)
                || self.is_purged_on_arrival(key.uri, &object)
            {
                return stored.to_vec();
            }
            let others = stored.iter().filter(|other| !replaces(other)).cloned();
            // One key takes no more than one object may: the newest variants stay.
            let mut room = self.memory.object_max().saturating_sub(object.memory_bytes());
            let others = others.take(VARIANTS_MAX - 1).take_while(|other| {
                let fits = other.memory_bytes() <= room;
                room = room.saturating_sub(other.memory_bytes());
                fits
            });
            let all: Vec<_> = std::iter::once(object.clone()).chain(others).collect();
            variants = Some(all.clone());
            all
        });
        if let Some(variants) = variants {
            self.to_disk(key, &object, &variants, asked.changes, Occasion::Arrived);
        }
    }

    pub fn replace(&self, key: Key<'_>, old: &Arc<Object>, new: Arc<Object>) {
        let mut replaced = false;
        self.memory.update(key, |stored| {
            let swap = |object: &Arc<Object>| {
                let is_old = Arc::ptr_eq(object, old);
                replaced |= is_old;
                if is_old { new.clone() } else { object.clone() }
            };
            stored.iter().map(swap).collect()
        });
        let Some(disk) = self.disk.as_ref().filter(|_| replaced) else { return };
        // A lost one costs a validation.
        if disk.contains_object(key.hash, &new)
            && let Err(refused) = disk.append_freshened(key, &new)
        {
            tracing::debug!("a freshened head is not written down: {refused}");
        }
    }

    pub fn remove(self: &Arc<Tiers>, key: Key<'_>, old: &Arc<Object>) {
        let mut left = Vec::new();
        let mut changes = Changes::default();
        self.memory.update(key, |stored| {
            changes = self.memory.changes(key.hash);
            left = stored.iter().filter(|object| !Arc::ptr_eq(object, old)).cloned().collect();
            left.clone()
        });
        let Some(disk) = &self.disk else { return };
        let _order = self.lock_order(key.hash);
        if !self.memory.changes(key.hash).is_as_valid_as(changes) {
            return;
        }
        let variants: Vec<u64> = varying(&left);
        if variants.is_empty() || disk.append_variants(key, &variants).is_err() {
            disk.forget(key);
        }
    }

    pub async fn invalidate(self: &Arc<Tiers>, key: Key<'_>) {
        let order = self.lock_order(key.hash);
        let disk = self.disk.as_ref().filter(|disk| disk.contains(key.hash));
        let queued = disk.and_then(|disk| disk.forget(key));
        self.memory.invalidate(key.hash);
        drop(order);
        let Some(queued) = queued else { return };
        let tiers = self.clone();
        let waiting = move || tiers.disk.as_ref().is_none_or(|tier| tier.disk.wait(queued));
        // Where it can't be started the process is ending, and writes what is queued.
        if let Ok(false) = tokio::task::spawn_blocking(waiting).await {
            tracing::warn!("{} may come back after a restart: the disk fails", key.uri);
        }
    }

    fn lock_order(&self, key: u128) -> MutexGuard<'_, ()> {
        #[expect(clippy::indexing_slicing, reason = "there are ORDERS of them")]
        let order = &self.order[key as usize % ORDERS];
        order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn evicted(self: &Arc<Tiers>, evicted: &Evicted) {
        // Stored once and used never: a one-hit wonder.
        if evicted.uses < 2.0 {
            return;
        }
        let key = Key { uri: &evicted.uri, hash: evicted.hash };
        for object in evicted.variants.iter().rev() {
            self.to_disk(key, object, &evicted.variants, evicted.changes, Occasion::Evicted);
        }
    }

    /// Brings an object to the disk, unless the disk has it or does not want it.
    fn to_disk(
        self: &Arc<Tiers>,
        key: Key<'_>,
        object: &Arc<Object>,
        variants: &[Arc<Object>],
        changes: Changes,
        occasion: Occasion,
    ) {
        let Some(disk) = &self.disk else { return };
        if disk.contains_object(key.hash, object) && occasion == Occasion::Evicted {
            return;
        }
        // What the disk has of this key is older from now on and must not come back.
        let replaces = disk.contains(key.hash);
        // A one-hit wonder stays in memory: what is used comes when memory lets it go. Chunks
        // were let in before they came.
        let is_in_memory = object.content.pieces().is_some();
        let octets = Some(object.content.length());
        if is_in_memory && occasion == Occasion::Arrived && !replaces && !disk.disk.admits(key.hash, octets) {
            tracing::debug!("{} is in memory only: disk-once", key.uri);
            return;
        }
        let _order = self.lock_order(key.hash);
        if !self.memory.changes(key.hash).is_as_valid_as(changes) {
            return;
        }
        let queued = disk.append(key, object, &varying(variants));
        if let Err(refused) = queued {
            tracing::debug!("{} is in memory only: {refused}", key.uri);
        }
        if self.is_purged(key.uri, object) || replaces && queued.is_err() {
            disk.forget(key);
        }
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
        let Some(tier) = &self.tiers.disk else { return Err("no-disk") };
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
        let tier = self.tiers.disk.as_ref();
        tier.is_some_and(|tier| tier.append_chunk(self.id, self.owner, number, body, done).is_ok())
    }
}

/// The generations of those that vary.
fn varying(variants: &[Arc<Object>]) -> Vec<u64> {
    variants.iter().filter(|object| object.head.varies()).map(|object| object.generation).collect()
}
