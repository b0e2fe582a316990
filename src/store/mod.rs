//! Stored responses: what is kept, where, and for how long.
//!
//! The store knows nothing of freshness or of requests: it holds objects under the target URI as
//! cache key (RFC 9111 §2) and gives all variants of a key to whoever asks. Those still arriving
//! are [`Fill`]s, which readers share. There are two tiers: memory, where all that is stored
//! begins and what is asked for often stays, and disk, which is larger and outlives the process.
//!
//! Invariant: what an invalidation or a purge has removed never comes back, from neither tier:
//! who was on the way meanwhile (a fill, a look at the disk, an eviction) sees by the key's
//! [`Generation`] or its count of changes that it is too late.

pub mod disk;
mod fill;
mod gather;
pub mod heads;
mod inspecting;
mod key;
#[cfg(test)]
mod kill_tests;
mod memory;
mod object;
mod on_disk;
mod purging;
mod refill;
mod removal;
#[cfg(test)]
mod removal_tests;
#[cfg(test)]
mod set_tests;
#[cfg(test)]
mod slow_tests;
mod spans;
mod sync;
mod tiers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use disk::extent::Extent;
pub use fill::{Aborted, Arrived, Chunks, Fill, FillReader, FillWriter, Finished};
pub use gather::Gathered;
pub use inspecting::{Listing, Stored};
pub use key::{Key, KeyIsHash};
pub use memory::{Memory, Usage, Variants};
pub use object::{Object, StoredContent};
pub use on_disk::{CHUNK_LENGTH, ContentId, Render};
pub use purging::Purged;
pub use refill::Refill;
pub use spans::{Part, SPANS_MAX, Span, Spans};
pub use tiers::Beside;

pub use disk::purges::{PurgeRefused, PurgeScope};

use disk::purges::Purges;
use disk::set::LeftOut;
use disk::{Disk, DiskUsage};
use key::HashKey;
use memory::Changes;
use on_disk::OnDisk;
use tiers::Tiers;

use crate::budget::{Budget, Use};
use crate::caching::{ByteRange, SecretFields, StoredHead};
use crate::http::TargetUri;

/// Sizes of a store, in octets, and whose memory it takes.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Memory for stored responses and fills; default 256 MiB.
    pub memory: u64,
    /// The largest object in memory; default a quarter of the memory.
    pub object_max: u64,
    /// The largest object on disk; none: a quarter of its disk.
    pub object_on_disk_max: Option<u64>,
    /// Of which the store's memory is a part.
    pub budget: Budget,
}

impl Default for StoreSettings {
    fn default() -> StoreSettings {
        let budget = Budget::unlimited();
        StoreSettings { memory: 256 << 20, object_max: 64 << 20, object_on_disk_max: None, budget }
    }
}

/// The store that all threads share. Clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    tiers: Arc<Tiers>,
    hash_key: HashKey,
    object_on_disk_max: Option<u64>,
    left_out: Arc<[LeftOut]>,
    secrets: SecretFields,
}

impl Store {
    /// An empty store in memory alone. `random` keys its hash and seeds eviction.
    pub fn new(settings: StoreSettings, random: [u64; 3]) -> Store {
        let [k0, k1, seed] = random;
        let memory = memory(&settings, seed);
        let clock = AtomicU64::new(1);
        let order = std::array::from_fn(|_| std::sync::Mutex::default());
        let index = settings.budget.count(Use::Index, 0).into();
        let tiers = Tiers { memory, disks: Vec::new(), clock, purges_of_memory: Purges::new(), order, index };
        let object_on_disk_max = settings.object_on_disk_max;
        let (left_out, secrets) = (Arc::default(), SecretFields::new(NO_NAMES, [k0, k1]));
        Store { tiers: Arc::new(tiers), hash_key: HashKey([k0, k1]), object_on_disk_max, left_out, secrets }
    }

    /// A store whose second tier is these disks, at least one, which were opened as one set.
    /// `render` makes what [`Object::rendered`] holds of a head that was read from disk; `seed` seeds
    /// eviction.
    pub fn with_disks(settings: StoreSettings, disks: Vec<Disk>, render: Arc<Render>, seed: u64) -> Store {
        Store::with_disks_hiding(settings, disks, render, seed, NO_NAMES)
    }

    /// The same, where the values of request fields with these names are secrets, too.
    pub fn with_disks_hiding(
        settings: StoreSettings,
        disks: Vec<Disk>,
        render: Arc<Render>,
        seed: u64,
        secret_fields: &[String],
    ) -> Store {
        let hash_key = HashKey(disks.first().map(Disk::hash_key).unwrap_or_default());
        let memory = memory(&settings, seed);
        // One logical clock: the first disk's, ahead of all.
        if let Some((first, latest)) = disks.first().zip(disks.iter().map(Disk::next_seq).max()) {
            first.advance_clock(latest + 1);
        }
        let secrets = SecretFields::new(secret_fields, hash_key.0);
        let on_disk = |disk| OnDisk { disk, hash_key, render: render.clone(), secrets: secrets.clone() };
        let order = std::array::from_fn(|_| std::sync::Mutex::default());
        let tiers = Arc::new(Tiers {
            memory,
            disks: disks.into_iter().map(on_disk).collect(),
            clock: AtomicU64::new(1),
            purges_of_memory: Purges::new(),
            order,
            index: settings.budget.count(Use::Index, 0).into(),
        });
        tiers.catch_evicted();
        tiers.count_index();
        let (object_on_disk_max, left_out) = (settings.object_on_disk_max, Arc::default());
        Store { tiers, hash_key, object_on_disk_max, left_out, secrets }
    }

    /// The same, which does without these folders.
    #[must_use]
    pub fn without(self, left_out: Vec<LeftOut>) -> Store {
        Store { left_out: left_out.into(), ..self }
    }

    /// All stored responses of a cache key that are in memory; `None` when there is none, and
    /// [`Store::load`] may find some.
    pub fn variants(&self, key: Key<'_>) -> Option<Variants> {
        self.tiers.memory.variants(key)
    }

    /// All stored responses of a cache key that are on disk, which are in memory from then on.
    pub async fn load(&self, key: Key<'_>) -> Option<Variants> {
        self.tiers.load(key).await
    }

    /// Both of them: all stored responses of a cache key.
    pub async fn look_up(&self, key: Key<'_>) -> Option<Variants> {
        match self.variants(key) {
            Some(variants) => Some(variants),
            None => self.load(key).await,
        }
    }

    /// Starts a fill for a response with this head, whose content is `expected` octets long, if
    /// that is known; `asked` is when the origin was asked. `Err` says why it can't be stored.
    pub fn fill(
        &self,
        key: Key<'_>,
        head: &StoredHead,
        expected: Option<u64>,
        asked: Generation,
    ) -> Result<FillWriter, &'static str> {
        let chunks = self.tiers.chunks(key, head, asked.seq(), self.object_on_disk_max);
        FillWriter::new(self.tiers.memory.clone(), expected, chunks)
    }

    /// The parts of a range of an object's content, in order. Nothing is read yet: an extent may
    /// turn out to be damaged.
    pub fn parts(&self, key: Key<'_>, object: &Object, range: ByteRange) -> Vec<Part> {
        match &object.content {
            StoredContent::Memory { pieces, .. } => object::range_of_pieces(pieces, range),
            StoredContent::Partial { spans, .. } => spans.parts(range),
            StoredContent::Chunks { length } => {
                self.chunks(ContentId { key: key.hash, generation: object.generation }, *length, range)
            }
        }
    }

    /// The parts of a range of a content of `length` octets in chunks.
    pub fn chunks(&self, id: ContentId, length: u64, range: ByteRange) -> Vec<Part> {
        match self.tiers.tier(id.key) {
            Some(tier) => tier.parts(id, length, range),
            None => vec![Part::Missing(range)],
        }
    }

    /// Takes what arrives of an object's content from octet `at` on, the beginning of a chunk;
    /// `None` when its content is not in chunks, or none can be written.
    pub fn refill(&self, key: Key<'_>, object: &Object, at: u64) -> Option<Refill> {
        let StoredContent::Chunks { length } = object.content else { return None };
        let tiers = &self.tiers;
        let chunks = tiers.chunks(key, &object.head, object.generation, self.object_on_disk_max)?;
        Some(Refill::new(chunks, tiers.memory.clone(), at, length))
    }

    /// The state of a key, to be taken before the origin is asked.
    pub fn generation(&self, key: Key<'_>) -> Generation {
        let purged = self.tiers.purges(key.hash).latest();
        Generation { changes: self.tiers.memory.changes(key.hash), seq: self.tiers.next_seq(), purged }
    }

    /// Stores an object in place of those that `replaces` picks, unless its key was invalidated
    /// since `asked`. At most
    /// `VARIANTS_MAX` stay, the newest ones.
    pub fn insert(
        &self,
        key: Key<'_>,
        object: Object,
        asked: Generation,
        replaces: impl Fn(&Object) -> bool,
    ) {
        let beside = |other: &Object| if replaces(other) { Beside::Goes } else { Beside::Stays };
        self.tiers.insert(key, Some(self.charged(object)), asked, beside);
    }

    /// Stores `object` beside or together with what is stored of its key, as `beside` says of each,
    /// unless its key was invalidated since `asked`. Without an object nothing is stored but what
    /// [joins](Beside::Joins).
    pub fn join(
        &self,
        key: Key<'_>,
        object: Option<Object>,
        asked: Generation,
        beside: impl Fn(&Object) -> Beside,
    ) {
        self.tiers.insert(key, object.map(|object| self.charged(object)), asked, beside);
    }

    fn charged(&self, object: Object) -> Arc<Object> {
        Arc::new(object.charged_to(self.tiers.memory.budget()))
    }

    /// Whether what is there of a content of `length` octets is kept in memory, and not in chunks.
    pub fn keeps_spans(&self, length: u64) -> bool {
        length <= self.tiers.memory.object_max().min(CHUNK_LENGTH)
    }

    /// Whether chunks of a content of `length` octets are wanted on disk; if not, why.
    pub fn admits_chunks(
        &self,
        key: Key<'_>,
        head: &StoredHead,
        length: u64,
        asked: Generation,
    ) -> Result<(), &'static str> {
        let chunks = self.tiers.chunks(key, head, asked.seq(), self.object_on_disk_max);
        chunks.ok_or("partial").and_then(|chunks| chunks.admits(Some(length)))
    }

    /// Gathers what arrives of up to `octets` octets of content; `None` when fills have all memory.
    pub fn gather(&self, octets: u64) -> Option<Gathered> {
        Gathered::new(&self.tiers.memory, octets)
    }

    /// Puts `new` in the place of `old`, if that is still stored, in whichever tier: what freshening does.
    pub async fn replace(&self, key: Key<'_>, old: &Arc<Object>, new: Arc<Object>) {
        self.tiers.replace(key, old, new).await;
    }

    /// Removes `old`, if it is still stored. When this returns, a kill can't bring it back, unless the
    /// disk is [behind](Store::invalidate).
    pub async fn remove(&self, key: Key<'_>, old: &Arc<Object>) {
        self.tiers.remove(key, std::slice::from_ref(old)).await;
    }

    /// The same for several responses of a key, with one wait.
    pub async fn remove_all(&self, key: Key<'_>, all: &[Arc<Object>]) {
        self.tiers.remove(key, all).await;
    }

    /// Removes all stored responses of a cache key (RFC 9111 §4.4), at once. When this returns, a kill
    /// can't bring them back, unless the disk is behind: it is waited for up to ten seconds, and then
    /// not at all until it has caught up. What may come back is logged and counted.
    pub async fn invalidate(&self, key: Key<'_>) {
        self.tiers.invalidate(&[key]).await;
    }

    /// The same for several keys, with one wait.
    pub async fn invalidate_all(&self, keys: &[Key<'_>]) {
        self.tiers.invalidate(keys).await;
    }

    /// Purges all that is stored now in a scope. When this returns, none of it is used any more.
    pub async fn purge(&self, scope: PurgeScope) -> Result<Purged, PurgeRefused> {
        self.tiers.purge(scope).await
    }

    /// Purges all that is stored of the origin of `uri` and in one of these groups, which are tags
    /// that belong to that origin. When this returns, none of it is used any more.
    pub async fn purge_groups(&self, uri: &TargetUri, groups: Vec<Vec<u8>>) {
        if !groups.is_empty() {
            self.tiers.purge_groups(uri, groups).await;
        }
    }

    /// Of memory alone, where the values of request fields with these names are secrets, too.
    #[must_use]
    pub fn hiding(self, secret_fields: &[String]) -> Store {
        Store { secrets: SecretFields::new(secret_fields, self.hash_key.0), ..self }
    }

    /// Which request fields have secret values: they are never shown.
    pub fn secrets(&self) -> &SecretFields {
        &self.secrets
    }

    /// The disks of the second tier, if there are any.
    pub fn disks(&self) -> impl ExactSizeIterator<Item = &Disk> {
        self.tiers.disks.iter().map(|tier| &tier.disk)
    }

    /// The folders of the second tier that could not be used at the start.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The budget that its memory is a part of.
    pub fn budget(&self) -> &Budget {
        self.tiers.memory.budget()
    }

    /// Charges what the indexes of the disks take now; to be called now and then.
    pub fn count_index(&self) {
        self.tiers.count_index();
    }

    /// What the store holds.
    pub fn usage(&self) -> Usage {
        self.tiers.memory.usage()
    }

    /// What the disks hold together, if there are any.
    pub fn disk_usage(&self) -> Option<DiskUsage> {
        self.disks().map(Disk::usage).reduce(DiskUsage::and)
    }

    /// Writes what waits to be written to disk, and waits until it is on the device. Nothing is
    /// written after this.
    pub fn close(&self) {
        self.disks().for_each(Disk::close);
    }

    /// The cache key of a target URI.
    pub fn key<'a>(&self, uri: &'a TargetUri) -> Key<'a> {
        Key { uri, hash: self.hash_key.of_uri(uri) }
    }
}

/// The memory of a store, which makes room for others of its budget.
fn memory(settings: &StoreSettings, seed: u64) -> Arc<Memory> {
    let memory = Arc::new(Memory::new(settings.memory, settings.object_max, seed).within(&settings.budget));
    // Weak: the memory has the budget.
    let weak = Arc::downgrade(&memory);
    settings.budget.on_spent(Box::new(move |bytes| {
        if let Some(memory) = weak.upgrade() {
            memory.make_room(bytes);
        }
    }));
    memory
}

/// Where a key stood when the origin was asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Generation {
    changes: Changes,
    seq: u64,
    /// The last purge.
    purged: u64,
}

impl Generation {
    /// Whether no invalidation and no purge, of whatever, stands between the two.
    pub fn is_as_valid_as(self, other: Generation) -> bool {
        self.changes.is_as_valid_as(other.changes) && self.purged == other.purged
    }

    /// Whether one invalidation, which is then the asker's own, stands between `earlier` and this,
    /// and no purge.
    pub fn is_one_invalidation_after(self, earlier: Generation) -> bool {
        self.changes.is_one_invalidation_after(earlier.changes) && self.purged == earlier.purged
    }

    /// What [`Object::generation`] is of an object that was asked for then.
    pub fn seq(self) -> u64 {
        self.seq
    }
}

/// No request fields are secret beside those that always are.
const NO_NAMES: &[String] = &[];

/// Variants of one key; more would make each look-up slow.
const VARIANTS_MAX: usize = 16;

/// The next reading of a clock that counts.
fn tick(clock: &AtomicU64) -> u64 {
    clock.fetch_add(1, Ordering::Relaxed)
}
