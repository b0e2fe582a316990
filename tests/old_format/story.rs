//! What was done to the folder of the fixture. Clock, secrets and the order of all that is queued
//! are given, so that it is the same octets each time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use larder::caching::{StoredHead, Targets, Times};
use larder::clock::Clock;
use larder::http::{BodyLength, Fields, Method, Request, Response, Target, TargetUri, Timestamp, Version};
use larder::store::disk::files::Files;
use larder::store::disk::purges::PurgeScope;
use larder::store::disk::{Disk, DiskSettings, OpenError};
use larder::store::{CHUNK_LENGTH, Generation, Object, Span, Spans, Store, StoreSettings, StoredContent};

use super::memory_files::MemoryFiles;

/// The secret of the keys.
pub const HASH_KEY: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
/// When the first request was sent.
pub const NOW: u64 = 1_700_000_000;
/// Octets behind the first chunk of the response with a gap.
pub const CHUNK_REST: u64 = 300;

const SETTINGS: DiskSettings = DiskSettings { size: 64 << 20, segment_size: 8 << 20 };

/// Opens a folder.
pub fn open(folder: &Path, files: Arc<dyn Files>) -> Result<Disk, OpenError> {
    Disk::open(folder, SETTINGS, files, Clock::manual(Timestamp(NOW)), HASH_KEY)
}

/// The store on it, whose memory is empty.
pub fn store_of(disk: Disk) -> Store {
    let sizes = StoreSettings { memory: 16 << 20, object_max: 4 << 20, ..StoreSettings::default() };
    Store::with_disks(sizes, vec![disk], Arc::new(|_head: &StoredHead, _version| Bytes::new()), 3)
}

pub fn uri(text: &str) -> TargetUri {
    TargetUri::parse_absolute(&Bytes::copy_from_slice(text.as_bytes())).expect("an absolute URI")
}

/// The purges that are in effect at the end, in the order of the saved index.
pub fn purges() -> Vec<PurgeScope> {
    vec![
        PurgeScope::All,
        PurgeScope::Host("purged.example".into()),
        PurgeScope::Tag(Bytes::from_static(b"old")),
        PurgeScope::Prefix("http://a.example/purged/".into()),
    ]
}

/// An exchange with an origin.
struct Exchange {
    uri: &'static str,
    method: Method,
    asked: &'static [(&'static str, &'static str)],
    status: u16,
    reason: &'static str,
    fields: &'static [(&'static str, &'static str)],
    content: StoredContent,
    origin: &'static str,
    received: Version,
    targets: Targets,
    /// Seconds from [`NOW`] to the request, and from that to the response.
    times: (u64, u64),
}

impl Exchange {
    /// A response that nothing is special about.
    fn of(uri: &'static str, fields: &'static [(&'static str, &'static str)]) -> Exchange {
        Exchange {
            uri,
            method: Method::Get,
            asked: &[],
            status: 200,
            reason: "OK",
            fields,
            content: StoredContent::new(vec![Bytes::from_static(uri.as_bytes())]),
            origin: "192.0.2.1:80",
            received: Version::Http11,
            targets: Targets::default(),
            times: (0, 1),
        }
    }

    fn request(&self) -> Request {
        Request {
            method: self.method.clone(),
            target: Target::Absolute(uri(self.uri)),
            version: Version::Http11,
            fields: self.asked.iter().copied().collect(),
            length: BodyLength::None,
            head_bytes: 0,
        }
    }

    fn response(&self) -> Response {
        Response {
            status: self.status,
            reason: Bytes::from_static(self.reason.as_bytes()),
            version: self.received,
            fields: self.fields.iter().copied().collect(),
            length: BodyLength::Chunked,
            head_bytes: 0,
            keep_alive: true,
        }
    }

    fn times(&self) -> Times {
        let request_time = Timestamp(NOW).plus(self.times.0);
        Times { request_time, response_time: request_time.plus(self.times.1) }
    }

    fn object(&self, generation: u64) -> Object {
        let (request, response) = (self.request(), self.response());
        Object {
            head: StoredHead::with_targets(&request, &response, self.times(), &self.targets),
            rendered: Bytes::new(),
            content: self.content.clone(),
            origin: self.origin.parse().expect("an address"),
            received: self.received,
            generation,
            head_generation: generation,
        }
    }

    /// Stores the response; gives what was known when it was asked for.
    fn store(&self, store: &Store) -> Generation {
        let uri = uri(self.uri);
        let key = store.key(&uri);
        let asked = store.generation(key);
        let fields: Fields = self.asked.iter().copied().collect();
        store.insert(key, self.object(asked.seq()), asked, |other| other.head.selects(&fields));
        asked
    }
}

/// The folder after its three uses.
pub async fn write() -> BTreeMap<String, Vec<u8>> {
    let files = MemoryFiles::new(&[].into());
    let opened = || store_of(open(Path::new("/store"), files.clone()).expect("a folder"));
    let store = opened();
    purged(&store).await;
    plain(&store);
    varied(&store);
    freshened(&store).await;
    removed(&store).await;
    with_gap(&store);
    part(&store);
    store.close();
    let store = opened();
    Exchange::of("http://a.example/second", &[("Cache-Control", "max-age=60")]).store(&store);
    store.close();
    let store = opened();
    Exchange::of("http://a.example/third", &[("Cache-Control", "max-age=60")]).store(&store);
    Exchange::of("http://a.example/cut", &[("Cache-Control", "max-age=60")]).store(&store);
    // The kill comes when both are written, but for the last octets.
    let is_written =
        |disk: &Disk| disk.append(super::told::no_record(disk)).is_ok_and(|queued| disk.wait(queued));
    assert!(store.disks().all(is_written));
    let mut contents = files.contents();
    let segment = contents.get_mut("seg-00000003").expect("the third use");
    segment.truncate(super::told::within_second_record(segment));
    contents
}

/// All kinds of purges, each of something that was there.
async fn purged(store: &Store) {
    let all: [(&'static str, &'static [_]); 4] = [
        ("http://a.example/before", &[("Cache-Control", "max-age=60")]),
        ("http://purged.example/", &[("Cache-Control", "max-age=60")]),
        ("http://a.example/tagged", &[("Cache-Control", "max-age=60"), ("Cache-Tag", "new, old")]),
        ("http://a.example/purged/x", &[("Cache-Control", "max-age=60")]),
    ];
    for ((uri, fields), scope) in all.into_iter().zip(purges()) {
        Exchange::of(uri, fields).store(store);
        let purged = store.purge(scope).await.expect("few and short");
        assert!(purged.is_written);
    }
}

/// Responses with their content; one has all that a head may have.
fn plain(store: &Store) {
    let fields = &[("Cache-Control", "max-age=600"), ("ETag", "\"a\""), ("Age", "12"), ("X-Empty", "")];
    Exchange {
        content: StoredContent::new(vec![Bytes::from_static(b"hello"); 2]),
        ..Exchange::of("http://a.example/", fields)
    }
    .store(store);
    let fields = &[
        ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Cache-Control", "no-store"),
        ("CDN-Cache-Control", "max-age=7"),
        ("Content-Location", "https://[2001:db8::7]:8443/x?y=%20z"),
        ("Set-Cookie", "a=b"),
        ("set-cookie", "c=d"),
    ];
    Exchange {
        method: Method::Post,
        status: 203,
        reason: "Almost OK",
        content: StoredContent::new(Vec::new()),
        origin: "[2001:db8::1]:8443",
        received: Version::Http2,
        targets: Targets::new(["CDN-Cache-Control", "Larder-Cache-Control"]),
        times: (20, 3),
        ..Exchange::of("https://[2001:db8::7]:8443/x?y=%20z", fields)
    }
    .store(store);
}

/// Two variants.
fn varied(store: &Store) {
    let fields = &[("Vary", "Accept-Encoding, X-Absent"), ("Cache-Control", "max-age=60")];
    let one = Exchange {
        asked: &[("Accept-Encoding", "gzip, br")],
        ..Exchange::of("http://a.example/varied", fields)
    };
    one.store(store);
    let content = StoredContent::new(vec![Bytes::from_static(b"the other one")]);
    Exchange { asked: &[("Accept-Encoding", "")], received: Version::Http10, content, ..one }.store(store);
}

/// A response that a 304 has freshened.
async fn freshened(store: &Store) {
    let first = Exchange::of(
        "http://a.example/freshened",
        &[("ETag", "\"a\""), ("Cache-Control", "max-age=60"), ("X-Number", "1"), ("X-Kept", "yes")],
    );
    first.store(store);
    let uri = uri(first.uri);
    let stored = store.variants(store.key(&uri)).expect("just stored");
    let update = Exchange {
        status: 304,
        received: Version::Http10,
        times: (100, 2),
        ..Exchange::of(first.uri, &[("ETag", "\"a\""), ("X-Number", "2"), ("Cache-Control", "max-age=90")])
    };
    let head = stored[0].head.freshen(&update.response(), update.times());
    let content = stored[0].content.clone();
    let new = Object { head, content, rendered: Bytes::new(), received: update.received, ..*stored[0] };
    store.replace(store.key(&uri), &stored[0], Arc::new(new)).await;
}

/// One that was invalidated.
async fn removed(store: &Store) {
    Exchange::of("http://a.example/removed", &[("Cache-Control", "max-age=60")]).store(store);
    store.invalidate(store.key(&uri("http://a.example/removed"))).await;
}

/// A response in two chunks, the second of which is there.
fn with_gap(store: &Store) {
    let fields = &[("ETag", "\"large\""), ("Cache-Control", "max-age=600")];
    let content = StoredContent::Chunks { length: CHUNK_LENGTH + CHUNK_REST };
    let large = Exchange { content, ..Exchange::of("http://a.example/large", fields) };
    let generation = large.store(store).seq();
    let uri = uri(large.uri);
    let refill = store.refill(store.key(&uri), &large.object(generation), CHUNK_LENGTH);
    refill.expect("chunks are wanted").push(Bytes::from(vec![b'r'; CHUNK_REST as usize]));
}

/// Two runs of octets of a content of twenty.
fn part(store: &Store) {
    let span = |first, octets| Span { first, octets: Bytes::from_static(octets) };
    let content =
        StoredContent::Partial { spans: Spans::of([span(2, b"cde"), span(10, b"klmno")]), length: 20 };
    let fields = &[("ETag", "\"part\""), ("Cache-Control", "max-age=600"), ("Content-Length", "20")];
    Exchange { content, ..Exchange::of("http://a.example/part", fields) }.store(store);
}
