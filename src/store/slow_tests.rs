//! A disk that is behind: what was removed is gone at once, and nobody waits for it without an end. The
//! disk stands still for as long as a test wants it to, and time is the test's own.

use std::future::Future;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::disk::faulty::{Faulty, Operation};
use super::disk::files::{Files, SystemFiles};
use super::disk::{DiskSettings, set};
use super::kill_tests::{copied, found_of_one};
use super::set_tests::{Folders, store_one, store_some, uri};
use super::*;
use crate::clock::Clock;
use crate::http::Timestamp;

const SETTINGS: DiskSettings = DiskSettings { size: 4 << 20, segment_size: 1 << 20 };

/// What the thread that writes waits for in front of each write.
#[derive(Default)]
struct Gate {
    is_shut: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let is_shut = self.is_shut.lock().unwrap_or_else(PoisonError::into_inner);
        let _passed = self.opened.wait_while(is_shut, |is_shut| *is_shut);
    }

    fn set_shut(&self, is_shut: bool) {
        *self.is_shut.lock().unwrap_or_else(PoisonError::into_inner) = is_shut;
        self.opened.notify_all();
    }
}

/// A store on a disk that can be made to stand still.
pub(super) struct SlowDisk {
    _folders: Folders,
    folder: PathBuf,
    gate: Arc<Gate>,
    clock: Clock,
    pub store: Store,
}

impl SlowDisk {
    /// With so much memory; without any, each look-up is the disk's.
    pub(super) fn new(memory: u64) -> SlowDisk {
        let (folders, gate) = (Folders::new(), Arc::new(Gate::default()));
        let folder = folders.0.join("store");
        let passed = gate.clone();
        let files = Faulty::with_hook(move |operation, _path| {
            if operation == Operation::Write {
                passed.pass();
            }
        });
        let clock = Clock::manual(Timestamp(1_000));
        let opened = set::open(&[(folder.clone(), SETTINGS)], &files, &clock, || [1, 2]);
        let disks = opened.expect("a usable folder").disks;
        let settings = StoreSettings { memory, object_max: memory, ..StoreSettings::default() };
        let render = Arc::new(|_head: &StoredHead, _version| Bytes::new());
        let store = Store::with_disks(settings, disks, render, 3);
        SlowDisk { _folders: folders, folder, gate, clock, store }
    }

    pub(super) fn stand_still(&self) {
        self.gate.set_shut(true);
    }

    /// Lets it go on, and waits until it has caught up.
    pub(super) fn catch_up(&self) {
        self.gate.set_shut(false);
        assert!(store_some(&self.store, [], 0));
    }

    /// Lets it go on.
    pub(super) fn go_on(&self) {
        self.gate.set_shut(false);
    }

    /// Stores a number under each of these keys.
    pub(super) fn put(&self, keys: &[u64], number: u64) {
        for key in keys {
            let content = StoredContent::new(vec![Bytes::from(number.to_string())]);
            store_one(&self.store, self.store.key(&uri(*key)), content);
        }
    }

    fn late_removals(&self) -> u64 {
        self.store.disk_usage().map_or(0, |usage| usage.late_removals)
    }

    /// What a start finds after a kill at this moment.
    async fn after_kill(&self, key: u64) -> Option<u64> {
        found_of_one(&self.reopened_after_kill().1, key).await
    }

    /// A copy of the folder as a kill at this moment leaves it, and a store that was started with it.
    pub(super) fn reopened_after_kill(&self) -> (Folders, Store) {
        let files: Arc<dyn Files> = Arc::new(SystemFiles);
        let killed = copied(&self.folder);
        let store = Folders::open_these(&[(killed.0.join("store"), SETTINGS)], &files);
        (killed, store.expect("a folder"))
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // A failed test does not wait for it either.
        self.gate.set_shut(false);
    }
}

fn is_done(waiting: &mut Pin<&mut impl Future<Output = ()>>) -> bool {
    waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
}

#[tokio::test]
async fn a_removal_waits_for_a_disk_that_stands_still_for_ten_seconds_and_the_next_one_not_at_all() {
    let disk = SlowDisk::new(0);
    let store = &disk.store;
    disk.put(&[1, 2, 3], 7);
    disk.catch_up();
    disk.stand_still();
    let uris = [uri(1), uri(2), uri(3)];
    let mut first = pin!(store.invalidate(store.key(&uris[0])));
    assert!(!is_done(&mut first));
    assert_eq!(found_of_one(store, 1).await, None, "it is gone at once");
    disk.clock.advance(Duration::from_secs(9));
    assert!(!is_done(&mut first), "the disk has its time");
    assert_eq!(disk.late_removals(), 0);
    disk.clock.advance(Duration::from_secs(1));
    assert!(is_done(&mut first));
    assert_eq!(disk.late_removals(), 1);
    // Nobody waits for a disk that is behind.
    assert!(is_done(&mut pin!(store.invalidate(store.key(&uris[1])))));
    assert_eq!((found_of_one(store, 2).await, disk.late_removals()), (None, 2));
    // This is what the limit costs, and all of it.
    assert_eq!(disk.after_kill(1).await, Some(7));
    disk.catch_up();
    assert_eq!((disk.after_kill(1).await, disk.after_kill(2).await), (None, None));
    // It is waited for again.
    disk.stand_still();
    let mut third = pin!(store.invalidate(store.key(&uris[2])));
    assert!(!is_done(&mut third));
    disk.gate.set_shut(false);
    third.await;
    assert_eq!((disk.after_kill(3).await, disk.late_removals()), (None, 2));
}

#[tokio::test]
async fn who_waits_for_a_disk_goes_on_when_another_has_found_it_behind() {
    let disk = SlowDisk::new(0);
    let store = &disk.store;
    disk.put(&[1, 2], 7);
    disk.catch_up();
    disk.stand_still();
    let uris = [uri(1), uri(2)];
    let mut first = pin!(store.invalidate(store.key(&uris[0])));
    assert!(!is_done(&mut first));
    disk.clock.advance(Duration::from_secs(5));
    let mut second = pin!(store.invalidate(store.key(&uris[1])));
    assert!(!is_done(&mut second));
    disk.clock.advance(Duration::from_secs(5));
    assert!(is_done(&mut first) && is_done(&mut second));
    assert_eq!(disk.late_removals(), 2);
}

#[tokio::test]
async fn several_removals_of_one_exchange_have_one_limit() {
    let disk = SlowDisk::new(0);
    let store = &disk.store;
    disk.put(&[1, 2, 3], 7);
    disk.catch_up();
    disk.stand_still();
    let uris = [uri(1), uri(2), uri(3)];
    let keys: Vec<_> = uris.iter().map(|uri| store.key(uri)).collect();
    let mut all = pin!(store.invalidate_all(&keys));
    assert!(!is_done(&mut all));
    for key in 1..=3 {
        assert_eq!(found_of_one(store, key).await, None, "all are gone at once");
    }
    disk.clock.advance(Duration::from_secs(10));
    assert!(is_done(&mut all));
    assert_eq!(disk.late_removals(), 3);
}

#[tokio::test]
async fn what_a_record_on_its_way_replaces_is_not_read_however_slow_the_disk_is() {
    let disk = SlowDisk::new(0);
    let store = &disk.store;
    disk.put(&[1, 2], 7);
    disk.catch_up();
    disk.stand_still();
    // The disk is behind from here on, so that no look-up waits for it.
    let gone = uri(2);
    let mut removing = pin!(store.invalidate(store.key(&gone)));
    assert!(!is_done(&mut removing));
    disk.clock.advance(Duration::from_secs(10));
    assert!(is_done(&mut removing));
    disk.put(&[1], 8);
    assert_eq!(found_of_one(store, 1).await, None, "a miss, and not what was replaced");
    disk.catch_up();
    assert_eq!(found_of_one(store, 1).await, Some(8));
}
