//! Kills between any two operations of the thread that writes, with invalidations and purges there:
//! what was answered holds after it.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use bytes::Bytes;

use super::disk::DiskSettings;
use super::disk::faulty::{Faulty, Operation};
use super::disk::files::{Files, SystemFiles};
use super::set_tests::{Folders, store_one, store_some, uri};
use super::*;

const SETTINGS: DiskSettings = DiskSettings { size: 256 << 10, segment_size: 64 << 10 };
/// As many as go on the disk, and some more.
const KEYS: u64 = 70;
/// Octets of content: a number with zeros in front of it.
const LENGTH: usize = 4000;
/// Removed at the moment that is tried: in the segment that goes unread and read, in others, nowhere.
const CHOSEN: [u64; 9] = [0, 3, 4, 7, 8, 20, 40, 61, 999];
/// Purged at that moment; read and unread ones are in the segment that goes.
const PURGED: (&str, [u64; 3]) = ("http://a.example/1", [1, 12, 13]);

/// Removed at that moment as the responses that they are; some of them were read, or go.
const HELD: [u64; 5] = [5, 6, 10, 30, 50];

/// Operations behind a removal of a segment that are tried, too: what was asked for is written in them.
const LEFT: usize = 16;

type Removing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A folder as a kill at one moment leaves it, and what was answered by then.
struct Killed {
    folder: Folders,
    gone: Vec<u64>,
    at: String,
}

/// What the operations of one change of segments are counted and interrupted by.
#[derive(Default)]
struct Watched {
    /// Where removals are asked for: while the change of segments lasts that is meant.
    store: Option<Store>,
    /// The same before that change.
    waiting: Option<Store>,
    /// Operations that are still of interest when the segment has gone.
    left: Option<usize>,
    /// Operations so far, and the one before which removals are asked for.
    seen: usize,
    at: usize,
    has_changed: bool,
    held: Vec<(u64, Arc<Object>)>,
    under_way: Vec<(Vec<u64>, Removing)>,
    gone: Vec<u64>,
    killed: Vec<Killed>,
}

pub(super) fn copied(from: &Path) -> Folders {
    let to = Folders::new();
    let store = to.0.join("store");
    SystemFiles.create_folder(&store).expect("a temporary folder");
    for name in SystemFiles.list(from).expect("a folder").into_iter().filter(|name| name != "lock") {
        let file = SystemFiles.open(&from.join(&name)).expect("a file");
        let mut octets = vec![0; file.length().expect("a length") as usize];
        file.read_at(&mut octets, 0).expect("readable");
        SystemFiles.create(&store.join(&name)).expect("a name").write_all_at(&octets, 0).expect("room");
    }
    to
}

impl Watched {
    /// Called before each operation of the thread that writes.
    fn operation(&mut self, folder: &Path, operation: Operation, path: &Path) {
        let is_segment = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seg-"));
        let is_full = |store: &Store| {
            let used = store.disk_usage().map_or(0, |usage| usage.used_bytes);
            used + SETTINGS.segment_size > SETTINGS.size
        };
        if operation == Operation::Create && is_segment && self.waiting.as_ref().is_some_and(is_full) {
            self.store = self.waiting.take();
        }
        let Some(store) = self.store.clone() else { return };
        if self.seen == self.at {
            self.remove_chosen(&store);
            self.has_changed = true;
        }
        let mut context = Context::from_waker(Waker::noop());
        for (keys, mut removing) in std::mem::take(&mut self.under_way) {
            match removing.as_mut().poll(&mut context) {
                std::task::Poll::Ready(()) => self.gone.extend(keys),
                std::task::Poll::Pending => self.under_way.push((keys, removing)),
            }
        }
        let at = format!("removed before operation {}, killed before {}: {operation:?}", self.at, self.seen);
        if self.has_changed && self.seen >= self.at {
            self.killed.push(Killed { folder: copied(folder), gone: self.gone.clone(), at });
        }
        self.has_changed = operation.changes();
        self.seen += 1;
        if operation == Operation::Remove && is_segment {
            self.left = Some(LEFT);
        }
        self.left = self.left.map(|left| left - 1);
        if self.left == Some(0) {
            self.store = None;
        }
    }

    fn remove_chosen(&mut self, store: &Store) {
        for key in CHOSEN {
            let store = store.clone();
            let removing = async move { store.invalidate(store.key(&uri(key))).await };
            self.under_way.push((vec![key], Box::pin(removing)));
        }
        for (key, object) in self.held.drain(..) {
            let store = store.clone();
            let removing = async move { store.remove(store.key(&uri(key)), &object).await };
            self.under_way.push((vec![key], Box::pin(removing)));
        }
        let store = store.clone();
        let purging = async move {
            let purged = store.purge(PurgeScope::Prefix(PURGED.0.to_owned())).await;
            assert!(purged.expect("room").is_written);
        };
        self.under_way.push((PURGED.1.to_vec(), Box::pin(purging)));
    }
}

fn content(number: u64) -> StoredContent {
    StoredContent::new(vec![Bytes::from(format!("{number:0LENGTH$}"))])
}

fn store_key(store: &Store, key: u64) {
    store_one(store, store.key(&uri(key)), content(key));
    assert!(store_some(store, [], 0));
}

/// Fills a disk, has one change of segments interrupted before its operation `at`, and gives the folders
/// that kills left; and how many operations there were.
async fn interrupted(at: usize) -> (Vec<Killed>, usize) {
    let folder = Folders::new();
    let path = folder.0.join("store");
    let watched = Arc::new(Mutex::new(Watched { at, ..Watched::default() }));
    let (hooked, of_hook, on) = (watched.clone(), path.clone(), tokio::runtime::Handle::current());
    let files = Faulty::with_hook(move |operation, path| {
        if std::thread::current().name() == Some("larder-disk") {
            let _entered = on.enter();
            let mut watched = hooked.lock().unwrap_or_else(PoisonError::into_inner);
            watched.operation(&of_hook, operation, path);
        }
    });
    let store = Folders::open_these(&[(path, SETTINGS)], &files).expect("a usable folder");
    watched.lock().unwrap_or_else(PoisonError::into_inner).waiting = Some(store.clone());
    // A purge and a removal go with the segment, too.
    store.purge(PurgeScope::Host("other.example".to_owned())).await.expect("room");
    for key in 0..KEYS {
        store_key(&store, key);
        if key == 5 {
            store.invalidate(store.key(&uri(2))).await;
            store_key(&store, 2);
        }
        if key % 3 == 0 {
            found_of_one(&store, key).await;
        }
        if HELD.contains(&key) {
            let variants = store.look_up(store.key(&uri(key))).await.expect("just stored");
            watched.lock().unwrap_or_else(PoisonError::into_inner).held.push((key, variants[0].clone()));
        }
    }
    let (killed, seen) = {
        let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
        (watched.store, watched.waiting) = (None, None);
        (std::mem::take(&mut watched.killed), watched.seen)
    };
    drop(store);
    (killed, seen)
}

/// The number in the content of a stored response.
pub(super) fn number_in(object: &Object) -> u64 {
    let StoredContent::Memory { pieces, .. } = &object.content else { panic!("it is small") };
    String::from_utf8_lossy(&pieces.concat()).parse().expect("a number")
}

pub(super) async fn found_of_one(store: &Store, key: u64) -> Option<u64> {
    let variants = store.look_up(store.key(&uri(key))).await?;
    Some(number_in(&variants[0]))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_at_any_moment_of_a_reclaim_does_not_come_back_after_a_kill_at_any_other() {
    let files: Arc<dyn Files> = Arc::new(SystemFiles);
    let (mut moments, mut kills, mut answered) = (0, 0, 0);
    for at in 0.. {
        let (killed, seen) = interrupted(at).await;
        if seen <= at {
            break;
        }
        moments += 1;
        for Killed { folder, gone, at } in killed {
            let settings: [(PathBuf, DiskSettings); 1] = [(folder.0.join("store"), SETTINGS)];
            let store = Folders::open_these(&settings, &files).expect("what a kill leaves is usable");
            kills += 1;
            answered += gone.len();
            for key in gone {
                assert_eq!(found_of_one(&store, key).await, None, "key {key} is back: {at}");
            }
        }
    }
    // Two of each are of keys that the disk has never had.
    assert!(moments > 20 && kills > 200 && answered > 4 * kills, "{moments} {kills} {answered}");
}
