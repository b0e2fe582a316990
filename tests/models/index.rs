//! The index: each operation is one step, whatever else happens in its partition.
//!
//! All keys of a model lie in one partition, which starts empty and grows under way. A place tells
//! which key and which version it was written for (its offset), so that an entry of another key,
//! or an older one, is seen for what it is.

use larder::store::disk::index::{Index, Place};
use shuttle::sync::Arc;
use shuttle::thread::{self, JoinHandle};

use super::explore;

const VERSIONS: u32 = 3;
/// What reclaim adds to the slot of what it copies.
const COPIED: u32 = 100;

/// The key with this number, all in one partition.
fn key(number: u32) -> u128 {
    u128::from(number)
}

fn place(number: u32, version: u32) -> Place {
    Place { slot: 1, offset: number << 8 | version, length_max: 256, frequency: 0, flags: Place::LIVE }
}

fn version(number: u32, place: &Place) -> u32 {
    assert_eq!(place.offset >> 8, number, "an entry of another key");
    place.offset & 0xff
}

fn spawn<T: Send + 'static>(
    index: &Arc<Index>,
    run: impl FnOnce(&Index) -> T + Send + 'static,
) -> JoinHandle<T> {
    let index = index.clone();
    thread::spawn(move || run(&index))
}

fn joined<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
}

/// Writes the first key again and again.
fn set_all(index: &Index, first: u32) {
    for version in first..=VERSIONS {
        index.set(key(0), place(0, version));
    }
}

/// Sets keys that stand in nobody's way but in the table: it grows at the ninth.
fn crowd(index: &Index, numbers: std::ops::Range<u32>) {
    for number in numbers {
        assert_eq!(index.set(key(number), place(number, 1)), None);
    }
}

#[test]
fn no_entry_is_lost_while_a_partition_grows() {
    explore(|| {
        let index = Arc::new(Index::new());
        let threads = [0, 10, 20].map(|first| spawn(&index, move |index| crowd(index, first..first + 7)));
        joined(threads);
        for number in [0, 10, 20].into_iter().flat_map(|first| first..first + 7) {
            assert_eq!(index.find(key(number)), Some(place(number, 1)));
        }
        assert_eq!(index.partition(0).len(), 8 + (index.partition(0)[0] as usize) + 21 * 16);
    });
}

#[test]
fn two_first_writes_make_one_entry() {
    explore(|| {
        let index = Arc::new(Index::new());
        let writes = [1, 2].map(|version| spawn(&index, move |index| index.set(key(0), place(0, version))));
        let before = joined(writes.into_iter().chain([spawn(&index, |index| {
            crowd(index, 10..19);
            None
        })]));
        // One was first, and the other one has replaced it.
        let replaced: Vec<u32> = before.iter().flatten().map(|place| version(0, place)).collect();
        let last = index.find(key(0)).map(|place| version(0, &place));
        assert!(
            replaced == [1] && last == Some(2) || replaced == [2] && last == Some(1),
            "{before:?} {last:?}"
        );
        assert!(index.remove(key(0)) && index.find(key(0)).is_none(), "it was there twice");
    });
}

#[test]
fn a_copy_never_beats_what_was_written_since() {
    explore(|| {
        let index = Arc::new(Index::new());
        index.set(key(0), place(0, 0));
        let writer = spawn(&index, |index| set_all(index, 1));
        let reclaim = spawn(&index, |index| {
            for _ in 0..VERSIONS {
                let old = index.find(key(0)).expect("nobody removes it");
                let copy = Place { slot: old.slot + COPIED, ..old };
                index.replace_if(key(0), &old, copy);
            }
        });
        let crowd = spawn(&index, |index| crowd(index, 10..20));
        joined([writer, reclaim, crowd]);
        let last = index.find(key(0)).expect("nobody removes it");
        assert_eq!(version(0, &last), VERSIONS, "an older version came back: {last:?}");
    });
}

#[test]
fn one_of_two_copies_wins() {
    explore(|| {
        let index = Arc::new(Index::new());
        let old = place(0, 1);
        index.set(key(0), old);
        let copy = move |slot: u32| Place { slot, ..old };
        let copies = [2, 3].map(|slot| {
            spawn(&index, move |index| index.replace_if(key(0), &old, copy(slot)).then_some(slot))
        });
        let won: Vec<u32> = joined(copies).into_iter().flatten().collect();
        assert_eq!(won.len(), 1, "{won:?} replaced the same place");
        assert_eq!(index.find(key(0)), Some(copy(won[0])));
    });
}

#[test]
fn eviction_removes_what_it_saw_and_nothing_newer() {
    explore(|| {
        let index = Arc::new(Index::new());
        index.set(key(0), place(0, 0));
        let writer = spawn(&index, |index| {
            set_all(index, 1);
            Vec::new()
        });
        let evict = |index: &Index| {
            let mut removed = Vec::new();
            for _ in 0..2 {
                let Some(old) = index.find(key(0)) else { continue };
                if index.remove_if(key(0), old.slot, old.offset) {
                    removed.push(version(0, &old));
                }
            }
            removed
        };
        let mut removed = joined([writer, spawn(&index, evict), spawn(&index, evict)]).concat();
        let is_there = index.find(key(0)).is_some_and(|last| version(0, &last) == VERSIONS);
        // What was written last is there, or was itself removed, once.
        assert_ne!(is_there, removed.contains(&VERSIONS), "{removed:?}");
        let count = removed.len();
        removed.sort_unstable();
        removed.dedup();
        assert_eq!(removed.len(), count, "one place was removed twice");
    });
}

#[test]
fn every_use_is_counted_and_nothing_that_was_noted_is_lost() {
    explore(|| {
        let index = Arc::new(Index::new());
        index.set(key(0), place(0, 1));
        let touch = |index: &Index| {
            for _ in 0..3 {
                let found = index.touch(key(0)).expect("nobody removes it");
                assert_eq!(version(0, &found), 1);
            }
        };
        let noted = |index: &Index| {
            assert!(index.mark_verified(key(0), 1, place(0, 1).offset));
            assert!(!index.mark_verified(key(0), 2, place(0, 1).offset));
        };
        let crowd = |index: &Index| crowd(index, 10..18);
        joined([spawn(&index, touch), spawn(&index, touch), spawn(&index, noted), spawn(&index, crowd)]);
        let found = index.find(key(0)).expect("nobody removes it");
        assert_eq!((found.frequency, found.has(Place::VERIFIED)), (6, true));
    });
}

#[test]
fn a_removed_key_stays_away_and_its_neighbours_stay() {
    explore(|| {
        let index = Arc::new(Index::new());
        crowd(&index, 0..4);
        let remove = |index: &Index| {
            assert!(index.remove(key(0)));
            assert!(!index.remove(key(0)));
            assert_eq!(index.find(key(0)), None);
        };
        let crowded = |index: &Index| crowd(index, 10..18);
        // What reclaim or a reader does to a key that is gone brings nothing back.
        let late = |index: &Index| {
            let old = place(0, 1);
            index.replace_if(key(0), &old, Place { slot: COPIED, ..old });
            index.touch(key(0));
            index.mark_verified(key(0), 1, old.offset);
        };
        joined([spawn(&index, remove), spawn(&index, crowded), spawn(&index, late)]);
        assert_eq!(index.find(key(0)), None);
        for number in (1..4).chain(10..18) {
            assert_eq!(index.find(key(number)), Some(place(number, 1)));
        }
    });
}

#[test]
fn a_checkpoint_is_whole_at_any_time() {
    explore(|| {
        let index = Arc::new(Index::new());
        crowd(&index, 0..4);
        let crowded = spawn(&index, |index| crowd(index, 10..20));
        let changed = spawn(&index, |index| set_all(index, 2));
        let copy = spawn(&index, |index| {
            let copy = Index::new();
            copy.load_partition(0, &index.partition(0)).expect("a partition");
            for number in 0..4 {
                let found = copy.find(key(number)).expect("it was there all the time");
                assert!((1..=VERSIONS).contains(&version(number, &found)));
            }
        });
        joined([crowded, changed, copy]);
    });
}
