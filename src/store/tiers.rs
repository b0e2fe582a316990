//! The two tiers as one: what goes from memory to disk and back, and in which order, so that
//! what was removed stays removed.
//!
//! Order of an invalidation: it is counted, then memory forgets, then the disk forgets, then that
//! is written down. Whoever brings something in notes the count first, brings it, and looks at
//! the count again: one of the two sees the other.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::disk::{Done, Extent};
use super::memory::{Changes, Evicted, Memory, Variants};
use super::object::{DiskContent, Layout, Object, Part, StoredContent, range_of_pieces};
use super::on_disk::{ContentId, LARGE, OnDisk, Wait, WouldBlock};
use super::{Generation, Key, VARIANTS_MAX, tick};
use crate::caching::ByteRange;
use crate::http::TargetUri;

#[derive(Debug)]
pub(super) struct Tiers {
    pub memory: Arc<Memory>,
    pub disk: Option<OnDisk>,
    /// The logical clock of a store without a disk.
    pub clock: AtomicU64,
}

/// What brings an object to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    /// It has been fetched.
    Arrived,
    /// It was used, and memory has no room for it any more.
    Evicted,
}

impl Tiers {
    /// Has what memory evicts go to the disk, if it was used.
    pub fn catch_evicted(self: &Arc<Tiers>) {
        // Weak: the memory is a part of the tiers.
        let tiers = Arc::downgrade(self);
        self.memory.on_evicted(Box::new(move |evicted| {
            if let Some(tiers) = tiers.upgrade() {
                tiers.evicted(&evicted);
            }
        }));
    }

    pub fn next_seq(&self) -> u64 {
        match &self.disk {
            Some(disk) => disk.disks.next_seq(),
            None => tick(&self.clock),
        }
    }

    pub async fn load(self: &Arc<Tiers>, key: Key<'_>) -> Option<Variants> {
        let disk = self.disk.as_ref()?;
        if !disk.contains(key.hash) {
            return None;
        }
        let changes = self.memory.changes(key.hash);
        let objects = match disk.load(key, Wait::Never) {
            Ok(objects) => objects,
            Err(WouldBlock) => {
                let (tiers, uri, hash) = (self.clone(), key.uri.clone(), key.hash);
                let reading = move || {
                    let disk = tiers.disk.as_ref()?;
                    disk.load(Key { uri: &uri, hash }, Wait::Block).ok()
                };
                // A reader that panicked or was not started at a shutdown has found nothing.
                tokio::task::spawn_blocking(reading).await.ok().flatten()?
            }
        };
        if objects.is_empty() {
            return None;
        }
        let objects: Vec<_> = objects.into_iter().map(Arc::new).collect();
        let loaded: Variants = objects.clone().into();
        let mut current = None;
        self.memory.update(key, |stored| {
            // Somebody was quicker, or what was read has been replaced or removed since.
            if !stored.is_empty() || self.memory.changes(key.hash) != changes {
                current = Some(stored.to_vec());
                return stored.to_vec();
            }
            objects
        });
        match current {
            None => Some(loaded),
            Some(stored) => (!stored.is_empty()).then(|| stored.into()),
        }
    }

    pub async fn parts(
        self: &Arc<Tiers>,
        id: ContentId,
        content: &StoredContent,
        range: ByteRange,
    ) -> Vec<Part> {
        let content = match content {
            StoredContent::Memory { pieces, .. } => return range_of_pieces(pieces, range.first, range.last),
            StoredContent::Disk(content) => *content,
        };
        let Some(disk) = &self.disk else { return vec![Part::Missing(range)] };
        match disk.parts(id, content, range, Wait::Never) {
            Ok(parts) => parts,
            Err(WouldBlock) => {
                let tiers = self.clone();
                let reading = move || tiers.disk.as_ref()?.parts(id, content, range, Wait::Block).ok();
                let read = tokio::task::spawn_blocking(reading).await;
                read.ok().flatten().unwrap_or_else(|| vec![Part::Missing(range)])
            }
        }
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
            if !self.memory.changes(key.hash).is_as_valid_as(asked.changes) {
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

    pub async fn remove(self: &Arc<Tiers>, key: Key<'_>, old: &Arc<Object>) {
        let mut left = Vec::new();
        self.memory.update(key, |stored| {
            left = stored.iter().filter(|object| !Arc::ptr_eq(object, old)).cloned().collect();
            left.clone()
        });
        let Some(disk) = &self.disk else { return };
        let variants: Vec<u64> = varying(&left);
        if variants.is_empty() || disk.append_variants(key, &variants).is_err() {
            self.forget_on_disk(key).await;
        }
    }

    pub async fn invalidate(self: &Arc<Tiers>, key: Key<'_>) {
        self.memory.invalidated(key.hash);
        self.memory.update(key, |_stored| Vec::new());
        self.forget_on_disk(key).await;
    }

    /// Removes all of a key from the disk.
    async fn forget_on_disk(self: &Arc<Tiers>, key: Key<'_>) {
        let Some(disk) = self.disk.as_ref().filter(|disk| disk.contains(key.hash)) else { return };
        disk.remove(key.hash);
        let (tiers, uri, hash) = (self.clone(), key.uri.clone(), key.hash);
        let writing = move || tiers.write_tombstone(&uri, hash);
        // Where it can't be started the process is ending; the index is written down without it.
        let _ended = tokio::task::spawn_blocking(writing).await;
    }

    fn write_tombstone(&self, uri: &TargetUri, hash: u128) {
        if let Some(disk) = &self.disk {
            disk.write_tombstone(Key { uri, hash });
        }
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
        if occasion == Occasion::Arrived
            && !replaces
            && let Err(reason) = disk.admits(key.hash, object.content.length())
        {
            tracing::debug!("{} is in memory only: {reason}", key.uri);
            return;
        }
        let queued = disk.append(key, object, &varying(variants), self.when_on_disk(key, object));
        if let Err(refused) = queued {
            tracing::debug!("{} is in memory only: {refused}", key.uri);
        }
        let is_late = !self.memory.changes(key.hash).is_as_valid_as(changes);
        if is_late || replaces && queued.is_err() {
            disk.remove(key.hash);
            disk.write_tombstone(key);
        }
    }

    /// Large content leaves memory as soon as the disk has it.
    fn when_on_disk(self: &Arc<Tiers>, key: Key<'_>, object: &Arc<Object>) -> Option<Done> {
        let is_large = object.content.pieces().is_some() && object.content.length() >= LARGE;
        if !is_large {
            return None;
        }
        let (tiers, uri, hash) = (Arc::downgrade(self), key.uri.clone(), key.hash);
        let object = Arc::downgrade(object);
        Some(Box::new(move |extent: Option<Extent>| {
            let (Some(_extent), Some(tiers), Some(object)) = (extent, tiers.upgrade(), object.upgrade())
            else {
                return;
            };
            let Some(disk) = &tiers.disk else { return };
            let layout = Layout::Record(disk.record_key(hash, &object));
            let content = StoredContent::Disk(DiskContent { length: object.content.length(), layout });
            tiers.memory.update(Key { uri: &uri, hash }, |stored| {
                let swap = |stored: &Arc<Object>| {
                    let is_same = stored.generation == object.generation && stored.content.pieces().is_some();
                    if is_same { Arc::new(stored.with_content(content.clone())) } else { stored.clone() }
                };
                stored.iter().map(swap).collect()
            });
        }))
    }
}

/// The generations of those that vary.
fn varying(variants: &[Arc<Object>]) -> Vec<u64> {
    variants.iter().filter(|object| object.head.varies()).map(|object| object.generation).collect()
}
