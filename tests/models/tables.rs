//! The ghost and the table of purges, which all workers ask.

use larder::store::disk::ghost::Ghost;
use larder::store::disk::purges::{PurgeScope, PurgeTarget, Purges};
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread;

use super::explore;

#[test]
fn an_evicted_key_is_taken_by_one() {
    explore(|| {
        let ghost = Arc::new(Ghost::new(0));
        // One set, and another tag that comes into it meanwhile.
        let (known, other) = (1u128 << 64, 2u128 << 64);
        ghost.note(known);
        let take = |ghost: Arc<Ghost>| thread::spawn(move || ghost.take(known));
        let takes = [take(ghost.clone()), take(ghost.clone())];
        let noting = ghost.clone();
        let note = thread::spawn(move || noting.note(other));
        let taken = takes.map(|take| take.join().expect("no panic"));
        note.join().expect("no panic");
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
        assert!(ghost.take(other));
    });
}

#[test]
fn what_is_noted_while_the_ghost_grows_is_known() {
    explore(|| {
        // The least there is takes a thousand atomics, each a point to switch at: few keys only.
        let ghost = Arc::new(Ghost::new(0));
        let growing = ghost.clone();
        let grow = thread::spawn(move || growing.grow(8_192));
        let noting = ghost.clone();
        let note = thread::spawn(move || noting.note(7 << 64));
        grow.join().expect("no panic");
        note.join().expect("no panic");
        assert!(ghost.take(7 << 64));
        assert_eq!(ghost.capacity(), 8_192);
    });
}

#[test]
fn a_purge_is_in_effect_when_it_was_issued() {
    explore(|| {
        let purges = Arc::new(Purges::new());
        // The highest generation that is known to be purged.
        let issued = Arc::new(AtomicU64::new(0));
        let (merging, telling) = (purges.clone(), issued.clone());
        let issue = thread::spawn(move || {
            for seq in [10, 20] {
                merging.merge(PurgeScope::Host("a.example".to_owned()), seq).expect("room");
                telling.store(seq, Ordering::SeqCst);
            }
        });
        let others = purges.clone();
        let others = thread::spawn(move || {
            others.merge(PurgeScope::Prefix("http://b.example/".to_owned()), 5).expect("room");
            others.retire(5);
            others.merge(PurgeScope::All, 7).expect("room");
        });
        for _ in 0..3 {
            let seq = issued.load(Ordering::SeqCst);
            let target =
                PurgeTarget { host: "a.example", uri: &|| "http://a.example/".to_owned(), tags: &[] };
            assert!(seq == 0 || purges.is_purged(seq - 1, &target), "{seq} is forgotten");
            assert!(!purges.is_purged(20, &target));
        }
        issue.join().expect("no panic");
        others.join().expect("no panic");
        assert_eq!(purges.latest(), 20);
    });
}
