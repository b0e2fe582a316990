//! Stored responses in RAM: sharded, byte-accounted, evicted by size and popularity.
//!
//! Eviction is sampled GDSF (greedy dual size frequency; Cherkasova 1998): the value of a slot is
//! `age + frequency / bytes`, 64 slots are compared and the least one goes, and its value
//! becomes the age, so that what was popular long ago loses against what is popular now. The
//! candidates come from several shards, so that no shard gives up what is dear because it is small.
//! A plain mutex a shard: it is held for one look-up.
//!
//! Invariant: stored responses, fills, and what readers still hold of evicted ones together stay
//! within the limit. A fill that does not fit evicts stored responses, never another fill; but
//! neither fills nor what readers hold ever take more than half of the limit from the stored ones,
//! nor both together more than three quarters: a fill is not kept then, and the slowest readers go.
//! Without that, a few requests for endless responses would empty the cache.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::OnceLock;

use super::sync::atomic::{AtomicU64, Ordering};
use super::sync::{Arc, Mutex, MutexGuard, PoisonError};
use super::{Key, KeyIsHash, Object};
use crate::budget::{Budget, Charge, Share, Use};
use crate::http::TargetUri;

/// Arbitrary; more than threads will ever meet in.
const SHARDS: usize = 16;
/// Slots that an eviction compares. At a 1 % cache, benches/eviction serves 48.0 % of the requests
/// with 16, 51.4 % with 64 and 51.9 % with 1,024; 64 cost 0.7 µs more than 16.
const CANDIDATES: usize = 64;
/// Of them from one shard, at the most.
const CANDIDATES_PER_SHARD: usize = 16;
/// Places to count changes in; arbitrary.
const CHANGES: usize = 4096;
/// What a slot costs beside its objects, in octets: table, key, bookkeeping.
const SLOT_BYTES: u64 = 200;

/// The stored responses of one cache key; a request selects among them (RFC 9111 §4.1).
pub type Variants = Arc<[Arc<Object>]>;

/// The RAM store.
pub struct Memory {
    shards: Box<[Mutex<Shard>]>,
    limit: u64,
    object_max: u64,
    budget: Budget,
    promised: AtomicU64,
    objects: AtomicU64,
    evictions: AtomicU64,
    random: AtomicU64,
    /// How often keys of one part of the hash have changed (lower half) and were invalidated
    /// (upper half): tells those who were away meanwhile. Two keys in one place cost a needless
    /// fetch.
    changes: Box<[AtomicU64]>,
    /// Told of what is evicted, after it is gone.
    evicted: OnceLock<Box<OnEvicted>>,
    /// The value of the last slot that was evicted: the bits of an `f64`.
    age: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    places: HashMap<u128, usize, BuildHasherDefault<KeyIsHash>>,
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    hash: u128,
    uri: TargetUri,
    variants: Variants,
    bytes: u64,
    /// For all but the contents, which carry their own.
    _share: Share,
    frequency: f64,
    value: f64,
}

/// What eviction has taken out of memory.
#[derive(Debug)]
pub struct Evicted {
    pub hash: u128,
    pub uri: TargetUri,
    pub variants: Variants,
    /// Uses while it was in memory, the storing included.
    pub uses: f64,
    /// Of the key, when it was taken out.
    pub changes: Changes,
}

/// Called with each slot that eviction takes out of memory.
pub type OnEvicted = dyn Fn(Evicted) + Send + Sync;

/// How often a key was changed and invalidated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes(u64);

impl Changes {
    /// Whether no invalidation stands between the two.
    pub fn is_as_valid_as(self, other: Changes) -> bool {
        self.0 >> 32 == other.0 >> 32
    }

    /// Whether one invalidation stands between `earlier` and this.
    pub fn is_one_invalidation_after(self, earlier: Changes) -> bool {
        self.0 >> 32 == (earlier.0 >> 32).wrapping_add(1)
    }
}

#[derive(Clone, Copy)]
struct Victim {
    hash: u128,
    value: f64,
}

/// What the store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Octets of stored responses, metadata included.
    pub stored_bytes: u64,
    /// Octets of fills under way.
    pub filling_bytes: u64,
    /// Octets of what was evicted, replaced or removed while a reader holds it.
    pub pinned_bytes: u64,
    /// Stored responses.
    pub objects: u64,
    /// Cache keys evicted so far.
    pub evictions: u64,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("usage", &self.usage()).finish_non_exhaustive()
    }
}

impl Memory {
    /// A store of at most `limit` octets, of which one object may take `object_max`.
    pub fn new(limit: u64, object_max: u64, seed: u64) -> Memory {
        Memory {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            limit,
            object_max,
            budget: Budget::unlimited(),
            promised: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            random: AtomicU64::new(seed | 1),
            changes: (0..CHANGES).map(|_| AtomicU64::new(0)).collect(),
            evicted: OnceLock::new(),
            age: AtomicU64::new(0),
        }
    }

    /// The same, as a part of this budget.
    #[must_use]
    pub fn within(self, budget: &Budget) -> Memory {
        Memory { budget: budget.clone(), ..self }
    }

    /// The budget that it is a part of.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The most that one object may take, in octets.
    pub fn object_max(&self) -> u64 {
        self.object_max
    }

    /// What the store holds.
    pub fn usage(&self) -> Usage {
        Usage {
            stored_bytes: self.budget.used(Use::Stored),
            filling_bytes: self.budget.used(Use::Fills),
            pinned_bytes: self.budget.used(Use::Pinned),
            objects: self.objects.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
        }
    }

    /// Has `evicted` called with all that eviction takes out of memory from now on. The first
    /// call counts.
    pub fn on_evicted(&self, evicted: Box<OnEvicted>) {
        let _set_before = self.evicted.set(evicted);
    }

    /// How often this key was changed and invalidated.
    pub fn changes(&self, hash: u128) -> Changes {
        Changes(self.changes_of(hash).load(Ordering::SeqCst))
    }

    /// Counts an invalidation of this key and removes it, in one: who looks at the count under
    /// [`Memory::update`] sees both or neither.
    pub fn invalidate(&self, hash: u128) {
        let mut shard = self.shard(hash);
        self.changes_of(hash).fetch_add(1 << 32, Ordering::SeqCst);
        if let Some(at) = shard.places.get(&hash).copied() {
            let removed = shard.remove(at);
            self.forget(removed.as_ref());
        }
    }

    #[expect(clippy::indexing_slicing, reason = "there are CHANGES of them")]
    fn changes_of(&self, hash: u128) -> &AtomicU64 {
        &self.changes[hash as usize % CHANGES]
    }

    /// The stored responses of this key, which this counts as a use.
    pub fn variants(&self, key: Key<'_>) -> Option<Variants> {
        let Key { uri, hash } = key;
        let mut shard = self.shard(hash);
        let Shard { places, slots } = &mut *shard;
        let slot = slots.get_mut(*places.get(&hash)?)?;
        // The whole key is compared, so that a collision is a miss.
        if slot.uri != *uri {
            return None;
        }
        slot.frequency += 1.0;
        slot.value = self.age() + slot.frequency / slot.bytes as f64;
        Some(slot.variants.clone())
    }

    /// Replaces this key's stored responses by what `change` makes of them; none at all removes
    /// the key. Evicts what the budget demands. Gives the count of changes, this one included.
    pub fn update(&self, key: Key<'_>, change: impl FnOnce(&[Arc<Object>]) -> Vec<Arc<Object>>) -> Changes {
        let changes = self.change(key, change);
        self.evict_to_fit();
        changes
    }

    /// The same, and evicts nothing: for who holds a lock that is taken for what is evicted, and has
    /// [room made](Memory::evict_to_fit) after that.
    pub(super) fn change(
        &self,
        key: Key<'_>,
        change: impl FnOnce(&[Arc<Object>]) -> Vec<Arc<Object>>,
    ) -> Changes {
        let Key { uri, hash } = key;
        let mut shard = self.shard(hash);
        let place = shard.places.get(&hash).copied();
        let same_key = place.and_then(|at| shard.slots.get(at)).filter(|slot| slot.uri == *uri);
        let objects = change(same_key.map_or(&[], |slot| &slot.variants));
        self.count_change(hash);
        let changes = self.changes(hash);
        let frequency = same_key.map_or(1.0, |slot| slot.frequency);
        if let Some(at) = place {
            let removed = shard.remove(at);
            self.forget(removed.as_ref());
        }
        if objects.is_empty() {
            return changes;
        }
        let key_bytes = (uri.path_and_query.len() + uri.authority.host.as_str().len()) as u64;
        let bytes = SLOT_BYTES + key_bytes + objects.iter().map(|object| object.memory_bytes()).sum::<u64>();
        let uncharged = objects.iter().map(|object| object.uncharged_bytes()).sum::<u64>();
        let share = self.budget.count(Use::Stored, SLOT_BYTES + key_bytes + uncharged);
        objects.iter().for_each(|object| object.becomes(Use::Stored));
        self.objects.fetch_add(objects.len() as u64, Ordering::Relaxed);
        let value = self.age() + frequency / bytes as f64;
        let (uri, variants) = (uri.detached(), objects.into());
        shard.insert(Slot { hash, uri, variants, bytes, _share: share, frequency, value });
        changes
    }

    /// Only the lower half counts up; it wraps without touching the upper one.
    fn count_change(&self, hash: u128) {
        let count = |old: u64| Some(old & !0xffff_ffff | u64::from((old as u32).wrapping_add(1)));
        let _always_some = self.changes_of(hash).fetch_update(Ordering::SeqCst, Ordering::SeqCst, count);
    }

    /// The stored responses of this key and how often they were used, which this is no use of.
    pub fn peek(&self, key: Key<'_>) -> Option<(Variants, u64)> {
        let shard = self.shard(key.hash);
        let slot = shard.slots.get(*shard.places.get(&key.hash)?)?;
        // Storing counts as the first use.
        (slot.uri == *key.uri).then(|| (slot.variants.clone(), slot.frequency as u64 - 1))
    }

    /// Shows all keys with their stored responses and how often they were used, shard by shard.
    pub fn for_each(&self, mut look: impl FnMut(&TargetUri, &Variants, u64)) {
        for shard in &self.shards {
            for slot in &lock(shard).slots {
                look(&slot.uri, &slot.variants, slot.frequency as u64 - 1);
            }
        }
    }

    /// Takes out all keys of which `is_dead` picks an object; how many objects that were.
    pub fn retain(&self, is_dead: impl Fn(&TargetUri, &Object) -> bool) -> u64 {
        let mut taken = 0;
        for shard in &self.shards {
            let mut shard = lock(shard);
            let mut at = 0;
            while let Some(slot) = shard.slots.get(at) {
                if slot.variants.iter().any(|object| is_dead(&slot.uri, object)) {
                    self.count_change(slot.hash);
                    let removed = shard.remove(at);
                    self.forget(removed.as_ref());
                    taken += removed.map_or(0, |slot| slot.variants.len() as u64);
                } else {
                    at += 1;
                }
            }
        }
        taken
    }

    /// Takes `bytes` for something that arrives; `None` when fills have their half of the limit.
    pub(super) fn reserve(&self, bytes: u64) -> Option<Share> {
        let share = self.budget.take(Use::Fills, bytes).ok()?;
        if !self.has_room_for_fills() {
            return None;
        }
        self.evict_to_fit();
        Some(share)
    }

    /// The same for a content that has a charge; false when nothing was taken. What was promised is given
    /// whatever other fills have.
    pub(super) fn reserve_for(&self, charge: &Charge, bytes: u64, is_promised: bool) -> bool {
        if charge.take(bytes).is_err() {
            return false;
        }
        if !is_promised && !self.has_room_for_fills() {
            charge.give_back(bytes);
            return false;
        }
        self.evict_to_fit();
        true
    }

    /// Promises `bytes` to a fill that is to be kept in memory. False when all fills that are kept there
    /// would not fit beside each other. Nothing is evicted before content comes.
    pub(super) fn promise(&self, bytes: u64) -> bool {
        let free = self.limit.saturating_sub(self.budget.used(Use::Stored));
        let promised = self.promised.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let is_there = promised <= self.fills_max().max(free);
        if !is_there {
            self.withdraw(bytes);
        }
        is_there
    }

    /// Takes a promise back: the fill has ended.
    pub(super) fn withdraw(&self, bytes: u64) {
        self.promised.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What fills may take from stored responses: half of the limit, and one response of any size.
    fn fills_max(&self) -> u64 {
        self.object_max.max(self.limit / 2)
    }

    /// Whether fills are within what they may take, or take it from nobody.
    fn has_room_for_fills(&self) -> bool {
        let fills = self.budget.used(Use::Fills);
        let others = self.budget.used(Use::Stored) + self.budget.used(Use::Pinned);
        fills <= self.fills_max() || fills + others <= self.limit
    }

    /// Whether fills have taken more than there is.
    pub(super) fn is_short(&self) -> bool {
        !self.has_room_for_fills() || self.budget.is_short()
    }

    /// Whether what arrives should take little: it has half of the limit, or the budget is nearly spent.
    pub(super) fn is_cramped(&self) -> bool {
        self.budget.used(Use::Fills) + self.budget.used(Use::Passing) > self.limit / 2
            || self.budget.is_short()
    }

    /// Evicts until `bytes` more fit into the budget, or nothing is left to evict.
    pub(super) fn make_room(&self, bytes: u64) {
        let is_needed = || self.budget.total().saturating_add(bytes) > self.budget.limit();
        while is_needed() && self.evict_one() {}
    }

    /// Evicts until all is within the limits.
    pub(super) fn evict_to_fit(&self) {
        let pinned_max = self.limit / 2;
        let is_over = || {
            let pinned = self.budget.used(Use::Pinned).min(pinned_max);
            let others = (self.budget.used(Use::Fills) + pinned).min(self.limit - self.limit / 4);
            self.budget.used(Use::Stored) + others > self.limit || self.budget.is_over()
        };
        while is_over() && self.evict_one() {}
        let excess = self.budget.used(Use::Pinned).saturating_sub(pinned_max);
        if excess > 0 {
            self.budget.readers().cut(excess);
        }
    }

    /// False when nothing is left.
    fn evict_one(&self) -> bool {
        let Some(victim) = self.victim() else { return false };
        let mut shard = self.shard(victim.hash);
        // Another thread may have been quicker.
        let Some(&at) = shard.places.get(&victim.hash) else { return true };
        let Some(evicted) = shard.remove(at) else { return true };
        let changes = self.changes(victim.hash);
        drop(shard);
        self.age.store(victim.value.to_bits(), Ordering::Relaxed);
        self.evictions.fetch_add(1, Ordering::Relaxed);
        self.forget(Some(&evicted));
        if let Some(tell) = self.evicted.get() {
            let Slot { hash, uri, variants, frequency: uses, .. } = evicted;
            tell(Evicted { hash, uri, variants, uses, changes });
        }
        true
    }

    /// The least of some slots, picked at random; `None` when there are none at all.
    fn victim(&self) -> Option<Victim> {
        let first = self.next_random() as usize;
        let mut least: Option<Victim> = None;
        let mut seen = 0;
        for step in 0..SHARDS {
            let Some(shard) = self.shards.get(first.wrapping_add(step) % SHARDS) else { continue };
            let shard = lock(shard);
            for _ in 0..CANDIDATES_PER_SHARD.min(shard.slots.len()) {
                let Some(slot) = shard.slots.get(self.next_random() as usize % shard.slots.len()) else {
                    continue;
                };
                seen += 1;
                if least.is_none_or(|least| slot.value < least.value) {
                    least = Some(Victim { hash: slot.hash, value: slot.value });
                }
            }
            if seen >= CANDIDATES {
                break;
            }
        }
        least
    }

    fn age(&self) -> f64 {
        f64::from_bits(self.age.load(Ordering::Relaxed))
    }

    fn forget(&self, removed: Option<&Slot>) {
        if let Some(slot) = removed {
            // It counts for as long as a reader holds it.
            slot.variants.iter().for_each(|object| object.becomes(Use::Pinned));
            self.objects.fetch_sub(slot.variants.len() as u64, Ordering::Relaxed);
        }
    }

    #[expect(clippy::indexing_slicing, reason = "there are SHARDS of them")]
    fn shard(&self, hash: u128) -> MutexGuard<'_, Shard> {
        lock(&self.shards[(hash >> 64) as usize % SHARDS])
    }

    /// Xorshift (Marsaglia 2003): picks victims, guards nothing. A lost update between threads
    /// repeats a number, which does no harm.
    fn next_random(&self) -> u64 {
        let mut state = self.random.load(Ordering::Relaxed);
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.random.store(state, Ordering::Relaxed);
        state
    }
}

impl Shard {
    fn insert(&mut self, slot: Slot) {
        self.places.insert(slot.hash, self.slots.len());
        self.slots.push(slot);
    }

    fn remove(&mut self, at: usize) -> Option<Slot> {
        if at >= self.slots.len() {
            return None;
        }
        let removed = self.slots.swap_remove(at);
        self.places.remove(&removed.hash);
        if let Some(moved) = self.slots.get(at) {
            self.places.insert(moved.hash, at);
        }
        Some(removed)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // No code panics between the two halves of a change.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
