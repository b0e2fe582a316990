//! S0, S18, 4.5 to 4.7: the store.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use larder::clock::Clock;
use larder::store::disk::files::{File, Files, Lock, SystemFiles};
use larder::store::disk::record::{Kind, Record};
use larder::store::disk::{Disk, DiskSettings};

use crate::support::Folder;

type Before = dyn FnMut(&Path) + Send;

/// Files of the system; who removes a segment calls `before` first.
struct Watched {
    before: Mutex<Box<Before>>,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched")
    }
}

impl Files for Watched {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        SystemFiles.create_folder(path)
    }
    fn lock(&self, path: &Path, text: &str) -> io::Result<Box<dyn Lock>> {
        SystemFiles.lock(path, text)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        SystemFiles.create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        SystemFiles.open(path)
    }
    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        SystemFiles.open_to_write(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemFiles.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seg-")) {
            (self.before.lock().unwrap())(path);
        }
        SystemFiles.remove(path)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        SystemFiles.list(folder)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        SystemFiles.sync_folder(folder)
    }
}

fn record(number: u64) -> Record {
    let key = u128::from(number) << 100 | u128::from(number);
    let (head, body) = (Bytes::from_static(b"head"), vec![Bytes::from(vec![b'x'; 1000])]);
    Record { key, kind: Kind::Object, seq: number, generation: number, part: 0, first: 0, head, body }
}

/// `src/store/kill_tests.rs` has the kills at each moment, and invalidations at each.
#[test]
fn case_s0_a_record_counts_as_there_until_its_file_is_gone() {
    let folder = Folder::new();
    let store = folder.path("store");
    let disk: Arc<Mutex<Option<Arc<Disk>>>> = Arc::default();
    let gone = Arc::new(Mutex::new(0));
    let (of_hook, counted) = (disk.clone(), gone.clone());
    let before = move |path: &Path| {
        let disk = of_hook.lock().unwrap().clone().unwrap();
        // Twelve of them fit into a segment, the first of which has the number 1.
        let first = u64::from_str_radix(path.to_string_lossy().rsplit('-').next().unwrap(), 16).unwrap() - 1;
        let there: Vec<u64> =
            (0..12).map(|at| first * 12 + at).filter(|at| disk.contains(record(*at).key)).collect();
        assert_eq!(there.len(), 12, "a removal of one of them would write nothing: {there:?}");
        *counted.lock().unwrap() += 1;
    };
    let files = Arc::new(Watched { before: Mutex::new(Box::new(before)) });
    let settings = DiskSettings { size: 64 << 10, segment_size: 16 << 10 };
    let opened = Arc::new(Disk::open(&store, settings, files, Clock::system(), [1, 2]).unwrap());
    *disk.lock().unwrap() = Some(opened.clone());
    for number in 0..120 {
        let queued = opened.append(record(number)).unwrap();
        assert!(opened.wait(queued), "the thread that writes has ended");
    }
    assert!(*gone.lock().unwrap() >= 4);
    *disk.lock().unwrap() = None;
}
