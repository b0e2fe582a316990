//! Removals and freshened heads of single responses, in memory and on disk.
//!
//! A response is known by its generation and that of its head, which memory and disk have alike: one
//! that was evicted and loaded again meanwhile is the same. Where memory does not have it, the disk is
//! looked at without a lock, and what was seen is compared again under the key's lock of
//! [`Tiers::order`] ([`Position`]): so nothing newer is removed, and nothing is taken for gone.
//!
//! What happens to memory happens last, under that lock: who has read the disk before it sees that the key
//! has changed, or has put what was read where it is found here.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::Key;
use super::disk::{Fate, Position, Queued};
use super::memory::Changes;
use super::object::Object;
use super::on_disk::OnDisk;
use super::tiers::{Tiers, varying};
use crate::http::TargetUri;

/// How long a client waits for a removal to be written. Arbitrary: long beside a disk that is busy,
/// short beside the patience of clients.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(10);

/// An object that was looked for.
#[derive(Default)]
struct Found<'a> {
    /// It is stored, and for as long as this is held nothing else takes its place.
    this: Option<MutexGuard<'a, ()>>,
    /// It is not, because of what is on its way to the disk.
    queued: Option<Queued>,
}

/// What a disk has in the place of an object.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Where that is: of the object, and of its freshened head.
    positions: [Position; 2],
    /// Whether it is the object, and has no later head.
    is_this: bool,
}

impl Known {
    /// Whether the disk still has the same there.
    fn still(self, disk: &OnDisk, key: Key<'_>, object: &Object) -> bool {
        disk.positions(key.hash, object) == self.positions
    }

    /// What is on its way to that place.
    fn queued(self) -> Option<Queued> {
        self.positions.into_iter().find_map(|position| match position {
            Position::Queued(queued) => Some(queued),
            _ => None,
        })
    }
}

impl Tiers {
    pub async fn replace(self: &Arc<Tiers>, key: Key<'_>, old: &Arc<Object>, new: Arc<Object>) {
        let swap = |object: &Arc<Object>| if object.is_same(old) { new.clone() } else { object.clone() };
        let changes = self.memory.changes(key.hash);
        let order = match self.tier(key.hash) {
            None => None,
            Some(disk) => {
                let Some(order) = self.find(key, old, changes, disk).await.this else { return };
                // A head that begins or ends to vary belongs to another place than the record that is there.
                let is_in_place = old.head.varies() == new.head.varies();
                if disk.contains_object(key.hash, old)
                    && (!is_in_place || disk.append_freshened(key, &new).is_err())
                {
                    // The head that is there may be good for longer than this one, and must not come back.
                    tracing::debug!("{} is in memory only: its head on disk can't be updated", key.uri);
                    disk.forget_object(key, old);
                }
                Some(order)
            }
        };
        // After the disk: whoever has read it before sees the change, or is seen here.
        self.memory.change(key, |stored| stored.iter().map(swap).collect());
        drop(order);
        self.memory.evict_to_fit();
    }

    /// Removes those of these that are still stored. When this returns, a kill can't bring them back,
    /// unless the disk is behind.
    pub async fn remove(self: &Arc<Tiers>, key: Key<'_>, all: &[Arc<Object>]) {
        let mut queued = Vec::new();
        for old in all {
            queued.extend(self.queue_removal(key, old).await);
        }
        self.keep_removed(&[key.uri], queued).await;
    }

    /// Takes one response of a key out of memory, and queues for each disk what says so. What is to
    /// be waited for: that, or what has taken its place on disk already.
    async fn queue_removal(self: &Arc<Tiers>, key: Key<'_>, old: &Arc<Object>) -> Vec<(usize, Queued)> {
        let without = |stored: &[Arc<Object>]| -> Vec<Arc<Object>> {
            stored.iter().filter(|object| !object.is_same(old)).cloned().collect()
        };
        let changes = self.memory.changes(key.hash);
        let Some((place, disk)) = self.tier_and_place(key.hash) else {
            self.memory.change(key, without);
            return Vec::new();
        };
        let Found { this, queued } = self.find(key, old, changes, disk).await;
        let mut queued = queued;
        if let Some(_order) = this {
            let left = self.memory.peek(key).map(|(stored, _uses)| without(&stored)).unwrap_or_default();
            let variants: Vec<u64> = varying(&left);
            // What does not vary has taken the place of the list of those that do.
            let is_list = !old.head.varies() && !variants.is_empty();
            queued = if is_list { disk.append_variants(key, &variants).ok() } else { None };
            if queued.is_none() && disk.contains_object(key.hash, old) {
                queued = disk.forget_object(key, old);
            }
            self.forget_left_behind(key);
            // After that: whoever has read the disk before it sees the change, or is seen here.
            self.memory.change(key, without);
        }
        queued.map(|queued| (place, queued)).into_iter().collect()
    }

    /// Looks for an object in memory, and where it is not there, on its disk. Nothing new comes to the
    /// disk while the lock is held.
    async fn find<'a>(
        self: &'a Arc<Tiers>,
        key: Key<'_>,
        object: &Arc<Object>,
        changes: Changes,
        disk: &OnDisk,
    ) -> Found<'a> {
        let is_in_memory = || {
            let stored = self.memory.peek(key);
            stored.is_some_and(|(stored, _uses)| stored.iter().any(|stored| stored.is_same(object)))
        };
        loop {
            let known = if is_in_memory() { None } else { Some(self.on_disk(key, object).await) };
            let order = self.lock_order(key.hash);
            if !self.memory.changes(key.hash).is_as_valid_as(changes) {
                return Found::default();
            }
            if is_in_memory() {
                // The disk has nothing newer than memory.
                return Found { this: Some(order), queued: None };
            }
            // Else something has moved meanwhile.
            if let Some(known) = known.filter(|known| known.still(disk, key, object)) {
                return Found { this: known.is_this.then_some(order), queued: known.queued() };
            }
        }
    }

    /// What the disk has of an object that memory does not have.
    async fn on_disk(self: &Arc<Tiers>, key: Key<'_>, object: &Arc<Object>) -> Known {
        let nothing = Known { positions: [Position::Nowhere; 2], is_this: false };
        let Some(disk) = self.tier(key.hash) else { return nothing };
        let positions = disk.positions(key.hash, object);
        let is_this = match positions {
            [Position::Nowhere, _] => false,
            [Position::Hidden, _] => true,
            _ => {
                let (tiers, hash, object) = (self.clone(), key.hash, object.clone());
                let reading = move || tiers.tier(hash).is_some_and(|disk| disk.has_this(hash, &object));
                // One that was not started, at a shutdown, may be this.
                tokio::task::spawn_blocking(reading).await.unwrap_or(true)
            }
        };
        Known { positions, is_this }
    }

    /// Removes all stored responses of these keys. All of them are removed before one is waited for.
    pub async fn invalidate(self: &Arc<Tiers>, keys: &[Key<'_>]) {
        let queued = keys.iter().flat_map(|key| self.queue_invalidation(*key)).collect();
        self.keep_removed(&keys.iter().map(|key| key.uri).collect::<Vec<_>>(), queued).await;
    }

    /// Takes a key out of memory, and queues for each disk what says so.
    fn queue_invalidation(&self, key: Key<'_>) -> Vec<(usize, Queued)> {
        let order = self.lock_order(key.hash);
        let having = |(_, tier): &(usize, &OnDisk)| tier.contains(key.hash);
        let queued = |(place, tier): (usize, &OnDisk)| Some((place, tier.forget(key)?));
        let queued: Vec<(usize, Queued)> =
            self.disks.iter().enumerate().filter(having).filter_map(queued).collect();
        self.memory.invalidate(key.hash);
        drop(order);
        queued
    }

    /// Waits for removals of these URIs as [`Tiers::wait`] does, and logs it when a restart may undo them.
    pub async fn keep_removed(&self, uris: &[&TargetUri], queued: Vec<(usize, Queued)>) {
        match self.wait(queued).await {
            Fate::Written => {}
            Fate::Late => uris.iter().for_each(|uri| {
                tracing::warn!("{uri} may come back if Larder is killed now: the disk is behind");
            }),
            Fate::Lost => uris.iter().for_each(|uri| {
                tracing::warn!("{uri} may come back after a restart: the disk fails");
            }),
        }
    }

    /// Waits until the removals that were queued on these disks are written, but no longer than a
    /// client may have to wait for a disk. The worst of what became of them.
    pub async fn wait(&self, queued: Vec<(usize, Queued)>) -> Fate {
        let on_disks =
            || queued.iter().filter_map(|(place, queued)| Some((&self.disks.get(*place)?.disk, *queued)));
        // They go by one clock.
        let Some((first, _queued)) = on_disks().next() else { return Fate::Written };
        let waiting = async {
            for (disk, queued) in on_disks() {
                disk.through(queued).await;
            }
        };
        // In time or not: each disk says what has become of it.
        let _in_time = first.clock().timeout(REMOVAL_PATIENCE, waiting).await;
        on_disks().map(|(disk, queued)| disk.give_up_waiting(queued)).max().unwrap_or(Fate::Written)
    }
}
