//! Ordinary responses in a store, for benches/store: fills a folder through the store's own interface, as the
//! proxy would, and waits to be killed.
//!
//!     objects FOLDER OBJECTS     says how many octets of head and content it stored, and how many it has written
#![allow(clippy::print_stdout, reason = "a program of its own, beside nothing")]

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use larder::caching::{StoredHead, StoredParts, Targets, Times};
use larder::clock::Clock;
use larder::http::{Fields, Method, TargetUri, Timestamp, Version};
use larder::proxy::renderer;
use larder::store::disk::files::SystemFiles;
use larder::store::disk::{Disk, DiskSettings, SEGMENT_SIZE};
use larder::store::{Object, Store, StoreSettings, StoredContent};

/// Contents of 64 to 8,191 octets, 1,740 on average: seven steps, each twice the one before, and evenly within each.
fn length(number: u64) -> usize {
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let least = 64 << (spread % 7);
    (least + (spread >> 8) % least) as usize
}

/// The head of an ordinary response of so many octets, fresh for a month.
fn head(length: usize, now: Timestamp) -> StoredHead {
    let (date, length) = (now.to_http_date(), length.to_string());
    let lines: [(&[u8], &[u8]); 6] = [
        (b"Date", date.as_bytes()),
        (b"Server", b"nginx"),
        (b"Content-Type", b"text/html; charset=utf-8"),
        (b"Content-Length", length.as_bytes()),
        (b"ETag", b"\"65529bd0-1e240\""),
        (b"Cache-Control", b"public, max-age=2592000"),
    ];
    let mut fields = Fields::builder();
    for (name, value) in lines {
        fields.push(name, value);
    }
    StoredHead::from_parts(StoredParts {
        method: Method::Get,
        status: 200,
        reason: Bytes::from_static(b"OK"),
        fields: fields.build(),
        times: Times { request_time: now, response_time: now },
        initial_age: 0,
        selecting: Vec::new(),
        targets: Targets::default(),
    })
}

fn fill(folder: &Path, objects: u64) -> anyhow::Result<()> {
    let settings = DiskSettings { size: 1 << 40, segment_size: SEGMENT_SIZE };
    let disk = Disk::open(folder, settings, Arc::new(SystemFiles), Clock::system(), [1, 2])?;
    let render = renderer(0);
    let store = Store::with_disks(StoreSettings::default(), vec![disk], renderer(0), 1);
    let (content, now) = (Bytes::from(vec![b'x'; 16 << 10]), Clock::system().now());
    let mut stored = 0;
    for number in 0..objects {
        // An address that nothing is dialled at: a hit needs no origin, and one that is none would be an error.
        let uri = Bytes::from(format!("http://127.0.0.1:9/folder/page-{number:08}.html"));
        let uri = TargetUri::parse_absolute(&uri).map_err(|error| anyhow::anyhow!("{error}"))?;
        let (key, head) = (store.key(&uri), head(length(number), now));
        let rendered = render(&head, Version::Http11);
        stored += (length(number) + rendered.len()) as u64;
        loop {
            let dropped = store.disk_usage().map(|usage| usage.dropped);
            let asked = store.generation(key);
            let object = Object {
                head: head.clone(),
                rendered: rendered.clone(),
                content: StoredContent::new(vec![content.slice(..length(number))]),
                origin: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
                received: Version::Http11,
                generation: asked.seq(),
                head_generation: asked.seq(),
            };
            store.insert(key, object, asked, |_| true);
            if store.disk_usage().map(|usage| usage.dropped) == dropped {
                break;
            }
            // The queue is full: the writer is a little behind.
            std::thread::yield_now();
        }
    }
    // All that was queued is written when the process would end in order, which a kill does not wait for.
    let written = || store.disk_usage().map_or(0, |usage| usage.records);
    while written() < objects {
        std::thread::yield_now();
    }
    println!("{stored} {}", store.disk_usage().map_or(0, |usage| usage.written_bytes));
    std::io::stdout().flush()?;
    loop {
        std::thread::park();
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [folder, objects] => fill(Path::new(folder), objects.parse()?),
        _ => anyhow::bail!("objects FOLDER OBJECTS"),
    }
}
