//! Purges in both tiers, over restarts, against what is on its way, and beyond the log's end.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::*;
use crate::caching::Times;
use crate::clock::Clock;
use crate::http::{BodyLength, Method, Request, Response, Target, Timestamp, Version};
use crate::store::disk::files::SystemFiles;
use crate::store::disk::{Disk, DiskSettings};
use crate::store::{Generation, Store, StoreSettings, StoredContent};

const SETTINGS: DiskSettings = DiskSettings { size: 16 << 20, segment_size: 4 << 20 };

/// A folder of its own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Folder(std::env::temp_dir().join(format!("larder-purging-{}-{number}", std::process::id())))
    }

    fn open(&self, settings: DiskSettings) -> Store {
        let disk = Disk::open(&self.0, settings, Arc::new(SystemFiles), Clock::system(), [1, 2]);
        let render = Arc::new(|_head: &StoredHead, _version| Bytes::new());
        Store::with_disks(StoreSettings::default(), vec![disk.expect("a usable folder")], render, 3)
    }
}

#[expect(clippy::disallowed_methods, reason = "the test's own folder")]
impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn in_memory() -> Store {
    Store::new(StoreSettings::default(), [1, 2, 3])
}

fn uri(text: &str) -> TargetUri {
    match Target::parse(&Bytes::copy_from_slice(text.as_bytes()), &Method::Get) {
        Ok(Target::Absolute(uri)) => uri,
        other => panic!("{other:?}"),
    }
}

fn object(uri: &TargetUri, generation: u64, length: usize, tags: &[(&str, &str)]) -> Object {
    let request = Request {
        method: Method::Get,
        target: Target::Absolute(uri.clone()),
        version: Version::Http11,
        fields: [("Host", "a.example")].into_iter().collect(),
        length: BodyLength::None,
        head_bytes: 0,
    };
    let fields = [("Cache-Control", "max-age=600")].iter().chain(tags).copied();
    let response = Response {
        status: 200,
        reason: Bytes::from_static(b"OK"),
        version: Version::Http11,
        fields: fields.collect(),
        length: BodyLength::Exact(length as u64),
        head_bytes: 0,
        keep_alive: true,
    };
    let times = Times { request_time: Timestamp(1_000), response_time: Timestamp(1_000) };
    Object {
        head: StoredHead::new(&request, &response, times),
        rendered: Bytes::new(),
        content: StoredContent::new(vec![Bytes::from(vec![b'x'; length])]),
        origin: "192.0.2.1:80".parse().expect("an address"),
        received: Version::Http11,
        generation,
        head_generation: generation,
    }
}

const TAGS: &[(&str, &str)] = &[("Cache-Tag", "t1, t2"), ("Surrogate-Key", "s1 s2")];

fn asked(store: &Store, text: &str) -> Generation {
    let uri = uri(text);
    store.generation(store.key(&uri))
}

fn insert(store: &Store, text: &str, asked: Generation, length: usize) {
    let uri = uri(text);
    store.insert(store.key(&uri), object(&uri, asked.seq(), length, TAGS), asked, |_other| true);
}

fn put(store: &Store, text: &str) {
    insert(store, text, asked(store, text), 5);
}

async fn has(store: &Store, text: &str) -> bool {
    let uri = uri(text);
    store.look_up(store.key(&uri)).await.is_some()
}

fn host(host: &str) -> PurgeScope {
    PurgeScope::Host(host.to_owned())
}

fn tag(tag: &str) -> PurgeScope {
    PurgeScope::Tag(Bytes::copy_from_slice(tag.as_bytes()))
}

const URL: &str = "http://a.example/x/y";

#[tokio::test]
async fn a_purge_reaches_what_it_concerns_in_both_tiers_and_over_a_restart() {
    let cases = [
        (host("a.example"), true),
        (host("example"), false),
        (PurgeScope::Prefix("http://a.example/x/".into()), true),
        (PurgeScope::Prefix("http://a.example/y".into()), false),
        (tag("t2"), true),
        (tag("s1"), true),
        (tag("t1, t2"), false),
        (PurgeScope::All, true),
    ];
    for (scope, concerns) in cases {
        let store = in_memory();
        put(&store, URL);
        let purged = store.purge(scope.clone()).await.expect("room");
        assert_eq!(purged, Purged { in_memory: concerns.into(), is_written: true }, "{scope:?}");
        assert_eq!(has(&store, URL).await, !concerns, "{scope:?} in memory");
        put(&store, URL);
        assert!(has(&store, URL).await, "{scope:?}: what is newer stays");

        let folder = Folder::new();
        for (is_loaded, kept) in [(true, !concerns), (false, !concerns)] {
            let store = folder.open(SETTINGS);
            put(&store, URL);
            store.close();
            drop(store);
            let store = folder.open(SETTINGS);
            // It lies on disk alone, or in both tiers.
            assert!(!is_loaded || has(&store, URL).await);
            store.purge(scope.clone()).await.expect("room");
            assert_eq!(has(&store, URL).await, kept, "{scope:?}, loaded: {is_loaded}");
            store.close();
            drop(store);
            let store = folder.open(SETTINGS);
            assert_eq!(has(&store, URL).await, kept, "{scope:?} after a restart");
            put(&store, URL);
            store.close();
            drop(store);
            assert!(has(&folder.open(SETTINGS), URL).await, "{scope:?}: what is newer stays on disk");
        }
    }
}

#[tokio::test]
async fn what_was_asked_for_before_a_purge_is_not_stored_after_it() {
    let folder = Folder::new();
    for store in [in_memory(), folder.open(SETTINGS)] {
        let (before, other) = (asked(&store, URL), asked(&store, "http://b.example/"));
        store.purge(host("a.example")).await.expect("room");
        insert(&store, URL, before, 5);
        insert(&store, "http://b.example/", other, 5);
        assert!(!has(&store, URL).await && has(&store, "http://b.example/").await);
        // A request after the purge shares no fetch from before it.
        assert!(!before.is_as_valid_as(asked(&store, URL)));
    }
}

#[tokio::test]
async fn a_store_in_memory_takes_any_number_of_purges() {
    let store = in_memory();
    let before = asked(&store, URL);
    for number in 0..crate::store::disk::purges::SCOPES_MAX {
        store.purge(host(&format!("{number}.example"))).await.expect("room");
    }
    put(&store, URL);
    store.purge(host("one-more.example")).await.expect("room is made");
    assert!(has(&store, URL).await);
    // What is older than the purges that were forgotten might be one of theirs.
    insert(&store, "http://c.example/", before, 5);
    assert!(!has(&store, "http://c.example/").await);
}

#[tokio::test]
async fn nothing_comes_back_when_a_purge_goes_with_the_end_of_the_log() {
    let folder = Folder::new();
    let settings = DiskSettings { size: 512 << 10, segment_size: 128 << 10 };
    let store = folder.open(settings);
    let kept = "http://b.example/";
    put(&store, URL);
    put(&store, kept);
    // So that reclaim would keep both.
    let disk = store.disks().next().expect("a disk");
    let read = |text: &str| disk.read(store.key(&uri(text)).hash).is_some();
    while !read(URL) || !read(kept) {
        tokio::task::yield_now().await;
    }
    store.purge(host("a.example")).await.expect("room");
    assert_eq!(disk.purges().all().len(), 1);
    let reclaimed = disk.usage().reclaimed_bytes;
    let mut number = 0;
    while !disk.purges().all().is_empty() {
        number += 1;
        let filler = format!("http://c.example/{number}");
        // A full disk takes what comes a second time.
        for _ in 0..2 {
            insert(&store, &filler, asked(&store, &filler), 30_000);
        }
        while disk.peek(store.key(&uri(&filler)).hash).is_none() {
            tokio::task::yield_now().await;
        }
        // It is in use until the end.
        read(kept);
    }
    assert!(disk.usage().reclaimed_bytes > reclaimed);
    assert!(disk.purges().retired() > 0);
    assert!(read(kept), "what is used was written again");
    assert!(!read(URL), "and what was purged was not");
    store.close();
    drop(store);
    let store = folder.open(settings);
    assert!(!has(&store, URL).await, "it does not come back");
    assert!(has(&store, kept).await, "what was not purged is there");
}
