//! Keys that were evicted not long ago: who asks for one of them again wants it on disk.
//!
//! A table of 16-bit tags in sets of four, one word a set; within a set the oldest tag gives way.
//! So a key is remembered until about as many others were noted as the table has tags: half of
//! the keys are still known then, fewer later. A key that was never noted is found by mistake in
//! one of 16,384 questions at most (four tags of 65,535 values): it costs a write that was not
//! worth it, never a wrong answer.
//!
//! Invariant: bounded. Two octets for each key of its capacity, and it never holds a key itself.

use crate::store::sync::atomic::{AtomicU64, Ordering};
use crate::store::sync::{PoisonError, RwLock, RwLockReadGuard};

/// The least capacity, in keys: 8 KiB. Arbitrary.
pub const CAPACITY_MIN: u64 = 4096;

/// Tags of one set, 16 bits each: a word.
const WAYS: u64 = 4;

/// What was evicted not long ago.
#[derive(Debug)]
pub struct Ghost {
    /// Behind a lock only so that it can grow; notes and questions share it.
    sets: RwLock<Box<[AtomicU64]>>,
}

impl Ghost {
    /// A memory of about `capacity` keys, and of [`CAPACITY_MIN`] at least.
    pub fn new(capacity: u64) -> Ghost {
        let sets = capacity.max(CAPACITY_MIN).div_ceil(WAYS);
        Ghost { sets: RwLock::new((0..sets).map(|_| AtomicU64::new(0)).collect()) }
    }

    /// Notes that a key was evicted.
    pub fn note(&self, key: u128) {
        let sets = self.read();
        let (set, tag) = place(key, sets.len());
        if let Some(set) = sets.get(set) {
            // Without the tag itself, so that a key takes one place only.
            update(set, |tags| without(tags, tag) << 16 | tag);
        }
    }

    /// Whether a key was evicted not long ago; it is forgotten by that.
    pub fn take(&self, key: u128) -> bool {
        let sets = self.read();
        let (set, tag) = place(key, sets.len());
        let Some(set) = sets.get(set) else { return false };
        let before = update(set, |tags| without(tags, tag));
        before != without(before, tag)
    }

    /// Keys that it has room for.
    pub fn capacity(&self) -> u64 {
        self.read().len() as u64 * WAYS
    }

    /// Doubles the capacity as often as it fits into `keys`, the entries of the index say. What
    /// was noted stays. It never shrinks.
    pub fn grow(&self, keys: u64) {
        if self.capacity() > keys / 2 {
            return;
        }
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        while sets.len() as u64 * WAYS <= keys / 2 {
            // A set's keys belong to one of two now. Both get all its tags: those that belong to
            // the other are never asked for, but by mistake, and leave as the oldest.
            let double = |set: &AtomicU64| {
                let tags = set.load(Ordering::Relaxed);
                [AtomicU64::new(tags), AtomicU64::new(tags)]
            };
            *sets = sets.iter().flat_map(double).collect();
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Box<[AtomicU64]>> {
        self.sets.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The set of a key, and its tag in it, which is never zero: that is a free place.
fn place(key: u128, sets: usize) -> (usize, u64) {
    let set = (u128::from(key as u64) * sets as u128) >> 64;
    // Below `sets`, which is a usize.
    (set as usize, (key >> 64) as u64 % 0xffff + 1)
}

/// The tags of a set without one: the older ones move up.
fn without(tags: u64, tag: u64) -> u64 {
    let others = (0..WAYS).rev().map(|way| tags >> (16 * way) & 0xffff).filter(|other| *other != tag);
    others.fold(0, |tags, other| tags << 16 | other)
}

/// Changes a set; gives what it was.
fn update(set: &AtomicU64, change: impl Fn(u64) -> u64) -> u64 {
    // Each word stands for itself alone, so that no order between words is needed.
    let change = |tags| Some(change(tags));
    set.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).unwrap_or_else(|tags| tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key with this number: hashed, as keys are.
    fn key(number: u64) -> u128 {
        let mut state = u128::from(number);
        for _ in 0..4 {
            state = (state ^ state >> 47).wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645);
        }
        state
    }

    #[test]
    fn what_was_noted_is_known_once() {
        let ghost = Ghost::new(0);
        assert!(!ghost.take(key(1)));
        ghost.note(key(1));
        ghost.note(key(1));
        ghost.note(key(2));
        assert!(ghost.take(key(1)));
        assert!(!ghost.take(key(1)));
        assert!(ghost.take(key(2)));
    }

    #[test]
    fn the_oldest_of_a_set_gives_way() {
        let ghost = Ghost::new(0);
        // The same set, and tags in a row.
        let [a, b, c, d, e, f] = [1u128, 2, 3, 4, 5, 6].map(|tag| tag << 64 | 77);
        let noted = |keys: &[u128], ghost: &Ghost| keys.iter().for_each(|key| ghost.note(*key));
        noted(&[a, b, c, d, e, f], &ghost);
        assert_eq!([a, b, c, d, e, f].map(|key| ghost.take(key)), [false, false, true, true, true, true]);
        // Who is noted again takes no second place,
        noted(&[a, c, b, c, d], &ghost);
        assert_eq!([a, b, c, d].map(|key| ghost.take(key)), [true; 4]);
        // and is not the oldest any more.
        noted(&[c, a, b, d, c, e], &ghost);
        assert_eq!([a, b, c, d, e].map(|key| ghost.take(key)), [false, true, true, true, true]);
    }

    #[test]
    fn it_remembers_about_its_capacity() {
        let ghost = Ghost::new(100_000);
        assert_eq!(ghost.capacity(), 100_000);
        (0..300_000).for_each(|number| ghost.note(key(number)));
        let known = |numbers: std::ops::Range<u64>| {
            numbers.clone().filter(|number| ghost.take(key(*number))).count() as f64
                / (numbers.end - numbers.start) as f64
        };
        // Of those after which 25,000, 50,000 and 100,000 others came; four a set, at random.
        let (young, half, whole) =
            (known(274_000..275_000), known(249_000..250_000), known(199_000..200_000));
        assert!(young > 0.95 && half > 0.8 && (0.35..0.55).contains(&whole), "{young} {half} {whole}");
        let old = known(0..50_000);
        assert!(old < 0.06, "{old}");
    }

    #[test]
    fn few_that_were_never_noted_are_known() {
        let ghost = Ghost::new(20_000);
        (0..200_000).for_each(|number| ghost.note(key(number)));
        let wrong = (1_000_000..2_000_000).filter(|number| ghost.take(key(*number))).count();
        // 61 of a million by the header's reckoning, a little less since each takes a tag away.
        assert!((30..90).contains(&wrong), "{wrong}");
    }

    #[test]
    fn growing_loses_nothing_and_stays_within_two_octets_a_key() {
        let ghost = Ghost::new(0);
        // So few that no set has more than four of them.
        (0..200).for_each(|number| ghost.note(key(number)));
        let mut most = CAPACITY_MIN;
        for keys in [0, 8_191, 8_192, 100_000, 1_000_000, 10] {
            ghost.grow(keys);
            most = keys.max(most);
            let octets = ghost.read().len() as u64 * 8;
            assert!(octets <= most * 2, "{octets} octets for {most} keys");
            assert!(ghost.capacity() > keys / 2, "{keys}");
        }
        assert_eq!(ghost.capacity(), 4096 << 7);
        assert!((0..200).all(|number| ghost.take(key(number))));
    }
}
