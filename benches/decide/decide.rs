//! What the decision about one request costs: `caching::decide` for hits, in nanoseconds.
//!
//!     cargo run --release --example decide [ROUNDS]
//!
//! Each line is the best of several rounds, which is what the work itself takes; the rest is what
//! else the machine does. To compare two versions, build both and run them in turn: `run` does.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::print_stdout, reason = "and prints what it has read")]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use larder::caching::{CachePolicy, StoredHead, Times, answer, decide, may_store};
use larder::http::{BodyLength, Fields, Method, Request, Response, Target, TargetUri, Timestamp, Version};

const NOW: Timestamp = Timestamp(1_700_000_000);
const TIMES: Times = Times { request_time: NOW, response_time: NOW };
/// Decisions in one round.
const DECISIONS: u32 = 200_000;

/// What a browser sends.
const ASKED: &[(&str, &str)] = &[
    ("Host", "a.example"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Cookie", "id=0123456789abcdef0123456789abcdef"),
    ("Connection", "keep-alive"),
];

/// What an origin says of content that is fresh for an hour.
const SAID: &[(&str, &str)] = &[
    ("Server", "origin"),
    ("Date", "Tue, 14 Nov 2023 22:13:20 GMT"),
    ("Content-Type", "text/html"),
    ("Content-Length", "10"),
    ("Cache-Control", "public, max-age=3600"),
    ("ETag", "\"0123456789abcdef\""),
    ("Last-Modified", "Tue, 14 Nov 2023 20:00:00 GMT"),
];

fn request(more: &[(&str, &str)]) -> Request {
    let fields: Fields = ASKED.iter().chain(more).copied().collect();
    let uri = TargetUri::parse_absolute(&Bytes::from_static(b"http://a.example/x")).expect("a URI");
    let (method, version) = (Method::Get, Version::Http11);
    Request {
        method,
        target: Target::Absolute(uri),
        version,
        fields,
        length: BodyLength::None,
        head_bytes: 0,
    }
}

fn response(more: &[(&str, &str)]) -> Response {
    Response {
        status: 200,
        reason: Bytes::from_static(b"OK"),
        version: Version::Http11,
        fields: SAID.iter().chain(more).copied().collect(),
        length: BodyLength::Exact(10),
        head_bytes: 0,
        keep_alive: true,
    }
}

/// Prints the best time of one call.
fn measure(name: &str, rounds: u32, mut work: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let start = Instant::now();
        for _ in 0..DECISIONS {
            work();
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{name:<28}{:>9.1} ns", best * 1e9 / f64::from(DECISIONS));
}

fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20);
    let policy = CachePolicy::default();
    let (plain, later) = (request(&[]), NOW.plus(60));
    let of = |asked: &Request, more: &[(&str, &str)]| StoredHead::new(asked, &response(more), TIMES);
    let (head, varying) = (of(&plain, &[]), of(&plain, &[("Vary", "Accept-Encoding")]));
    let kinds: Vec<_> = ["a", "b", "c", "d"].map(|kind| request(&[("X-Kind", kind)])).into();
    let variants: Vec<_> = kinds.iter().map(|asked| of(asked, &[("Vary", "X-Kind")])).collect();
    let variants: Vec<_> = variants.iter().collect();
    let conditional = request(&[("If-None-Match", "\"0123456789abcdef\"")]);
    let wishes = request(&[("Cache-Control", "max-age=600")]);

    let decision = |asked: &Request, heads: &[&StoredHead]| {
        black_box(decide(black_box(asked), black_box(heads), black_box(later), &policy));
    };
    measure("a fresh hit", rounds, || decision(&plain, &[&head]));
    measure("a fresh hit with Vary", rounds, || decision(&plain, &[&varying]));
    measure("one of four variants", rounds, || decision(kinds.get(2).unwrap_or(&plain), &variants));
    measure("a hit with max-age", rounds, || decision(&wishes, &[&head]));
    measure("what of it: 304", rounds, || {
        black_box(answer(black_box(&conditional), black_box(&head), 10));
    });
    let came = response(&[]);
    measure("may it be stored", rounds, || {
        let stored = may_store(black_box(&plain), black_box(&came), TIMES, &policy);
        black_box(stored).unwrap_or(());
    });
}
