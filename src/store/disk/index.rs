//! Where each record lies: sixteen octets an entry.
//!
//! The top eight bits of a key pick one of 256 partitions, each behind a mutex of its own that is
//! held for one look-up, or for the milliseconds in which a partition grows. The low 64 bits are the
//! fingerprint that the partition knows the key by. Two keys that share these 72 bits share an
//! entry; records carry their whole key, which is compared on every read, so that this is a miss.
//!
//! Invariant: each operation is one step under its partition's lock. What a compare-and-set has
//! checked still holds when it writes.
//!
//! Not here: what lies at a place, whether the segment still exists, and which of two records is
//! newer. The index has no random state: a checkpoint of it is read by the next process.

mod partition;
mod place;
#[cfg(test)]
mod tests;

pub use place::Place;

use partition::Partition;

use crate::store::sync::{Mutex, MutexGuard, PoisonError};

/// Partitions of an index: one for each value of a key's top eight bits.
pub const PARTITIONS: usize = 256;

/// Where each record of one disk lies, by its key. Takes 16.3 to 18.5 octets an entry once a
/// partition holds some hundreds; an empty one takes 8 KiB.
#[derive(Debug)]
pub struct Index {
    partitions: Box<[Mutex<Partition>]>,
}

/// Octets that are no partition's checkpoint form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a partition of the index")]
pub struct InvalidPartition;

/// Changes that are gathered to be made at once.
#[derive(Debug)]
pub struct Changes {
    /// Fingerprints and their new places, of each partition; `None` forgets one.
    partitions: Vec<Vec<(u64, Option<Place>)>>,
    count: usize,
}

impl Default for Changes {
    fn default() -> Changes {
        Changes { partitions: vec![Vec::new(); PARTITIONS], count: 0 }
    }
}

impl Changes {
    /// Adds one behind the others.
    pub fn push(&mut self, key: u128, place: Option<Place>) {
        if let Some(changes) = self.partitions.get_mut((key >> 120) as usize) {
            changes.push((fingerprint(key), place));
            self.count += 1;
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl Default for Index {
    fn default() -> Index {
        Index::new()
    }
}

impl Index {
    /// An empty index.
    pub fn new() -> Index {
        Index { partitions: (0..PARTITIONS).map(|_| Mutex::default()).collect() }
    }

    /// Where the record of this key lies.
    pub fn find(&self, key: u128) -> Option<Place> {
        self.lock(key).find(fingerprint(key)).and_then(Place::decode)
    }

    /// Where the record of this key lies, which this counts as a use.
    pub fn touch(&self, key: u128) -> Option<Place> {
        let mut partition = self.lock(key);
        let word = partition.find_mut(fingerprint(key))?;
        let mut place = Place::decode(*word)?;
        place.frequency = (place.frequency + 1).min(Place::FREQUENCY_MAX);
        *word = place.encode();
        Some(place)
    }

    /// Sets where the record of this key lies; gives back where the one before lay.
    pub fn set(&self, key: u128, place: Place) -> Option<Place> {
        self.lock(key).set(fingerprint(key), place.encode()).and_then(Place::decode)
    }

    /// Sets `new` if the key's record still lies at the slot and offset of `old`. Whether it did.
    pub fn replace_if(&self, key: u128, old: &Place, new: Place) -> bool {
        self.change_at(key, old.slot, old.offset, |place| *place = new)
    }

    /// Makes changes in their order, which come from reading a log: as [`Index::set`] and
    /// [`Index::remove`], but for many at once, partition by partition, while its table is in the
    /// processor's cache.
    pub fn apply(&self, changes: &mut Changes) {
        for (partition, changes) in self.partitions.iter().zip(&mut changes.partitions) {
            let mut partition = lock(partition);
            partition.reserve(changes.len());
            for (print, place) in changes.drain(..) {
                match place {
                    Some(place) => {
                        partition.set(print, place.encode());
                    }
                    None => {
                        partition.remove(print);
                    }
                }
            }
        }
        changes.count = 0;
    }

    /// Forgets a key. Whether it was there.
    pub fn remove(&self, key: u128) -> bool {
        self.lock(key).remove(fingerprint(key))
    }

    /// Forgets a key if its record still lies at this slot and offset. Whether it did.
    pub fn remove_if(&self, key: u128, slot: u32, offset: u32) -> bool {
        let mut partition = self.lock(key);
        let place = partition.find(fingerprint(key)).and_then(Place::decode);
        place.is_some_and(|place| place.is_at(slot, offset)) && partition.remove(fingerprint(key))
    }

    /// Notes that the content of the record at this slot and offset was checked. Whether the key's
    /// record still lies there.
    pub fn mark_verified(&self, key: u128, slot: u32, offset: u32) -> bool {
        self.change_at(key, slot, offset, |place| place.flags |= Place::VERIFIED)
    }

    /// Entries. Takes each partition's lock in turn, some microseconds in all.
    pub fn entries(&self) -> u64 {
        self.partitions.iter().map(|partition| lock(partition).entries() as u64).sum()
    }

    /// Octets of memory that the index takes. Takes each partition's lock in turn.
    pub fn memory_bytes(&self) -> u64 {
        let heap: usize = self.partitions.iter().map(|partition| lock(partition).heap_bytes()).sum();
        (size_of::<Index>() + size_of_val(&*self.partitions) + heap) as u64
    }

    /// One partition as a checkpoint keeps it, little endian. Its lock is held for the copy.
    pub fn partition(&self, partition: u8) -> Vec<u8> {
        self.numbered(partition).encode()
    }

    /// Puts a partition of a checkpoint in the place of what is there. Its octets may be any: what
    /// is no partition changes nothing. Entries are not [`Place::VERIFIED`] after this.
    pub fn load_partition(&self, partition: u8, octets: &[u8]) -> Result<(), InvalidPartition> {
        let loaded = Partition::decode(octets)?;
        *self.numbered(partition) = loaded;
        Ok(())
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.partitions.iter().for_each(|partition| *lock(partition) = Partition::default());
    }

    /// Gives every entry: the top eight bits of its key, the low 64, and its place. Copies one
    /// partition at a time, so that `f` may use the index.
    pub fn for_each(&self, mut f: impl FnMut(u8, u64, Place)) {
        let mut entries = Vec::new();
        for (number, partition) in (0..=u8::MAX).zip(&self.partitions) {
            entries.clear();
            entries.extend(lock(partition).iter());
            for &(print, word) in &entries {
                if let Some(place) = Place::decode(word) {
                    f(number, print, place);
                }
            }
        }
    }

    fn change_at(&self, key: u128, slot: u32, offset: u32, change: impl FnOnce(&mut Place)) -> bool {
        let mut partition = self.lock(key);
        let Some(word) = partition.find_mut(fingerprint(key)) else { return false };
        let Some(mut place) = Place::decode(*word).filter(|place| place.is_at(slot, offset)) else {
            return false;
        };
        change(&mut place);
        *word = place.encode();
        true
    }

    fn lock(&self, key: u128) -> MutexGuard<'_, Partition> {
        self.numbered((key >> 120) as u8)
    }

    #[expect(clippy::indexing_slicing, reason = "eight bits number the partitions")]
    fn numbered(&self, partition: u8) -> MutexGuard<'_, Partition> {
        lock(&self.partitions[usize::from(partition)])
    }
}

fn fingerprint(key: u128) -> u64 {
    key as u64
}

fn lock(partition: &Mutex<Partition>) -> MutexGuard<'_, Partition> {
    // No code panics while it holds this lock.
    partition.lock().unwrap_or_else(PoisonError::into_inner)
}
