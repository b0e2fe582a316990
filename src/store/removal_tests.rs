//! One response is replaced or removed by an exchange that has held it for a while: whatever became of
//! it meanwhile, the same response is meant, and nothing newer is lost.

use std::sync::Arc;

use bytes::Bytes;

use super::kill_tests::number_in;
use super::set_tests::uri;
use super::slow_tests::SlowDisk;
use super::*;

const KEY: u64 = 1;

/// What becomes of a response while an exchange holds it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meanwhile {
    Nothing,
    Freshened,
    Replaced,
}

/// Where it, or what has taken its place, is after that.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    InMemory,
    Evicted,
    Reloaded,
}

/// The number in the content, and that in the head.
type Seen = Option<(u64, u64)>;

/// The same response with a later head, which says so.
fn freshened(store: &Store, old: &Object, number: u64) -> Arc<Object> {
    let parts = old.head.to_parts();
    let fields = [("Cache-Control", "max-age=600".to_owned()), ("X-Number", number.to_string())];
    let fields = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let head = StoredHead::from_parts(crate::caching::StoredParts { fields, ..parts });
    Arc::new(Object {
        head,
        rendered: Bytes::new(),
        content: old.content.clone(),
        origin: old.origin,
        received: old.received,
        generation: old.generation,
        head_generation: store.generation(store.key(&uri(KEY))).seq(),
    })
}

async fn seen(store: &Store) -> Seen {
    let variants = store.look_up(store.key(&uri(KEY))).await?;
    let number = variants[0].head.fields.all_named(b"X-Number").next();
    let number = number.map_or(0, |text| String::from_utf8_lossy(text).parse().expect("a number"));
    Some((number_in(&variants[0]), number))
}

fn evict(store: &Store) {
    store.tiers.memory.retain(|_uri, _object| true);
}

/// What is there after `change` was made of the response, from memory, from disk, and after a kill.
async fn changed(
    (is_fresh, meanwhile, then): (bool, Meanwhile, Then),
    is_slow: bool,
    is_removal: bool,
) -> [Seen; 3] {
    let disk = SlowDisk::new(1 << 20);
    let store = &disk.store;
    let key = uri(KEY);
    let key = store.key(&key);
    disk.put(&[KEY], 7);
    disk.catch_up();
    let mut held = store.variants(key).expect("just stored")[0].clone();
    if is_fresh {
        store.replace(key, &held, freshened(store, &held, 1)).await;
        held = store.variants(key).expect("just stored")[0].clone();
        disk.catch_up();
    }
    if is_slow {
        disk.stand_still();
    }
    match meanwhile {
        Meanwhile::Nothing => {}
        Meanwhile::Freshened => store.replace(key, &held, freshened(store, &held, 9)).await,
        Meanwhile::Replaced => disk.put(&[KEY], 8),
    }
    if then != Then::InMemory {
        if !is_slow {
            disk.catch_up();
        }
        evict(store);
    }
    if then == Then::Reloaded {
        let found = store.look_up(key).await.expect("it is on disk");
        assert!(!Arc::ptr_eq(&found[0], &held), "it was loaded");
    }
    let change = async {
        match is_removal {
            true => store.remove(key, &held).await,
            false => store.replace(key, &held, freshened(store, &held, 2)).await,
        }
    };
    tokio::join!(change, async { disk.go_on() });
    // A slow disk counts nothing as late here, and what was answered is written.
    let killed = disk.reopened_after_kill();
    let after_kill = if is_removal { seen(&killed.1).await } else { None };
    disk.catch_up();
    let from_memory = seen(store).await;
    evict(store);
    let from_disk = seen(store).await;
    let killed = disk.reopened_after_kill();
    let in_the_end = seen(&killed.1).await;
    assert!(!is_removal || after_kill == in_the_end || meanwhile == Meanwhile::Freshened, "{after_kill:?}");
    [from_memory, from_disk, in_the_end]
}

#[tokio::test]
async fn a_change_meets_the_response_that_is_meant_wherever_it_is_and_no_newer_one() {
    let happens = [Meanwhile::Nothing, Meanwhile::Freshened, Meanwhile::Replaced];
    let places = [Then::InMemory, Then::Evicted, Then::Reloaded];
    let cases = happens.into_iter().flat_map(|meanwhile| places.map(|then| (meanwhile, then)));
    for (meanwhile, then) in cases {
        for number in 0..8 {
            let (is_fresh, is_slow, is_removal) = (number & 4 != 0, number & 2 != 0, number & 1 != 0);
            // A look-up does not find what is on its way yet.
            if is_slow && then == Then::Reloaded {
                continue;
            }
            let expected = match meanwhile {
                Meanwhile::Nothing if is_removal => None,
                Meanwhile::Nothing => Some((7, 2)),
                Meanwhile::Freshened => Some((7, 9)),
                Meanwhile::Replaced => Some((8, 0)),
            };
            let found = changed((is_fresh, meanwhile, then), is_slow, is_removal).await;
            let case =
                format!("{meanwhile:?}, {then:?}: fresh {is_fresh}, slow {is_slow}, removal {is_removal}");
            assert_eq!(found, [expected; 3], "{case}");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "no time is asserted: another thread gets its chance to be wrong"
)]
#[tokio::test]
async fn a_look_at_the_disk_waits_for_a_response_that_is_in_memory_and_not_queued_yet() {
    let disk = Arc::new(SlowDisk::new(1 << 20));
    let store = &disk.store;
    let key = uri(KEY);
    let key = store.key(&key);
    disk.put(&[KEY], 7);
    disk.catch_up();
    let old = store.variants(key).expect("just stored")[0].clone();
    // The steps of an insertion, one by one, and an eviction after the first.
    let order = store.tiers.lock_order(key.hash);
    let asked = store.generation(key);
    let new = Object {
        head: old.head.clone(),
        content: StoredContent::new(vec![Bytes::from_static(b"8")]),
        rendered: Bytes::new(),
        generation: asked.seq(),
        head_generation: asked.seq(),
        ..*old
    };
    store.tiers.memory.change(key, |_stored| vec![Arc::new(new)]);
    evict(store);
    let looking = {
        let disk = disk.clone();
        let runtime = tokio::runtime::Handle::current();
        std::thread::spawn(move || {
            let uri = uri(KEY);
            let found = runtime.block_on(disk.store.load(disk.store.key(&uri)));
            found.map(|variants| number_in(&variants[0]))
        })
    };
    // Long enough for one that does not wait.
    std::thread::sleep(std::time::Duration::from_millis(50));
    store.tiers.tier(key.hash).expect("a disk").forget(key);
    drop(order);
    let found = tokio::task::spawn_blocking(|| looking.join().expect("it ends")).await.expect("it ends");
    assert_eq!(found, None, "what was replaced has not come back");
}

#[tokio::test]
async fn a_response_goes_to_memory_and_to_the_disk_in_one_step() {
    let disk = SlowDisk::new(1 << 20);
    let store = &disk.store;
    let key = uri(KEY);
    let key = store.key(&key);
    disk.put(&[KEY], 7);
    let old = store.variants(key).expect("just stored")[0].clone();
    let asked = store.generation(key);
    let is_locked = std::cell::Cell::new(false);
    let object = Arc::into_inner(freshened(store, &old, 8)).expect("its own");
    store.insert(key, object, asked, |_old| {
        is_locked.set(store.tiers.order.iter().any(|order| order.try_lock().is_err()));
        true
    });
    assert!(is_locked.get(), "nobody looks at the disk between the two");
}
