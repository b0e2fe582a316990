//! Index and files never disagree to somebody's harm: whatever a kill would bring back counts as
//! contained, so that whoever removes it writes that down.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;

use rustix::io::Errno;

use super::*;

const KEYS: u64 = 24;
const SETTINGS: DiskSettings = DiskSettings { size: 48 << 10, segment_size: 12 << 10 };

/// What fails at the moment.
const NOTHING: u32 = 0;
const FULL: u32 = 1;
const SYNC: u32 = 2;
const REMOVAL: u32 = 3;
const READING: u32 = 4;

fn fails(kind: u32, operation: Operation) -> Result<(), Errno> {
    match (kind, operation) {
        (FULL, Operation::Create | Operation::Write) => Err(Errno::NOSPC),
        (SYNC, Operation::Sync) | (REMOVAL, Operation::Remove) | (READING, Operation::Read(_)) => {
            Err(Errno::IO)
        }
        _ => Ok(()),
    }
}

/// A folder as a kill leaves it, which keys counted as contained then, and which of the removals were
/// answered: none of those generations may be there.
struct Killed {
    folder: Folder,
    contained: Vec<bool>,
    removed: HashMap<u64, u64>,
    before: String,
}

#[derive(Default)]
struct Watch {
    inner: OnceLock<Arc<Inner>>,
    failing: AtomicU32,
    operations: AtomicU64,
    removed: Mutex<HashMap<u64, u64>>,
    killed: Mutex<Vec<Killed>>,
}

impl Watch {
    fn before(&self, folder: &Path, operation: Operation) {
        let is_writing = std::thread::current().name() == Some("larder-disk");
        let Some(inner) = self.inner.get().filter(|_| is_writing && operation.changes()) else { return };
        if !self.operations.fetch_add(1, Ordering::SeqCst).is_multiple_of(5) {
            return;
        }
        let removed = self.removed.lock().expect("no panic").clone();
        let contained = (0..KEYS).map(|number| inner.contains(key(number))).collect();
        let folder = copy_of(folder, true);
        let before = format!("{operation:?}, while {} fails", self.failing.load(Ordering::SeqCst));
        self.killed.lock().expect("no panic").push(Killed { folder, contained, removed, before });
    }
}

impl Killed {
    fn check(&self) -> usize {
        let found = contents(&self.folder, SETTINGS, KEYS);
        for (number, generation) in (0..).zip(&found) {
            let Some(generation) = generation else { continue };
            assert!(self.contained[number as usize], "{number} is forgotten, and there: {}", self.before);
            let removed = self.removed.get(&number);
            assert!(removed.is_none_or(|removed| generation > removed), "{number} is back: {}", self.before);
        }
        found.iter().flatten().count()
    }
}

#[test]
fn what_a_kill_would_bring_back_counts_as_contained_whatever_fails() {
    let mut found = 0;
    for seed in 1..7u64 {
        let mut random = seed;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let folder = Folder::new();
        let watch = Arc::new(Watch::default());
        let (watched, path) = (watch.clone(), folder.0.clone());
        let files = Faulty::files(move |operation, _path| {
            watched.before(&path, operation);
            fails(watched.failing.load(Ordering::SeqCst), operation)
        });
        let disk = Disk::open(&folder.0, SETTINGS, files, Clock::system(), [1, 2]).expect("a usable folder");
        assert!(watch.inner.set(disk.inner.clone()).is_ok());
        for step in 1..400 {
            let number = next(KEYS);
            match next(20) {
                0 => watch.failing.store([FULL, SYNC, REMOVAL, READING][next(4) as usize], Ordering::SeqCst),
                1..3 => watch.failing.store(NOTHING, Ordering::SeqCst),
                3..5 => drop(disk.online()),
                5..8 => drop(disk.read(key(number))),
                // As the tiers do it: what is not there needs no removal.
                8..12 if !disk.contains(key(number)) => {
                    watch.removed.lock().expect("no panic").insert(number, step);
                }
                8..12 => {
                    if write(&disk, removal(key(number))) {
                        watch.removed.lock().expect("no panic").insert(number, step);
                    }
                }
                _ => drop(disk.append(record(key(number), step, next(1500) as usize))),
            }
        }
        watch.failing.store(NOTHING, Ordering::SeqCst);
        let killed = std::mem::take(&mut *watch.killed.lock().expect("no panic"));
        found += killed.iter().map(Killed::check).sum::<usize>();
    }
    assert!(found > 1000, "{found}");
}
