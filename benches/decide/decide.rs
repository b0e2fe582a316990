//! What the decision about one request costs: `caching::decide` for hits, in nanoseconds.
//!
//!     cargo run --release --example decide [ROUNDS]
//!
//! Each line is the best of several rounds, which is what the work itself takes; the rest is what
//! else the machine does. Behind it stands the ratio to a fresh hit in the same run, in which all
//! take turns. To compare two versions, build both and run them in turn: `run` does.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::print_stdout, reason = "and prints what it has read")]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use larder::caching::{
    Actions, CachePolicy, Conditions, Facts, Rule, RuleSet, StoredHead, Times, answer, decide, may_store,
    selected,
};
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

/// What is measured: its name, and many calls of it.
struct Measured<'a> {
    name: &'static str,
    calls: Box<dyn FnMut() + 'a>,
    best: f64,
}

fn measured<'a>(name: &'static str, mut work: impl FnMut() + 'a) -> Measured<'a> {
    let calls = move || {
        for _ in 0..DECISIONS {
            work();
        }
    };
    Measured { name, calls: Box::new(calls), best: f64::MAX }
}

/// Prints the best time of one call of each, and its ratio to the first one.
fn measure(rounds: u32, mut all: Vec<Measured<'_>>) {
    for _ in 0..rounds {
        for one in &mut all {
            let start = Instant::now();
            (one.calls)();
            one.best = one.best.min(start.elapsed().as_secs_f64());
        }
    }
    let first = all.first().map_or(1.0, |one| one.best);
    for Measured { name, best, .. } in all {
        println!("{name:<34}{:>7.2} {:>9.1} ns", best / first, best * 1e9 / f64::from(DECISIONS));
    }
}

/// A rule with this configuration.
fn rules(hosts: &[&str], paths: &[&str]) -> RuleSet {
    let when = Conditions {
        hosts: hosts.iter().map(|host| host.parse().expect("a host")).collect(),
        paths: paths.iter().map(|path| path.parse().expect("a path")).collect(),
        ..Conditions::default()
    };
    let then = Actions { fresh: Some((Some(60), None)), ..Actions::default() };
    RuleSet::new(vec![Rule { name: "r".parse().expect("a name"), when, then }], &RuleSet::default())
}

/// What the proxy asks about a request where there are rules, as it asks it.
fn ruled(rules: &RuleSet, asked: &Request, head: &StoredHead, policy: &CachePolicy) {
    let Target::Absolute(uri) = &asked.target else { return };
    black_box(rules.key(uri));
    black_box(rules.never(uri, &asked.method));
    let ask = |policy: &CachePolicy| decide(asked, &[head], NOW.plus(60), policy);
    if !rules.concerns(uri) {
        black_box(ask(policy));
        return;
    }
    black_box(selected(asked, &[head]));
    match rules.applied(&Facts::new(uri, &asked.method, head.status, &head.fields)) {
        Some(applied) => black_box(applied.decide(policy, ask)).0,
        None => black_box(ask(policy)),
    };
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
    let came = response(&[]);
    let elsewhere = rules(&["b.example", "*.c.example"], &[]);
    let other_path = rules(&["a.example"], &["/other/*"]);
    let any_host = rules(&[], &["/other/*"]);
    let matching = rules(&["a.example"], &[]);
    let ruled = |rules: &RuleSet| ruled(black_box(rules), black_box(&plain), black_box(&head), &policy);
    let all = vec![
        measured("a fresh hit", || decision(&plain, &[&head])),
        measured("with rules for other hosts", || ruled(&elsewhere)),
        measured("with a rule for another path", || ruled(&other_path)),
        measured("the same for all hosts", || ruled(&any_host)),
        measured("with a rule that applies", || ruled(&matching)),
        measured("a fresh hit with Vary", || decision(&plain, &[&varying])),
        measured("one of four variants", || decision(kinds.get(2).unwrap_or(&plain), &variants)),
        measured("a hit with max-age", || decision(&wishes, &[&head])),
        measured("what of it: 304", || {
            black_box(answer(black_box(&conditional), black_box(&head), 10));
        }),
        measured("may it be stored", || {
            let stored = may_store(black_box(&plain), black_box(&came), TIMES, &policy);
            black_box(stored).unwrap_or(());
        }),
    ];
    measure(rounds, all);
}
