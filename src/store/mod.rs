//! Stored responses: what is kept, where, and for how long.
//!
//! The store knows nothing of freshness or of requests: it holds objects under the target URI as
//! cache key (RFC 9111 §2) and gives all variants of a key to whoever asks. Only complete
//! responses are ever in it; those still arriving are [`Fill`]s, which readers share.
//! A tier on disk is planned behind the same interface.

pub mod disk;
mod fill;
mod memory;
mod sync;

use std::hash::Hasher;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use siphasher::sip128::{Hasher128, SipHasher13};

pub use fill::{Aborted, Fill, FillReader, FillWriter, Finished};
pub use memory::{KeyIsHash, Memory, Usage, Variants};

use crate::caching::StoredHead;
use crate::http::TargetUri;

/// A cache key (RFC 9111 §2): the target URI, hashed once.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    pub uri: &'a TargetUri,
    /// Keyed and 128 bits wide: tables beside the store may take it for the key.
    pub hash: u128,
}

/// A complete stored response.
#[derive(Debug)]
pub struct Object {
    /// What caching decides by.
    pub head: StoredHead,
    /// Status line and field lines as every hit sends them, without the empty line.
    pub rendered: Bytes,
    /// The content.
    pub content: StoredContent,
    /// The address that it came from: a policy that refuses the address refuses what was stored
    /// from it, too.
    pub origin: SocketAddr,
}

/// Content in pieces that are shared with every reader.
#[derive(Clone, Debug, Default)]
pub struct StoredContent {
    pieces: Arc<[Bytes]>,
    length: u64,
}

impl StoredContent {
    /// Content that consists of these pieces.
    pub fn new(pieces: Vec<Bytes>) -> StoredContent {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        StoredContent { pieces: pieces.into(), length }
    }

    /// Octets.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// All pieces in order.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// The octets from `first` to `last`, both included, without copying them.
    pub fn range(&self, first: u64, last: u64) -> Vec<Bytes> {
        let mut at = 0;
        let mut out = Vec::new();
        for piece in self.pieces.iter() {
            let (start, end) = (at, at + piece.len() as u64);
            at = end;
            if end <= first || start > last {
                continue;
            }
            // Both lie within the piece, whose length is a usize.
            let from = first.saturating_sub(start) as usize;
            let to = (last + 1 - start).min(piece.len() as u64) as usize;
            out.push(piece.slice(from..to));
        }
        out
    }
}

impl Object {
    /// Octets of memory that the object takes.
    pub fn memory_bytes(&self) -> u64 {
        let pieces: usize = self.content.pieces.iter().map(|piece| piece.len() + size_of::<Bytes>()).sum();
        (size_of::<Object>() + self.head.memory_bytes() + self.rendered.len() + pieces) as u64
    }
}

/// Sizes of a store, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Memory for stored responses and fills; default 256 MiB.
    pub memory: u64,
    /// The largest object; default a quarter of the memory.
    pub object_max: u64,
}

impl Default for StoreSettings {
    fn default() -> StoreSettings {
        StoreSettings { memory: 256 << 20, object_max: 64 << 20 }
    }
}

/// The store that all threads share.
#[derive(Debug)]
pub struct Store {
    memory: Arc<Memory>,
    /// How often keys of one part of the hash were invalidated: tells a fill whether what it
    /// brings is older than an invalidation. Two keys in one place cost a needless fetch.
    invalidations: Box<[AtomicU64]>,
    /// Secret: who could compute the hash could fill one bucket.
    hash_key: [u64; 2],
}

impl Store {
    /// An empty store. `random` keys its hash and seeds eviction.
    pub fn new(settings: StoreSettings, random: [u64; 3]) -> Store {
        let [k0, k1, seed] = random;
        Store {
            memory: Arc::new(Memory::new(settings.memory, settings.object_max, seed)),
            invalidations: (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect(),
            hash_key: [k0, k1],
        }
    }

    /// All stored responses of a cache key; `None` when there is none.
    pub fn variants(&self, key: Key<'_>) -> Option<Variants> {
        self.memory.variants(key)
    }

    /// Starts a fill for a response whose content is `expected` octets long, if that is known.
    /// `None` when it is known to be larger than any object may be.
    pub fn fill(&self, expected: Option<u64>) -> Option<FillWriter> {
        let fits = expected.is_none_or(|length| length <= self.memory.object_max());
        fits.then(|| FillWriter::new(self.memory.clone(), expected))
    }

    /// What [`Store::invalidate`] changes; to be taken before the origin is asked.
    pub fn generation(&self, key: Key<'_>) -> Generation {
        Generation(self.invalidations_of(key).map_or(0, |count| count.load(Ordering::SeqCst)))
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
        self.memory.update(key, |stored| {
            // Under the lock that an invalidation takes after it has counted.
            if self.generation(key) != asked {
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
            std::iter::once(Arc::new(object)).chain(others).collect()
        });
    }

    /// Puts `new` in the place of `old`, if that is still stored: what freshening does.
    pub fn replace(&self, key: Key<'_>, old: &Arc<Object>, new: Arc<Object>) {
        self.memory.update(key, |stored| {
            let swap =
                |object: &Arc<Object>| if Arc::ptr_eq(object, old) { new.clone() } else { object.clone() };
            stored.iter().map(swap).collect()
        });
    }

    /// Removes `old`, if it is still stored.
    pub fn remove(&self, key: Key<'_>, old: &Arc<Object>) {
        self.memory.update(key, |stored| {
            stored.iter().filter(|object| !Arc::ptr_eq(object, old)).cloned().collect()
        });
    }

    /// Removes all stored responses of a cache key (RFC 9111 §4.4).
    pub fn invalidate(&self, key: Key<'_>) {
        if let Some(count) = self.invalidations_of(key) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        self.memory.update(key, |_stored| Vec::new());
    }

    fn invalidations_of(&self, key: Key<'_>) -> Option<&AtomicU64> {
        self.invalidations.get(key.hash as usize % GENERATIONS)
    }

    /// What the store holds.
    pub fn usage(&self) -> Usage {
        self.memory.usage()
    }

    /// The cache key of a target URI.
    pub fn key<'a>(&self, uri: &'a TargetUri) -> Key<'a> {
        Key { uri, hash: self.hash(uri) }
    }

    fn hash(&self, uri: &TargetUri) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.hash_key[0], self.hash_key[1]);
        let host = uri.authority.host.as_str().as_bytes();
        // Lengths in front, so that no two keys are one string of octets.
        hasher.write_u32((uri.scheme as u32) << 24 | u32::from(uri.authority.port));
        hasher.write_usize(host.len());
        hasher.write(host);
        hasher.write(&uri.path_and_query);
        hasher.finish128().as_u128()
    }
}

/// Where a key stood among its invalidations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation(u64);

/// Places to count invalidations in; arbitrary.
const GENERATIONS: usize = 4096;

/// Variants of one key; more would make each look-up slow.
const VARIANTS_MAX: usize = 16;
