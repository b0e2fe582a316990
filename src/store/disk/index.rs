//! Where each record lies: sixteen octets an entry.

mod place;

pub use place::Place;

use std::collections::BTreeMap;

use crate::store::sync::{Mutex, MutexGuard, PoisonError};

/// Partitions of an index: one for each value of a key's top eight bits.
pub const PARTITIONS: usize = 256;

/// Where each record of one disk lies, by its key.
#[derive(Debug)]
pub struct Index {
    partitions: Box<[Mutex<BTreeMap<u64, u64>>]>,
}

/// A partition's checkpoint form that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a partition of the index")]
pub struct InvalidPartition;

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
        self.lock(key).get(&(key as u64)).copied().and_then(Place::decode)
    }

    /// Where the record of this key lies, which this counts as a use.
    pub fn touch(&self, key: u128) -> Option<Place> {
        self.change(key, |place| place.frequency = (place.frequency + 1).min(Place::FREQUENCY_MAX))
    }

    /// Sets where the record of this key lies; gives back where the one before lay.
    pub fn set(&self, key: u128, place: Place) -> Option<Place> {
        self.lock(key).insert(key as u64, place.encode()).and_then(Place::decode)
    }

    /// Sets `new` if the key's record still lies where `old` says (its slot and offset).
    pub fn replace_if(&self, key: u128, old: &Place, new: Place) -> bool {
        let replaced = self.change(key, |place| {
            if place.is_at(old.slot, old.offset) {
                *place = new;
            }
        });
        replaced.is_some_and(|place| place.is_at(new.slot, new.offset))
    }

    /// Forgets a key. Whether it was there.
    pub fn remove(&self, key: u128) -> bool {
        self.lock(key).remove(&(key as u64)).is_some()
    }

    /// Forgets a key if its record still lies at this slot and offset. Whether it did.
    pub fn remove_if(&self, key: u128, slot: u32, offset: u32) -> bool {
        let mut partition = self.lock(key);
        let place = partition.get(&(key as u64)).copied().and_then(Place::decode);
        let removes = place.is_some_and(|place| place.is_at(slot, offset));
        removes && partition.remove(&(key as u64)).is_some()
    }

    /// Notes that the content of the record at this slot and offset was checked.
    pub fn mark_verified(&self, key: u128, slot: u32, offset: u32) {
        self.change(key, |place| {
            if place.is_at(slot, offset) {
                place.flags |= Place::VERIFIED;
            }
        });
    }

    /// Entries. Takes each partition's lock in turn.
    pub fn entries(&self) -> u64 {
        self.partitions.iter().map(|partition| lock(partition).len() as u64).sum()
    }

    /// Octets of memory that the index takes. Takes each partition's lock in turn.
    pub fn memory_bytes(&self) -> u64 {
        self.entries() * 16
    }

    /// One partition as a checkpoint keeps it.
    pub fn partition(&self, partition: u8) -> Vec<u8> {
        let Some(partition) = self.partitions.get(usize::from(partition)) else { return Vec::new() };
        lock(partition)
            .iter()
            .flat_map(|(print, place)| [print.to_le_bytes(), place.to_le_bytes()])
            .flatten()
            .collect()
    }

    /// Puts a partition of a checkpoint in the place of what is there; nothing changes on an error.
    pub fn load_partition(&self, partition: u8, octets: &[u8]) -> Result<(), InvalidPartition> {
        let (entries, rest) = octets.as_chunks::<8>();
        let (entries, odd) = entries.as_chunks::<2>();
        if !rest.is_empty() || !odd.is_empty() {
            return Err(InvalidPartition);
        }
        let entries = entries
            .iter()
            .map(|[print, place]| {
                (u64::from_le_bytes(*print), u64::from_le_bytes(*place) & !u64::from(Place::VERIFIED))
            })
            .collect();
        let Some(partition) = self.partitions.get(usize::from(partition)) else {
            return Err(InvalidPartition);
        };
        *lock(partition) = entries;
        Ok(())
    }

    /// Gives every entry: the top eight bits of its key, the low 64, and its place. Copies one
    /// partition at a time, so that `f` may use the index.
    pub fn for_each(&self, mut f: impl FnMut(u8, u64, Place)) {
        for (number, partition) in (0..=u8::MAX).zip(&self.partitions) {
            let entries = lock(partition).clone();
            for (print, place) in entries {
                if let Some(place) = Place::decode(place) {
                    f(number, print, place);
                }
            }
        }
    }

    fn change(&self, key: u128, change: impl FnOnce(&mut Place)) -> Option<Place> {
        let mut partition = self.lock(key);
        let word = partition.get_mut(&(key as u64))?;
        let mut place = Place::decode(*word)?;
        change(&mut place);
        *word = place.encode();
        Some(place)
    }

    #[expect(clippy::indexing_slicing, reason = "eight bits number the partitions")]
    fn lock(&self, key: u128) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        lock(&self.partitions[(key >> 120) as usize])
    }
}

fn lock<T>(partition: &Mutex<T>) -> MutexGuard<'_, T> {
    partition.lock().unwrap_or_else(PoisonError::into_inner)
}
