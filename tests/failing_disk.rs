//! What was removed stays removed for as long as the process runs, also when the disk fails before
//! the removal is written down. The moment is chosen by a file system that waits for the test.
#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]
#![allow(
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "the files in memory are also fuzz/'s"
)]
#![allow(unreachable_pub, dead_code, reason = "the files in memory are also fuzz/'s")]

#[path = "../fuzz/targets/memory_files.rs"]
mod memory_files;

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use bytes::Bytes;
use larder::caching::{StoredHead, Times};
use larder::clock::Clock;
use larder::http::{BodyLength, Fields, Method, Request, Response, Target, TargetUri, Timestamp, Version};
use larder::store::disk::files::{File, Files, Lock};
use larder::store::disk::{Disk, DiskSettings};
use larder::store::{Object, Store, StoreSettings, StoredContent};
use memory_files::MemoryFiles;

/// Files in memory, where the thread that makes a segment says so and then waits.
#[derive(Debug)]
struct WaitingFiles {
    files: Arc<MemoryFiles>,
    reached: Sender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl Files for WaitingFiles {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.files.create_folder(path)
    }
    fn lock(&self, path: &Path, text: &str) -> io::Result<Box<dyn Lock>> {
        self.files.lock(path, text)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seg-")) {
            self.reached.send(()).expect("the test listens");
            self.go_on.lock().expect("one thread writes").recv().expect("the test goes on");
        }
        self.files.create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.files.open(path)
    }
    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.files.open_to_write(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.remove(path)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.files.list(folder)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.files.sync_folder(folder)
    }
}

/// A response with some content, that was asked for now.
fn object(uri: &TargetUri, generation: u64) -> Object {
    let request = Request {
        method: Method::Get,
        target: Target::Absolute(uri.clone()),
        version: Version::Http11,
        fields: Fields::default(),
        length: BodyLength::None,
        head_bytes: 0,
    };
    let response = Response {
        status: 200,
        reason: Bytes::new(),
        version: Version::Http11,
        fields: [("Cache-Control", "max-age=600")].into_iter().collect(),
        length: BodyLength::Exact(5),
        head_bytes: 0,
        keep_alive: true,
    };
    let now = Timestamp(1_000);
    Object {
        head: StoredHead::new(&request, &response, Times { request_time: now, response_time: now }),
        rendered: Bytes::new(),
        content: StoredContent::new(vec![Bytes::from_static(b"hello")]),
        origin: "192.0.2.1:80".parse().expect("an address"),
        received: Version::Http11,
        generation,
        head_generation: generation,
    }
}

#[tokio::test]
async fn an_invalidation_that_meets_a_write_and_a_failure_holds() {
    let ((reached, is_reached), (go, go_on)) = (channel(), channel());
    let files = MemoryFiles::new(&[].into());
    let waiting = WaitingFiles { files: files.clone(), reached, go_on: Mutex::new(go_on) };
    let settings = DiskSettings { size: 1 << 20, segment_size: 64 << 10 };
    let clock = Clock::manual(Timestamp(1_000));
    let disk = Disk::open(Path::new("/store"), settings, Arc::new(waiting), clock, [1, 2]).expect("a folder");
    let sizes = StoreSettings { memory: 1 << 20, object_max: 1 << 16, ..StoreSettings::default() };
    let store = Store::with_disks(sizes, vec![disk], Arc::new(|_head: &StoredHead, _| Bytes::new()), 3);
    let uri = TargetUri::parse_absolute(&Bytes::from_static(b"http://a.example/")).expect("a URI");
    let key = store.key(&uri);
    let asked = store.generation(key);
    store.insert(key, object(&uri, asked.seq()), asked, |_| true);
    // The response is being written.
    is_reached.recv().expect("the thread that writes");
    let mut invalidating = pin!(store.invalidate(key));
    let first = invalidating.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(first.is_pending(), "its removal is queued, and not written");
    // Its segment and its record; then the disk fails.
    files.end_after(2, 0);
    go.send(()).expect("the thread that writes");
    invalidating.await;
    assert!(store.disks().all(Disk::is_read_only), "the removal was written");
    assert!(store.look_up(key).await.is_none(), "it is back");
}
