//! One partition of the index: a table of buckets with two choices for each entry.
//!
//! A bucket has eight slots in two cache lines, fingerprints in one and places in the other, so
//! that a look-up for nothing touches two lines. Both buckets of an entry follow from its
//! fingerprint alone. When both are full, entries move to their other bucket to make room (cuckoo
//! hashing; Pagh and Rodler 2001), which fills 97 slots of 100 and more; when no short chain of
//! moves does it, the table grows by an eighth. Any number of buckets is possible, since a bucket
//! is picked by multiplication (Lemire 2019).
//!
//! Invariants: a slot is empty when its place is zero, and its fingerprint is then zero, too. A
//! fingerprint stands in one slot at most, in one of its two buckets.
//!
//! Not here: locks, and shrinking. A table that has become sparse is packed when it is loaded.
//!
//! The form in a checkpoint, little endian, is the table without its empty slots:
//!
//! ```text
//! buckets u32 | entries u32 | entries in each bucket, u8 × buckets | (fingerprint u64, place u64) × entries
//! ```

use super::{InvalidPartition, Place};

const SLOTS: usize = 8;
/// Octets of an entry in a checkpoint.
const ENTRY: usize = 16;
/// Buckets that a search for room looks through at most. With twice as many, a table grows at a
/// load that is one point higher.
const SEARCH_MAX: usize = 32;

/// A table of places by fingerprint. Fingerprints are hashes with a secret key: nobody picks
/// them, and so the growth of a table ends.
#[derive(Debug, Default)]
pub(super) struct Partition {
    buckets: Box<[Bucket]>,
    entries: usize,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Bucket {
    prints: [u64; SLOTS],
    places: [u64; SLOTS],
}

/// A step of the search for room: a full bucket, and whose entry would move into it.
#[derive(Clone, Copy)]
struct Step {
    bucket: usize,
    /// The step and the slot that the entry comes from; `None` for the new entry's own buckets.
    from: Option<(usize, usize)>,
}

impl Partition {
    /// Entries.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Octets on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// The word of a fingerprint.
    pub(super) fn find(&self, print: u64) -> Option<u64> {
        let (bucket, slot) = self.locate(print)?;
        self.bucket(bucket).places.get(slot).copied()
    }

    /// The word of a fingerprint, to be changed to another that is not zero.
    pub(super) fn find_mut(&mut self, print: u64) -> Option<&mut u64> {
        let (bucket, slot) = self.locate(print)?;
        self.bucket_mut(bucket).places.get_mut(slot)
    }

    /// Sets the word of a fingerprint, not zero; gives back the one before.
    pub(super) fn set(&mut self, print: u64, word: u64) -> Option<u64> {
        if let Some(known) = self.find_mut(print) {
            return Some(std::mem::replace(known, word));
        }
        while !self.put(print, word) {
            self.grow();
        }
        None
    }

    /// Grows once, if need be, so that there is room for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        let entries = self.entries + more;
        // Sixteen of seventeen slots: a table that is fuller spends its time on moves.
        let wanted = (entries + entries / 16).div_ceil(SLOTS);
        if wanted > self.buckets.len() && more > 0 {
            self.grow_to(wanted);
        }
    }

    /// Forgets a fingerprint. Whether it was there.
    pub(super) fn remove(&mut self, print: u64) -> bool {
        let Some((bucket, slot)) = self.locate(print) else { return false };
        self.bucket_mut(bucket).write(slot, 0, 0);
        self.entries -= 1;
        true
    }

    /// All entries: fingerprint and word, bucket by bucket.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.buckets.iter().flat_map(Bucket::entries)
    }

    /// The form in a checkpoint.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + self.buckets.len() + self.entries * ENTRY);
        // Either fits: 2^32 buckets are half a tebibyte.
        out.extend((self.buckets.len() as u32).to_le_bytes());
        out.extend((self.entries as u32).to_le_bytes());
        out.extend(self.buckets.iter().map(|bucket| bucket.entries().count() as u8));
        for (print, word) in self.iter() {
            out.extend_from_slice(&print.to_le_bytes());
            out.extend_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// A partition from a checkpoint, which may be any octets. Nothing in it is verified yet.
    pub(super) fn decode(octets: &[u8]) -> Result<Partition, InvalidPartition> {
        let (buckets, rest) = octets.split_first_chunk::<4>().ok_or(InvalidPartition)?;
        let (entries, rest) = rest.split_first_chunk::<4>().ok_or(InvalidPartition)?;
        let (buckets, entries) =
            (u32::from_le_bytes(*buckets) as usize, u32::from_le_bytes(*entries) as usize);
        let (counts, rest) = rest.split_at_checked(buckets).ok_or(InvalidPartition)?;
        let (raw, odd) = rest.as_chunks::<ENTRY>();
        let counted: usize = counts.iter().map(|count| usize::from(*count)).sum();
        if raw.len() != entries || counted != entries || !odd.is_empty() {
            return Err(InvalidPartition);
        }
        // Memory follows what the entries need, not what the octets claim.
        if entries < buckets * SLOTS / 2 { Partition::packed(raw) } else { Partition::restored(counts, raw) }
    }

    /// A table of its own size for these entries.
    fn packed(raw: &[[u8; ENTRY]]) -> Result<Partition, InvalidPartition> {
        // Room for an eighth more.
        let mut partition = Partition::with_buckets((raw.len() + raw.len() / 8).div_ceil(SLOTS));
        for entry in raw {
            let (print, word) = decode_entry(entry)?;
            if partition.set(print, word).is_some() {
                return Err(InvalidPartition);
            }
        }
        Ok(partition)
    }

    /// The table as it was, each entry in the bucket that it had.
    fn restored(counts: &[u8], mut raw: &[[u8; ENTRY]]) -> Result<Partition, InvalidPartition> {
        let mut partition = Partition::with_buckets(counts.len());
        for (bucket, &count) in counts.iter().enumerate() {
            let (own, others) = raw.split_at_checked(usize::from(count)).ok_or(InvalidPartition)?;
            raw = others;
            for entry in own {
                let (print, word) = decode_entry(entry)?;
                let (first, second) = choices(print, counts.len());
                let is_own = bucket == first || bucket == second;
                if !is_own || partition.locate_in(print, first, second).is_some() {
                    return Err(InvalidPartition);
                }
                let slot = partition.bucket(bucket).free().ok_or(InvalidPartition)?;
                partition.bucket_mut(bucket).write(slot, print, word);
            }
            partition.entries += own.len();
        }
        Ok(partition)
    }

    fn with_buckets(count: usize) -> Partition {
        Partition { buckets: vec![Bucket::default(); count].into_boxed_slice(), entries: 0 }
    }

    fn locate(&self, print: u64) -> Option<(usize, usize)> {
        if self.buckets.is_empty() {
            return None;
        }
        let (first, second) = choices(print, self.buckets.len());
        self.locate_in(print, first, second)
    }

    fn locate_in(&self, print: u64, first: usize, second: usize) -> Option<(usize, usize)> {
        let slot_in = |bucket: usize| Some((bucket, self.bucket(bucket).slot_of(print)?));
        slot_in(first).or_else(|| slot_in(second))
    }

    /// Puts an entry that is not there yet. False when no room was found.
    fn put(&mut self, print: u64, word: u64) -> bool {
        if self.buckets.is_empty() {
            return false;
        }
        let (first, second) = choices(print, self.buckets.len());
        // The emptier one: so both fill up late, and few entries have to move.
        let emptier = match self.bucket(first).entries().count() <= self.bucket(second).entries().count() {
            true => first,
            false => second,
        };
        let free = self.bucket(emptier).free().map(|slot| (emptier, slot));
        let Some((bucket, slot)) = free.or_else(|| self.make_room(first, second)) else { return false };
        self.bucket_mut(bucket).write(slot, print, word);
        self.entries += 1;
        true
    }

    /// Frees a slot in one of two full buckets by moving entries to their other buckets: the
    /// shortest chain of moves that ends in a free slot, searched breadth first.
    fn make_room(&mut self, first: usize, second: usize) -> Option<(usize, usize)> {
        let mut steps = Vec::with_capacity(SEARCH_MAX);
        steps.extend([first, second].map(|bucket| Step { bucket, from: None }));
        let mut at = 0;
        while let Some(&Step { bucket, .. }) = steps.get(at) {
            for (slot, print) in self.bucket(bucket).prints.into_iter().enumerate() {
                let (one, other) = choices(print, self.buckets.len());
                let target = if one == bucket { other } else { one };
                if let Some(free) = self.bucket(target).free() {
                    return Some(self.shift(&steps, (at, slot), (target, free)));
                }
                // No bucket twice: there is nothing new in it, and so a chain plainly never meets itself.
                if steps.len() < SEARCH_MAX && steps.iter().all(|step| step.bucket != target) {
                    steps.push(Step { bucket: target, from: Some((at, slot)) });
                }
            }
            at += 1;
        }
        None
    }

    /// Moves the entries of a chain, the last one first. Each leaves its slot to the one before it,
    /// and the first one's slot, which this gives, is the new entry's.
    fn shift(&mut self, steps: &[Step], last: (usize, usize), free: (usize, usize)) -> (usize, usize) {
        let (mut from, mut free) = (Some(last), free);
        while let Some((step, slot)) = from {
            let Some(step) = steps.get(step) else { return free };
            let (print, word) = self.bucket(step.bucket).read(slot);
            self.bucket_mut(free.0).write(free.1, print, word);
            free = (step.bucket, slot);
            from = step.from;
        }
        free
    }

    fn grow(&mut self) {
        let count = self.buckets.len();
        self.grow_to(count + (count / 8).max(1));
    }

    fn grow_to(&mut self, mut count: usize) {
        loop {
            let mut grown = Partition::with_buckets(count);
            if self.iter().all(|(print, word)| grown.put(print, word)) {
                *self = grown;
                return;
            }
            count += (count / 8).max(1);
        }
    }

    #[expect(clippy::indexing_slicing, reason = "buckets come from `choices`, which knows their number")]
    fn bucket(&self, bucket: usize) -> &Bucket {
        &self.buckets[bucket]
    }

    #[expect(clippy::indexing_slicing, reason = "buckets come from `choices`, which knows their number")]
    fn bucket_mut(&mut self, bucket: usize) -> &mut Bucket {
        &mut self.buckets[bucket]
    }
}

impl Bucket {
    fn entries(&self) -> impl Iterator<Item = (u64, u64)> {
        let slots = self.prints.iter().copied().zip(self.places.iter().copied());
        slots.filter(|(_, place)| *place != 0)
    }

    fn slot_of(&self, print: u64) -> Option<usize> {
        self.prints.iter().zip(&self.places).position(|(other, place)| *other == print && *place != 0)
    }

    fn free(&self) -> Option<usize> {
        self.places.iter().position(|place| *place == 0)
    }

    #[expect(clippy::indexing_slicing, reason = "slots are positions in the same arrays")]
    fn read(&self, slot: usize) -> (u64, u64) {
        (self.prints[slot], self.places[slot])
    }

    #[expect(clippy::indexing_slicing, reason = "slots are positions in the same arrays")]
    fn write(&mut self, slot: usize, print: u64, word: u64) {
        self.prints[slot] = print;
        self.places[slot] = word;
    }
}

/// The two buckets of a fingerprint among `count`, which is 1 or more. They differ, but for a
/// single bucket.
fn choices(print: u64, count: usize) -> (usize, usize) {
    let pick = |hash: u64, count: usize| ((u128::from(hash) * count as u128) >> 64) as usize;
    let hash = mix(print);
    let first = pick(hash, count);
    // A second hash of its own, counted from behind the first.
    let second = first + 1 + pick(mix(hash ^ SECOND), count - 1);
    (first, if second < count { second } else { second - count })
}

/// Arbitrary, and odd: the golden ratio's digits.
const SECOND: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit of the input changes every
/// bit of the output with probability one half. Part of the format: a checkpoint's entries lie
/// where it says.
fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

fn decode_entry(octets: &[u8; ENTRY]) -> Result<(u64, u64), InvalidPartition> {
    let (print, word) = octets.split_at(ENTRY / 2);
    let word_of = |octets: &[u8]| octets.try_into().map(u64::from_le_bytes).or(Err(InvalidPartition));
    let word: u64 = word_of(word)?;
    if word & u64::from(Place::LIVE) == 0 {
        return Err(InvalidPartition);
    }
    Ok((word_of(print)?, word & !u64::from(Place::VERIFIED)))
}
