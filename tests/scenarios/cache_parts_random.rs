//! Ranges at random, one after the other and at once, of resources that change: each octet is
//! compared with what the origin has under the entity tag that came with it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Client, Folder, Process, Response, World};

/// An origin that honours `Range` and `If-Range`; its representation changes with its version.
struct Ranged {
    url: String,
    version: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

/// The octets of a version. Versions have different lengths, too.
fn representation(length: usize, version: usize) -> Vec<u8> {
    (0..length + version % 3)
        .map(|at| (at.wrapping_mul(31) >> 3) as u8 ^ (version as u8) ^ at as u8)
        .collect()
}

impl Ranged {
    fn start(length: usize) -> Ranged {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let (version, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (of_thread, count) = (version.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (version, count) = (of_thread.clone(), count.clone());
                std::thread::spawn(move || serve(&stream, length, &version, &count));
            }
        });
        Ranged { url, version, asked }
    }
}

fn serve(stream: &TcpStream, length: usize, version: &AtomicUsize, asked: &AtomicUsize) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    loop {
        let mut head = Vec::new();
        loop {
            let line = lines.next()?.ok()?;
            if line.is_empty() {
                break;
            }
            head.push(line.to_ascii_lowercase());
        }
        asked.fetch_add(1, Ordering::Relaxed);
        let version = version.load(Ordering::SeqCst);
        let (body, tag) = (representation(length, version), format!("\"{version}\""));
        let field = |name: &str| head.iter().find_map(|line| line.strip_prefix(name).map(str::trim));
        let common = format!("ETag: {tag}\r\nCache-Control: max-age=30\r\n");
        let range = field("range:").filter(|_| field("if-range:").is_none_or(|known| known == tag));
        let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let (head, octets) = if field("if-none-match:").is_some_and(|known| known == tag) {
            (format!("HTTP/1.1 304 Same\r\n{common}\r\n"), &body[..0])
        } else if let Some((first, last)) = range {
            let first: usize = first.parse().ok()?;
            let last = last.parse().unwrap_or(usize::MAX).min(body.len() - 1);
            let place = format!("Content-Range: bytes {first}-{last}/{}", body.len());
            let octets = &body[first..=last];
            (
                format!("HTTP/1.1 206 Part\r\n{common}{place}\r\nContent-Length: {}\r\n\r\n", octets.len()),
                octets,
            )
        } else {
            (format!("HTTP/1.1 200 OK\r\n{common}Content-Length: {}\r\n\r\n", body.len()), &body[..])
        };
        let mut to = stream;
        to.write_all(head.as_bytes()).and_then(|()| to.write_all(octets)).ok()?;
    }
}

/// Compares a response with the version whose tag it has.
fn check(response: &Response, length: usize, asked: Option<(usize, usize)>) {
    let version: usize = response.field("ETag").expect("a tag").trim_matches('"').parse().expect("a number");
    let body = representation(length, version);
    let (status, octets) = (response.status(), &response.body.bytes);
    assert!(response.is_whole(), "{}", response.cache_status());
    match asked {
        // A stale response is validated whole: what has taken its place comes whole, too.
        Some((first, end)) if status == 206 => {
            let place = format!("bytes {first}-{}/{}", end - 1, body.len());
            assert_eq!((status, response.field("Content-Range")), (206, Some(place.as_str())));
            assert!(*octets == body[first..end], "{first}..{end} of version {version}");
        }
        _ => assert!(status == 200 && *octets == body, "all of version {version}"),
    }
}

/// Asks for something at random.
fn ask(client: &mut Client, url: &str, length: usize, random: &mut Random) {
    if random.below(12) == 0 {
        return check(&client.get(url), length, None);
    }
    let first = random.below(length);
    let end = first + 1 + random.below(length - first);
    let range = format!("bytes={first}-{}", end - 1);
    check(&client.get_with(url, &[("Range", &range)]), length, Some((first, end)));
}

/// Xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

#[test]
fn whatever_is_asked_for_is_right() {
    for (seed, length) in [(1, 40), (2, 1000), (3, 100_000)] {
        let (world, origin, mut random) = (World::new(), Ranged::start(length), Random(seed * 0x9e37_79b9));
        let mut client = world.client();
        for _ in 0..400 {
            match random.below(40) {
                0 => drop(origin.version.fetch_add(1, Ordering::SeqCst)),
                1 => world.advance(31),
                _ => {}
            }
            ask(&mut client, &origin.url, length, &mut random);
        }
        assert!(origin.asked.load(Ordering::Relaxed) < 400, "most are hits");
    }
}

#[test]
fn large_ones_in_chunks_are_right_too() {
    let (folder, length) = (Folder::new(), (3 << 20) + 500);
    let (origin, mut random) = (Ranged::start(length), Random(4));
    let process = Process::start_in(&folder, &["--disk", "64MiB", "--memory", "8MiB"]);
    let mut client = process.client();
    for turn in 0..24 {
        if turn % 8 == 7 {
            origin.version.fetch_add(1, Ordering::SeqCst);
        }
        ask(&mut client, &origin.url, length, &mut random);
    }
}

#[test]
fn connections_that_share_the_work_of_one_download_fill_one_response() {
    for length in [400_000, 1 << 20] {
        let (world, origin) = (World::new(), Ranged::start(length));
        let quarter = length / 4;
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (world, url) = (&world, &origin.url);
                scope.spawn(move || {
                    let mut client = world.client();
                    for at in (number * quarter..(number + 1) * quarter).step_by(quarter / 2) {
                        let end = at + quarter / 2;
                        let range = format!("bytes={at}-{}", end - 1);
                        check(&client.get_with(url, &[("Range", &range)]), length, Some((at, end)));
                    }
                });
            }
        });
        let asked = origin.asked.load(Ordering::Relaxed);
        let whole = world.client().get(&origin.url);
        check(&whole, length, None);
        assert_eq!((asked, whole.is_hit()), (8, true), "{}", whole.cache_status());
    }
}
