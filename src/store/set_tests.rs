//! Several disks as one store: where keys lie, what a disk that was away brings back, what one that
//! has gone costs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::disk::faulty::Failing;
use super::disk::files::{Files, SystemFiles};
use super::disk::record::{Kind, Record};
use super::disk::{DiskSettings, OpenError, set};
use super::*;
use crate::caching::{StoredParts, Times};
use crate::clock::Clock;
use crate::http::{Fields, Method, Timestamp, Version};

const KEYS: u64 = 300;

/// Folders of their own, removed when dropped.
pub(super) struct Folders(pub PathBuf);

impl Folders {
    pub(super) fn new() -> Folders {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Folders(std::env::temp_dir().join(format!("larder-set-{}-{number}", std::process::id())))
    }

    /// Opens the folders with these numbers, each twice as large as the one before.
    fn open(&self, numbers: &[u64]) -> Result<Store, OpenError> {
        self.open_with(numbers, &(Arc::new(SystemFiles) as Arc<dyn Files>))
    }

    fn open_with(&self, numbers: &[u64], files: &Arc<dyn Files>) -> Result<Store, OpenError> {
        let settings = |number: u64| DiskSettings { size: (4 << 20) << number, segment_size: 1 << 20 };
        let folder = |number: &u64| (self.0.join(number.to_string()), settings(*number));
        let folders: Vec<_> = numbers.iter().map(folder).collect();
        Folders::open_these(&folders, files)
    }

    /// Opens these folders as one store.
    pub(super) fn open_these(
        folders: &[(PathBuf, DiskSettings)],
        files: &Arc<dyn Files>,
    ) -> Result<Store, OpenError> {
        static RANDOM: AtomicU64 = AtomicU64::new(1);
        let number = || RANDOM.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let set::Opened { disks, .. } = set::open(folders, files, &Clock::system(), || [number(), number()])?;
        let render = Arc::new(|_head: &StoredHead, _version| Bytes::new());
        // No object stays in memory, so that each look-up is the disks'.
        let none = StoreSettings { memory: 0, object_max: 0, ..StoreSettings::default() };
        Ok(Store::with_disks(none, disks, render, 3))
    }
}

#[expect(clippy::disallowed_methods, reason = "the test's own folders")]
impl Drop for Folders {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn uri(number: u64) -> TargetUri {
    let text = Bytes::from(format!("http://a.example/{number}"));
    TargetUri::parse_absolute(&text).expect("an absolute URI")
}

/// What is stored of a URI carries a number, by which it is known again.
fn store_all(store: &Store, number: u64) {
    assert!(store_some(store, 0..KEYS, number));
}

/// Whether all of it is written.
pub(super) fn store_some(store: &Store, keys: impl IntoIterator<Item = u64>, number: u64) -> bool {
    for key in keys {
        let uri = uri(key);
        let content = StoredContent::new(vec![Bytes::from(number.to_string())]);
        store_one(store, store.key(&uri), content);
    }
    // What is queued is not read yet, and no memory has it here: a last record is waited for.
    let is_written = |disk: &Disk| {
        let (kind, head) = (Kind::Meta, Bytes::new());
        let last = Record { key: 1, kind, seq: 0, generation: 0, part: 0, first: 0, head, body: Vec::new() };
        disk.append(last).is_ok_and(|queued| disk.wait(queued))
    };
    store.disks().filter(|disk| !is_written(disk)).count() == 0
}

/// Stores a response with this content.
pub(super) fn store_one(store: &Store, key: Key<'_>, content: StoredContent) {
    let now = Timestamp(1_000);
    let asked = store.generation(key);
    let fields: Fields = [("Cache-Control", "max-age=600")].into_iter().collect();
    let parts = StoredParts {
        method: Method::Get,
        status: 200,
        reason: Bytes::new(),
        fields,
        times: Times { request_time: now, response_time: now },
        initial_age: 0,
        selecting: Vec::new(),
        targets: Default::default(),
    };
    let object = Object {
        head: StoredHead::from_parts(parts),
        rendered: Bytes::new(),
        content,
        origin: "192.0.2.1:80".parse().expect("an address"),
        received: Version::Http11,
        generation: asked.seq(),
        head_generation: asked.seq(),
    };
    store.insert(key, object, asked, |_| true);
}

/// The numbers of what is found, by key.
async fn found(store: &Store) -> Vec<Option<u64>> {
    found_of(store, KEYS).await
}

async fn found_of(store: &Store, keys: u64) -> Vec<Option<u64>> {
    let mut all = Vec::new();
    for key in 0..keys {
        let uri = uri(key);
        let variants = store.look_up(store.key(&uri)).await;
        let content = variants.map(|variants| match &variants[0].content {
            StoredContent::Memory { pieces, .. } => pieces.concat(),
            other => panic!("{other:?} is small"),
        });
        all.push(content.map(|octets| String::from_utf8_lossy(&octets).parse().expect("a number")));
    }
    all
}

fn all_are(found: &[Option<u64>], number: u64) -> bool {
    found.iter().all(|found| *found == Some(number))
}

fn missing(found: &[Option<u64>]) -> usize {
    found.iter().filter(|found| found.is_none()).count()
}

#[tokio::test]
async fn every_disk_has_its_share_and_restarts_keep_it() {
    let folders = Folders::new();
    for round in 0..3 {
        let store = folders.open(&[0, 1, 2]).expect("folders");
        let records: Vec<u64> = store.disks().map(|disk| disk.usage().records).collect();
        if round > 0 {
            assert!(all_are(&found(&store).await, round - 1), "round {round}");
            assert!(records[0] > 10 && records[0] < records[1] && records[1] < records[2], "{records:?}");
            assert_eq!(store.list(&|_| true, 1000).total, KEYS);
        }
        store_all(&store, round);
        assert!(all_are(&found(&store).await, round));
        store.close();
    }
}

#[tokio::test]
async fn what_was_removed_while_a_disk_was_away_stays_removed() {
    let folders = Folders::new();
    let store = folders.open(&[1, 2]).expect("folders");
    store_all(&store, 1);
    store.close();
    drop(store);
    // One is away, and what lies on it is out of reach.
    let store = folders.open(&[2]).expect("a folder");
    let kept = found(&store).await;
    assert!((50..150).contains(&missing(&kept)), "{}", missing(&kept));
    store.purge(PurgeScope::All).await.expect("a purge");
    store.close();
    drop(store);
    // It comes back, and has missed the purge.
    let store = folders.open(&[1, 2]).expect("folders");
    assert_eq!(missing(&found(&store).await), KEYS as usize);
    store_all(&store, 2);
    assert!(all_are(&found(&store).await, 2));
    store.close();
}

#[tokio::test]
async fn what_lies_on_a_disk_that_lost_the_key_to_another_never_comes_back() {
    let folders = Folders::new();
    let store = folders.open(&[1]).expect("a folder");
    store_all(&store, 1);
    store.close();
    drop(store);
    // A second disk takes some keys over; half of all are replaced, half are removed.
    let store = folders.open(&[1, 2]).expect("folders");
    let before = found(&store).await;
    assert!(missing(&before) > 100, "they belong to the new disk");
    store_all(&store, 2);
    for key in 0..KEYS / 2 {
        let uri = uri(key);
        store.invalidate(store.key(&uri)).await;
    }
    store.close();
    drop(store);
    // It goes away again: what is newer has gone with it, and what is older must not be used.
    let store = folders.open(&[1]).expect("a folder");
    let after = found(&store).await;
    assert!(after.iter().all(|found| matches!(found, None | Some(2))), "{after:?}");
    assert_eq!(missing(&after[..KEYS as usize / 2]), KEYS as usize / 2);
    store.close();
}

#[tokio::test]
async fn a_disk_that_cant_be_used_costs_itself_and_a_strangers_ends_the_start() {
    let folders = Folders::new();
    SystemFiles.create_folder(&folders.0).expect("a temporary folder");
    // A file is where the folder should be.
    SystemFiles.create(&folders.0.join("1")).expect("a file");
    let store = folders.open(&[1, 2]).expect("one of them");
    assert_eq!(store.disks().len(), 1);
    store_all(&store, 1);
    assert!(all_are(&found(&store).await, 1));
    store.close();
    drop(store);
    drop(folders.open(&[3]).expect("a folder of another cache"));
    assert!(matches!(folders.open(&[2, 3]), Err(OpenError::Stranger(_))));
    let store = folders.open(&[2]).expect("a folder");
    assert!(matches!(folders.open(&[2]), Err(OpenError::InUse(_))));
    assert!(all_are(&found(&store).await, 1));
}

#[tokio::test]
async fn a_head_that_says_more_than_its_disk_holds_is_none() {
    let folders = Folders::new();
    let store = folders.open(&[0]).expect("a folder");
    let size = 4 << 20;
    let cases = [(size, true), (size + 1, false), (1 << 52, false), (u64::MAX - 5, false), (u64::MAX, false)];
    for (number, (length, is_found)) in (0..).zip(cases) {
        let uri = uri(number);
        store_one(&store, store.key(&uri), StoredContent::Chunks { length });
        store_some(&store, [], 0);
        assert_eq!(store.look_up(store.key(&uri)).await.is_some(), is_found, "{length}");
        assert_eq!(store.show(&uri).len(), usize::from(is_found), "{length}");
    }
}

/// What a folder knows of each key: the lowest number that has not been replaced or removed.
type Known = [u64; FEW as usize];

const FEW: u64 = 24;

/// Random openings of random folders, in which things are stored, replaced, removed and purged, some
/// of them with disks that are full, or ended by a kill. A folder knows what happened while it was open, and what those knew with
/// which it was opened: nothing that one of the folders knows to be gone is ever found again.
#[tokio::test]
async fn in_any_order_of_openings_nothing_that_was_removed_is_found_again() {
    let mut found_again = 0;
    for seed in 1..=12u64 {
        let mut random = seed;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let folders = Folders::new();
        let mut known: [Known; 4] = Default::default();
        drop(folders.open(&[0, 1, 2, 3]).expect("folders"));
        let mut number = 0;
        for turn in 0..25 {
            // Mostly several of them.
            let mut open: Vec<u64> = (0..4).filter(|_| next(3) > 0).collect();
            if open.is_empty() {
                open.push(next(4));
            }
            if next(4) == 0 {
                // Killed at the start: nobody has learned anything.
                let _killed = folders.open_with(&open, &Failing::killed_after(next(30) as i64).files);
            }
            // Killed at some time, or with full disks from some time on, or neither.
            let (kind, after) = (next(4), 60 + next(100) as i64);
            let failing = match kind {
                0 => Failing::killed_after(after),
                1 => Failing::full_after(after),
                _ => Failing::killed_after(i64::MAX),
            };
            let store = folders.open_with(&open, &failing.files).expect("folders");
            if failing.has_struck() {
                continue;
            }
            let mut of_all: Known = Default::default();
            for folder in &open {
                let lowest = known[*folder as usize];
                of_all = std::array::from_fn(|key| of_all[key].max(lowest[key]));
            }
            for _step in 0..4 {
                let found = found_of(&store, FEW).await;
                found_again += found.iter().flatten().count();
                for (key, found) in found.into_iter().enumerate() {
                    let place = format!("key {key} in turn {turn} of seed {seed} with {open:?}");
                    assert!(found.is_none_or(|found| found >= of_all[key]), "{found:?}: {place}: {of_all:?}");
                }
                number += 1;
                let concerned = change(&store, number, &mut next).await;
                // What was not written before a kill may come back.
                if kind != 0 || !failing.has_struck() {
                    concerned.into_iter().for_each(|key| of_all[key as usize] = number);
                }
            }
            for folder in &open {
                known[*folder as usize] = of_all;
            }
        }
    }
    assert!(found_again > 2000, "{found_again}: what is kept is found");
}

/// Stores, removes or purges something; gives the keys that this concerns.
async fn change(store: &Store, number: u64, next: &mut impl FnMut(u64) -> u64) -> Vec<u64> {
    let (first, count) = (next(FEW), next(FEW / 2));
    let keys: Vec<u64> = (first..(first + count).min(FEW)).collect();
    match next(4) {
        0 => {
            for key in &keys {
                let uri = uri(*key);
                store.invalidate(store.key(&uri)).await;
            }
            keys
        }
        1 => {
            let prefix = format!("http://a.example/{first}");
            store.purge(PurgeScope::Prefix(prefix)).await.expect("room");
            (0..FEW).filter(|key| key.to_string().starts_with(&first.to_string())).collect()
        }
        _ => {
            store_some(store, keys.iter().copied(), number);
            keys
        }
    }
}
