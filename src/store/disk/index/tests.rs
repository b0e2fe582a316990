//! The index against a map that is plainly right, its growth, its memory and its checkpoint form.

use std::collections::HashMap;

use super::{Changes, Index, InvalidPartition, PARTITIONS, Place};

/// SplitMix64: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn key(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    fn place(&mut self) -> Place {
        Place {
            slot: self.below(1 << 20) as u32,
            offset: self.below(1 << 18) as u32,
            length_max: (self.below(1024) << self.below(10)) as u32,
            frequency: self.below(8) as u8,
            flags: Place::LIVE | (self.below(4) as u8) << 1,
        }
    }
}

fn at(slot: u32, offset: u32) -> Place {
    Place { slot, offset, length_max: 256, frequency: 0, flags: Place::LIVE }
}

/// What a partition and a fingerprint tell of a key.
fn short(key: u128) -> (u8, u64) {
    ((key >> 120) as u8, key as u64)
}

fn all(index: &Index) -> HashMap<(u8, u64), Place> {
    let mut all = HashMap::new();
    index.for_each(|partition, print, place| {
        assert_eq!(all.insert((partition, print), place), None, "an entry that is there twice");
    });
    assert_eq!(all.len() as u64, index.entries());
    all
}

#[test]
fn two_hundred_thousand_keys_take_twenty_octets_each() {
    let mut numbers = Numbers(1);
    let index = Index::new();
    let empty = index.memory_bytes();
    let mut known = HashMap::new();
    for count in 1..=200_000 {
        let (key, place) = (numbers.key(), numbers.place());
        assert_eq!(index.set(key, place), None);
        known.insert(key, place);
        // At every size, not only where the tables happen to be full.
        if count > 50_000 && count % 5_000 == 0 {
            let bytes = index.memory_bytes() - empty;
            assert!((count * 16..=count * 20).contains(&bytes), "{bytes} octets for {count} entries");
        }
    }
    for (key, place) in &known {
        assert_eq!(index.find(*key), Some(*place));
    }
    assert_eq!(all(&index), known.iter().map(|(key, place)| (short(*key), *place)).collect());
    assert!((256..=8 * 1024 + 100).contains(&empty), "{empty} octets for nothing");
    // A partition's checkpoint begins with its number of buckets, of 128 octets each.
    let buckets = |number| u32::from_le_bytes(*index.partition(number).first_chunk().expect("a count"));
    let tables = (0..=u8::MAX).map(|number| u64::from(buckets(number)) * 128).sum::<u64>();
    assert_eq!(index.memory_bytes(), empty + tables);
}

#[test]
fn a_table_is_nearly_full_before_it_grows() {
    let mut numbers = Numbers(2);
    grow_to_forty_thousand(|_| numbers.next());
    // Fingerprints that differ in few bits do as well.
    grow_to_forty_thousand(|n| n);
    grow_to_forty_thousand(|n| n << 48);
}

/// Fills one partition, so that its growth is seen.
fn grow_to_forty_thousand(mut fingerprint: impl FnMut(u64) -> u64) {
    let index = Index::new();
    let (mut entries, mut size) = (0, index.memory_bytes());
    for n in 0..40_000 {
        assert_eq!(index.set(u128::from(fingerprint(n)), at(1, 1)), None);
        let grown = index.memory_bytes();
        if grown > size && entries >= 1_000 {
            let slots = (size - Index::new().memory_bytes()) / 16;
            let load = entries as f64 / slots as f64;
            assert!(load > 0.95, "grew at a load of {load:.3} with {entries} entries");
            assert!((grown - size) * 8 <= size, "grew from {size} to {grown}");
        }
        (entries, size) = (entries + 1, grown);
    }
}

#[test]
fn random_operations_do_what_a_map_does() {
    let mut numbers = Numbers(3);
    // Few partitions, so that they are large, and few keys, so that they are met again. Many are
    // numbers in a row: buckets must not rely on keys that are random.
    let keys: Vec<u128> =
        (0..4_000u32).map(|n| u128::from(n % 3) << 120 | u128::from(n)).chain([0, u128::MAX]).collect();
    let index = Index::new();
    let mut known: HashMap<(u8, u64), Place> = HashMap::new();
    for round in 0..400_000u32 {
        let key = keys[numbers.below(keys.len() as u64) as usize];
        let (place, before) = (numbers.place(), known.get(&short(key)).copied());
        // The place as it is, or one that it is not.
        let guess = before.filter(|_| round % 2 == 0).unwrap_or(place);
        let is_right = before.is_some_and(|before| before.is_at(guess.slot, guess.offset));
        match numbers.below(8) {
            0 | 1 => {
                assert_eq!(index.set(key, place), before);
                known.insert(short(key), place);
            }
            2 => {
                assert_eq!(index.replace_if(key, &guess, place), is_right);
                known.entry(short(key)).and_modify(|known| *known = if is_right { place } else { *known });
            }
            3 => {
                let touched = before.map(|place| Place { frequency: (place.frequency + 1).min(7), ..place });
                assert_eq!(index.touch(key), touched);
                known.extend(touched.map(|place| (short(key), place)));
            }
            4 => {
                assert_eq!(index.remove(key), before.is_some());
                known.remove(&short(key));
            }
            5 => {
                assert_eq!(index.remove_if(key, guess.slot, guess.offset), is_right);
                known.retain(|known, _| *known != short(key) || !is_right);
            }
            6 => {
                assert_eq!(index.mark_verified(key, guess.slot, guess.offset), is_right);
                known.entry(short(key)).and_modify(|place| {
                    place.flags |= if is_right { Place::VERIFIED } else { 0 };
                });
            }
            _ => assert_eq!(index.find(key), before),
        }
        if round % 40_000 == 0 {
            assert_eq!(all(&index), known);
        }
    }
    assert_eq!(all(&index), known);
}

#[test]
fn a_checkpoint_brings_everything_back_but_that_it_was_verified() {
    let mut numbers = Numbers(4);
    let index = Index::new();
    let keys: Vec<u128> = (0..60_000).map(|_| numbers.key()).collect();
    for key in &keys {
        index.set(*key, numbers.place());
    }
    // One partition is sparse, one is empty.
    for key in &keys {
        if key >> 120 == 7 && key & 15 != 0 || key >> 120 == 8 {
            index.remove(*key);
        }
    }
    let loaded = Index::new();
    // What was there goes.
    loaded.set(8 << 120, at(1, 1));
    for number in 0..=u8::MAX {
        assert_eq!(loaded.load_partition(number, &index.partition(number)), Ok(()));
    }
    let expected = all(&index).into_iter().map(|(key, place)| {
        let flags = place.flags & !Place::VERIFIED;
        (key, Place { flags, ..place })
    });
    assert_eq!(all(&loaded), expected.collect());
    assert!(all(&loaded).values().all(|place| !place.has(Place::VERIFIED)));
    for key in &keys {
        assert_eq!(loaded.find(*key).is_some(), index.find(*key).is_some());
        loaded.set(*key, at(2, 2));
        assert_eq!(loaded.find(*key), Some(at(2, 2)));
    }
}

#[test]
fn a_sparse_partition_is_packed_when_it_is_loaded() {
    let index = Index::new();
    let mut numbers = Numbers(5);
    let keys: Vec<u128> = (0..10_000).map(|_| numbers.key() >> 8).collect();
    for key in &keys {
        index.set(*key, at(1, 1));
    }
    assert!(keys.iter().skip(100).all(|key| index.remove(*key)));
    let loaded = Index::new();
    loaded.load_partition(0, &index.partition(0)).expect("its own form");
    let bytes = loaded.memory_bytes() - Index::new().memory_bytes();
    assert!(bytes < 100 * 24, "{bytes} octets");
    assert!(keys.iter().take(100).all(|key| loaded.find(*key) == Some(at(1, 1))));
}

#[test]
fn damaged_partitions_are_refused_and_change_nothing() {
    let index = Index::new();
    let mut numbers = Numbers(6);
    for _ in 0..20 {
        index.set(numbers.key() >> 8, numbers.place());
    }
    let octets = index.partition(0);
    let before = all(&index);
    for end in 0..octets.len() {
        assert_eq!(index.load_partition(0, &octets[..end]), Err(InvalidPartition), "cut at {end}");
    }
    let with = |at: usize, octet: u8| {
        let mut octets = octets.clone();
        octets[at] = octet;
        octets
    };
    let buckets = usize::from(octets[0]);
    let first = 8 + buckets;
    let twice = {
        let mut octets = octets.clone();
        octets.copy_within(first..first + 16, first + 16);
        octets
    };
    let refused = [
        ("more buckets", with(0, octets[0] + 1)),
        ("very many buckets", with(3, 255)),
        ("more entries", with(4, 21)),
        ("a bucket with too many", with(8, 255)),
        ("an octet too many", [&octets[..], &[0]].concat()),
        ("a dead entry", with(first + 8, octets[first + 8] & !Place::LIVE)),
        ("an entry twice", twice),
    ];
    for (what, octets) in refused {
        assert_eq!(index.load_partition(0, &octets), Err(InvalidPartition), "{what}");
    }
    assert_eq!(all(&index), before);
    // Any octet may be any other: refused, or taken for what it says.
    for (at, right) in octets.iter().enumerate() {
        for octet in [0, 1, 7, 0x80, 0xff, right ^ 1] {
            let index = Index::new();
            if index.load_partition(0, &with(at, octet)).is_ok() {
                assert_eq!(all(&index).len(), 20);
            }
        }
    }
}

#[test]
fn an_entry_in_a_bucket_that_is_not_its_own_is_refused() {
    // 200 entries have about 26 buckets: the whole row of counts, shifted by one, misplaces most.
    let index = Index::new();
    let mut numbers = Numbers(7);
    for _ in 0..200 {
        index.set(numbers.key() >> 8, numbers.place());
    }
    let mut octets = index.partition(0);
    let buckets = usize::from(octets[0]);
    octets[8..8 + buckets].rotate_left(1);
    assert_eq!(index.load_partition(0, &octets), Err(InvalidPartition));
}

#[test]
fn partitions_are_those_of_the_top_octet() {
    let index = Index::new();
    for number in 0..PARTITIONS as u128 {
        index.set(number << 120 | 5, at(number as u32, 1));
    }
    index.for_each(|partition, print, place| {
        assert_eq!((u32::from(partition), print), (place.slot, 5));
        assert_eq!(index.find(u128::from(partition) << 120 | 5), Some(place), "usable within for_each");
    });
}

#[test]
fn changes_at_once_are_the_changes_one_by_one() {
    let mut numbers = Numbers(7);
    let keys: Vec<u128> = (0..7_000).map(|_| numbers.key()).collect();
    let (once, each) = (Index::new(), Index::new());
    let mut changes = Changes::default();
    for round in 0..3 {
        // Many keys are set again and some are forgotten, in every order.
        for _ in 0..20_000 {
            let key = keys[numbers.below(7_000) as usize];
            if numbers.below(11) == 0 {
                each.remove(key);
                changes.push(key, None);
            } else {
                let place = at(round, numbers.below(1 << 18) as u32);
                each.set(key, place);
                changes.push(key, Some(place));
            }
        }
        assert_eq!(changes.count(), 20_000);
        once.apply(&mut changes);
        assert_eq!(changes.count(), 0);
        assert_eq!(once.entries(), each.entries());
        assert!(keys.iter().all(|key| once.find(*key) == each.find(*key)), "{round}");
    }
}
