//! S0, S18, 4.5 to 4.7: the store.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use larder::clock::Clock;
use larder::store::disk::files::{File, Files, Lock, SystemFiles};
use larder::store::disk::record::{Kind, Record};
use larder::store::disk::{Disk, DiskSettings};

use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::support::{
    Answer, Client, End, Folder, Gate, Origin, Process, Response, eventually, larder, noise, request,
};

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

const MIB: usize = 1 << 20;

/// What `larder serve` says that does not start with this cache folder.
fn refused(folder: &Folder, cache: &str) -> String {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin", "off", "--cache-dir", cache];
    let ended = larder(folder, &arguments, &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    ended.err
}

fn chmod(path: &str, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn case_s18_a_cache_folder_that_others_can_change_is_refused() {
    let folder = Folder::new();
    let cache = folder.text_of_path("above/cache");
    for mode in [0o777, 0o770, 0o702, 0o1777] {
        std::fs::create_dir_all(&cache).unwrap();
        chmod(&cache, mode);
        let said = refused(&folder, &cache);
        assert!(said.contains(&cache) && said.contains(&format!("{mode:04o}")), "{said}");
        assert!(said.contains("chmod go-w"), "{said}");
    }
    chmod(&cache, 0o700);
    // One that is above it, and one that is in it.
    chmod(&folder.text_of_path("above"), 0o777);
    let said = refused(&folder, &cache);
    assert!(said.contains("above, which others can write to"), "{said}");
    chmod(&folder.text_of_path("above"), 0o755);
    let store = format!("{cache}/store");
    std::fs::create_dir(&store).unwrap();
    chmod(&store, 0o777);
    assert!(refused(&folder, &cache).contains(&store));
    std::fs::remove_dir(&store).unwrap();
    std::fs::create_dir(folder.path("elsewhere")).unwrap();
    symlink(folder.path("elsewhere"), &store).unwrap();
    assert!(refused(&folder, &cache).contains("is a symbolic link"));
    std::fs::remove_file(&store).unwrap();
    symlink(folder.path("elsewhere/blocked"), format!("{cache}/blocked.txt")).unwrap();
    assert!(refused(&folder, &cache).contains("is a symbolic link"));
}

#[test]
fn case_s18_a_cache_folder_of_another_user_is_refused() {
    let folder = Folder::new();
    let cache = folder.text_of_path("cache");
    std::fs::create_dir(&cache).unwrap();
    // Only root can give something away.
    if std::os::unix::fs::chown(&cache, Some(4711), None).is_err() {
        return;
    }
    let said = refused(&folder, &cache);
    assert!(said.contains("belongs to user 4711"), "{said}");
    std::os::unix::fs::chown(&cache, Some(0), None).unwrap();
    std::fs::create_dir(format!("{cache}/store")).unwrap();
    std::os::unix::fs::chown(format!("{cache}/store"), Some(4711), None).unwrap();
    assert!(refused(&folder, &cache).contains("store belongs to user 4711"));
}

#[test]
fn case_s18_a_folder_that_is_not_there_is_made_for_its_owner_and_one_that_others_read_is_taken() {
    let folder = Folder::new();
    for mode in [None, Some(0o755)] {
        if let Some(mode) = mode {
            chmod(&folder.text_of_path("cache"), mode);
        }
        let process = Process::start_in(&folder, &["--disk", "64MiB"]);
        let of = |path: &str| std::fs::metadata(folder.path(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(of("cache"), mode.unwrap_or(0o700));
        assert_eq!(of("cache/store"), 0o700);
        drop(process);
    }
}

/// A response with an entity tag, which ends after so many octets of its content.
fn cut(body: &[u8], octets: usize) -> Answer {
    let head = Answer::cached("max-age=3600").field("ETag", "\"a\"");
    head.field("Content-Length", &body.len().to_string()).end_of_head().send(&body[..octets]).close()
}

fn part(body: &[u8], first: usize) -> Answer {
    let range = format!("bytes {first}-{}/{}", body.len() - 1, body.len());
    Answer::status(206).field("ETag", "\"a\"").field("Content-Range", &range).body(&body[first..])
}

fn assert_same(response: &Response, body: &[u8]) {
    let octets = &response.body.bytes;
    let differs = octets.iter().zip(body).position(|(one, other)| one != other);
    assert_eq!((octets.len(), differs), (body.len(), None), "{}", response.cache_status());
}

/// Asks, and looks at what comes as far as it comes.
fn is_whole(mut client: Client, url: &str) -> bool {
    client.send(request("GET", url, &[], ""));
    client.wire.head().is_ok_and(|head| head.status() == 200 && client.body(&head).end == End::Clean)
}

#[test]
fn case_4_5_a_part_outlasts_tries_that_fail_and_is_completed_by_the_next() {
    let body = noise(5 * MIB);
    // Closed without an answer, an error, and an answer that ends early, too.
    let closed = || Answer::raw("").close();
    let failures: [fn(&[u8]) -> Answer; 3] =
        [|_body| Answer::raw("").close(), |_body| Answer::status(503), |body| cut(body, MIB + 5)];
    for fails in failures {
        let (folder, origin) = (Folder::new(), Origin::start());
        let url = origin.url("/");
        origin.on_path("/", cut(&body, 3 * MIB + 100)).on_path("/", closed());
        let process = Process::start_in(&folder, &["--disk", "64MiB", "--memory", "8MiB"]);
        assert!(!is_whole(process.client(), &url));
        eventually("the part is stored", || process.client().request("HEAD", &url, &[], "").is_hit());
        for _ in 0..2 {
            origin.now_on_path("/", fails(&body));
            assert!(!is_whole(process.client(), &url));
        }
        origin.now_on_path("/", part(&body, 3 * MIB));
        let asked = origin.request_count();
        assert_same(&process.client().get(&url), &body);
        let seen = &origin.all_requests()[asked];
        assert_eq!(seen.head.field("Range"), Some(format!("bytes={}-{}", 3 * MIB, 5 * MIB - 1).as_str()));
        assert_eq!(seen.head.field("If-Range"), Some("\"a\""));
    }
}

#[test]
fn case_4_6_what_is_told_stored_is_stored() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let (bodies, gate): (Vec<Vec<u8>>, _) = ((0..8).map(|_| noise(20 * MIB)).collect(), Gate::new());
    let length = (20 * MIB).to_string();
    for (number, body) in bodies.iter().enumerate() {
        let head = Answer::cached("max-age=3600").field("ETag", &format!("\"{number}\""));
        let head = head.field("Content-Length", &length).end_of_head();
        origin.on_path(&format!("/{number}"), head.send(&body[..MIB]).wait(&gate).send(&body[MIB..]));
    }
    let process = Process::start_in(&folder, &["--disk", "400MiB", "--memory", "32MiB"]);
    let ask = |number: usize| {
        let mut client = process.client();
        client.send(request("GET", &origin.url(&format!("/{number}")), &[], ""));
        client
    };
    let clients: Vec<Client> = (0..8).map(ask).collect();
    origin.has_requests(8);
    gate.open();
    let told = std::thread::scope(|scope| {
        let reading: Vec<_> =
            clients.into_iter().map(|mut client| scope.spawn(move || client.response())).collect();
        let responses = reading.into_iter().zip(&bodies).map(|(reading, body)| {
            let response = reading.join().unwrap();
            assert_same(&response, body);
            response.cache_status().contains("stored")
        });
        responses.collect::<Vec<bool>>()
    });
    assert_eq!(told, [true; 8]);
    for (number, body) in bodies.iter().enumerate() {
        let url = origin.url(&format!("/{number}"));
        eventually("it is stored", || process.client().request("HEAD", &url, &[], "").is_hit());
        let again = process.client().get(&url);
        assert!(again.is_hit(), "{number}: {}", again.cache_status());
        assert_same(&again, body);
    }
    assert_eq!(origin.request_count(), 8);
}

#[test]
fn case_4_7_a_304_is_kept_where_memory_holds_no_object() {
    for length in [MIB / 2, 3 * MIB] {
        let (folder, origin, body) = (Folder::new(), Origin::start(), noise(length));
        let stale = Answer::cached("max-age=0").field("ETag", "\"a\"").body(&body);
        let fresh = Answer::status(304).field("ETag", "\"a\"").field("Cache-Control", "max-age=3600");
        origin.on_path("/", stale).on_path("/", fresh);
        let process = Process::start_in(&folder, &["--disk", "64MiB", "--memory", "256KiB"]);
        let url = origin.url("/");
        assert_same(&process.client().get(&url), &body);
        eventually("it is validated", || {
            let response = process.client().get(&url);
            assert_same(&response, &body);
            origin.all_requests().last().unwrap().head.field("If-None-Match").is_some()
        });
        let asked = origin.request_count();
        for _ in 0..3 {
            let again = process.client().get(&url);
            assert!(again.is_hit(), "{length}: {}", again.cache_status());
            assert_same(&again, &body);
        }
        assert_eq!(origin.request_count(), asked);
    }
}
