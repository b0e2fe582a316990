//! Responses that are larger than a record: in chunks on disk, with gaps that the origin fills.

use std::cell::RefCell;

use rustix::process::Signal;

use crate::support::{Answer, Client, Folder, Gate, Origin, Process, Response, eventually, noise, request};

const MIB: usize = 1 << 20;
/// Five chunks and a bit.
const LENGTH: usize = 5 * MIB + 12_345;

/// Compares without printing megabytes.
fn assert_same(response: &Response, body: &[u8]) {
    let octets = &response.body.bytes;
    let differs = octets.iter().zip(body).position(|(one, other)| one != other);
    let status = (response.status(), response.cache_status());
    assert_eq!((octets.len(), differs), (body.len(), None), "{status:?}");
}

/// A whole response with an entity tag.
fn whole(body: &[u8]) -> Answer {
    Answer::cached("max-age=600").field("ETag", "\"a\"").body(body)
}

/// A part of it.
fn part(body: &[u8], first: usize, end: usize) -> Answer {
    let range = format!("bytes {first}-{}/{}", end - 1, body.len());
    Answer::status(206).field("ETag", "\"a\"").field("Content-Range", &range).body(&body[first..end])
}

fn start(folder: &Folder) -> Process {
    // Memory for no large object at all.
    Process::start_in(folder, &["--disk", "64MiB", "--memory", "8MiB"])
}

/// The response once it is a hit: its last octet reaches the client before it reaches the disk.
fn is_hit_at_last(client: &mut Client, url: &str) -> Response {
    let client = RefCell::new(client);
    eventually("it is stored", || client.borrow_mut().get(url).is_hit());
    client.into_inner().get(url)
}

/// Waits until what has arrived of a cut response is stored: its client sees the cut before that.
fn is_stored(process: &Process, url: &str) {
    eventually("what has arrived is stored", || process.client().request("HEAD", url, &[], "").is_hit());
}

fn get(url: &str) -> Vec<u8> {
    request("GET", url, &[], "")
}

#[test]
fn a_large_response_is_a_hit_whole_and_in_ranges_before_and_after_a_restart() {
    let (folder, origin, body) = (Folder::new(), Origin::start(), noise(LENGTH));
    origin.on_path("/known", whole(&body));
    let text = "0123456789abcdef".repeat(LENGTH / 16);
    let chunks: Vec<&str> =
        text.as_bytes().chunks(100_000).map(|c| std::str::from_utf8(c).unwrap()).collect();
    origin.on_path("/unknown", Answer::cached("max-age=600").chunked(&chunks));
    let mut process = start(&folder);
    assert_same(&process.client().get(&origin.url("/known")), &body);
    assert_same(&process.client().get(&origin.url("/unknown")), text.as_bytes());
    for _restarted in [false, true] {
        let mut client = process.client();
        assert_same(&is_hit_at_last(&mut client, &origin.url("/known")), &body);
        assert_same(&is_hit_at_last(&mut client, &origin.url("/unknown")), text.as_bytes());
        let cases = [
            ("bytes=0-0", 0..1),
            ("bytes=1048570-1048580", 1_048_570..1_048_581),
            ("bytes=-5", LENGTH - 5..LENGTH),
            ("bytes=2000000-", 2_000_000..LENGTH),
        ];
        for (range, octets) in cases {
            let response = client.get_with(&origin.url("/known"), &[("Range", range)]);
            assert_eq!(response.status(), 206, "{range}");
            assert!(response.is_hit(), "{range}: {}", response.cache_status());
            assert_same(&response, &body[octets]);
        }
        let many = client.get_with(&origin.url("/known"), &[("Range", "bytes=10-19,3000000-3000009")]);
        let octets = many.body.bytes;
        for range in [10..20, 3_000_000..3_000_010] {
            assert!(octets.windows(10).any(|window| window == &body[range.clone()]), "{range:?}");
        }
        assert_eq!(client.request("HEAD", &origin.url("/known"), &[], "").status(), 200);
        process.signal(Signal::KILL);
        process.wait();
        process = start(&folder);
    }
    assert_eq!(origin.request_count(), 2, "the origin is asked once for each");
}

#[test]
fn what_an_origin_drops_goes_on_where_it_was() {
    let (folder, origin, body) = (Folder::new(), Origin::start(), noise(LENGTH));
    let cut = 2 * MIB + 77;
    let begun = Answer::cached("max-age=600").field("ETag", "\"a\"");
    let begun = begun.field("Content-Length", &LENGTH.to_string()).end_of_head().send(&body[..cut]).close();
    origin.on_path("/", begun).on_path("/", part(&body, cut, LENGTH));
    let process = start(&folder);
    assert_same(&process.client().get(&origin.url("/")), &body);
    assert_same(&is_hit_at_last(&mut process.client(), &origin.url("/")), &body);
    let asked = origin.requests("/");
    assert_eq!(asked[1].head.field("range"), Some(format!("bytes={cut}-{}", LENGTH - 1).as_str()));
    assert_eq!(asked[1].head.field("if-range"), Some("\"a\""));
    assert_eq!(asked.len(), 2);
}

#[test]
fn what_is_there_of_a_cut_response_is_completed() {
    let (folder, origin, body) = (Folder::new(), Origin::start(), noise(LENGTH));
    let begun = Answer::cached("max-age=600").field("ETag", "\"a\"");
    let begun = begun.field("Content-Length", &LENGTH.to_string()).end_of_head();
    origin.on_path("/", begun.send(&body[..2 * MIB + 5]).close()).on_path("/", Answer::status(503));
    let process = start(&folder);
    let mut client = process.client();
    client.send(get(&origin.url("/")));
    assert!(!client.response().is_whole());
    is_stored(&process, &origin.url("/"));
    origin.now_on_path("/", part(&body, 2 * MIB, LENGTH));
    let response = process.client().get(&origin.url("/"));
    assert_same(&response, &body);
    assert!(response.cache_status().contains("fwd=partial"), "{}", response.cache_status());
    let last = origin.requests("/").pop().expect("several");
    assert_eq!(last.head.field("range"), Some(format!("bytes={}-{}", 2 * MIB, LENGTH - 1).as_str()));
    // The gap is filled.
    assert_same(&is_hit_at_last(&mut process.client(), &origin.url("/")), &body);
}

#[test]
fn a_part_that_fills_a_gap_brings_newer_fields_or_ends_the_use() {
    for (control, is_kept) in [("max-age=900", true), ("no-store", false)] {
        let (folder, origin, body) = (Folder::new(), Origin::start(), noise(LENGTH));
        let begun = Answer::cached("max-age=600").field("ETag", "\"a\"");
        let begun = begun.field("Content-Length", &LENGTH.to_string()).end_of_head();
        origin.on_path("/", begun.send(&body[..2 * MIB + 5]).close()).on_path("/", Answer::status(503));
        let mut process = start(&folder);
        let mut client = process.client();
        client.send(get(&origin.url("/")));
        assert!(!client.response().is_whole());
        is_stored(&process, &origin.url("/"));
        let newer =
            Answer::status(206).field("Cache-Control", control).field("ETag", "\"a\"").field("X", "new");
        let range = format!("bytes {}-{}/{LENGTH}", 2 * MIB, LENGTH - 1);
        origin.now_on_path("/", newer.field("Content-Range", &range).body(&body[2 * MIB..]));
        assert_same(&process.client().get(&origin.url("/")), &body);
        origin.now_on_path("/", Answer::status(503));
        if !is_kept {
            assert_eq!(process.client().get(&origin.url("/")).status(), 503);
            continue;
        }
        // The fields survive the process, too.
        for _restarted in [false, true] {
            let response = is_hit_at_last(&mut process.client(), &origin.url("/"));
            assert_same(&response, &body);
            assert_eq!(response.field("X"), Some("new"));
            process.signal(Signal::TERM);
            process.wait();
            process = start(&folder);
        }
    }
}

#[test]
fn a_part_of_another_representation_completes_nothing() {
    let (folder, origin, body) = (Folder::new(), Origin::start(), noise(LENGTH));
    let begun = Answer::cached("max-age=600").field("ETag", "\"a\"");
    let begun = begun.field("Content-Length", &LENGTH.to_string()).end_of_head();
    origin.on_path("/", begun.send(&body[..2 * MIB + 5]).close()).on_path("/", Answer::status(503));
    let process = start(&folder);
    let mut client = process.client();
    client.send(get(&origin.url("/")));
    assert!(!client.response().is_whole());
    is_stored(&process, &origin.url("/"));
    let other = vec![b'x'; LENGTH];
    let changed = |answer: Answer| answer.field("ETag", "\"b\"").field("Cache-Control", "max-age=600");
    let range = format!("bytes {}-{}/{LENGTH}", 2 * MIB, LENGTH - 1);
    origin
        .now_on_path("/", changed(Answer::status(206)).field("Content-Range", &range).body(&other[2 * MIB..]))
        .on_path("/", changed(Answer::status(200)).body(&other));
    assert_same(&process.client().get(&origin.url("/")), &other);
    assert_same(&is_hit_at_last(&mut process.client(), &origin.url("/")), &other);
}

#[test]
fn a_damaged_chunk_is_had_from_the_origin_again() {
    for tag in [Some("\"a\""), None] {
        let (folder, origin, body) = (Folder::new(), Origin::start(), noise(LENGTH));
        let answer = Answer::cached("max-age=600");
        let answer = if let Some(tag) = tag { answer.field("ETag", tag) } else { answer };
        origin.on_path("/", answer.body(&body));
        let mut process = start(&folder);
        process.client().get(&origin.url("/"));
        assert!(is_hit_at_last(&mut process.client(), &origin.url("/")).is_hit());
        process.signal(Signal::TERM);
        process.wait();
        let place = 3 * MIB + 100..3 * MIB + 200;
        for file in std::fs::read_dir(folder.path("cache").join("store")).expect("a store").flatten() {
            let mut octets = std::fs::read(file.path()).expect("readable");
            let found = octets.windows(100).position(|window| window == &body[place.clone()]);
            if let Some(at) = found {
                octets[at] ^= 1;
                std::fs::write(file.path(), octets).expect("writable");
            }
        }
        if tag.is_some() {
            origin.now_on_path("/", part(&body, 3 * MIB, 4 * MIB));
        }
        let process = start(&folder);
        let mut client = process.client();
        client.send(get(&origin.url("/")));
        let response = client.response();
        // Without a validator the rest can't be had: the end is no clean one.
        assert_eq!(response.is_whole(), tag.is_some());
        if tag.is_some() {
            assert_same(&response, &body);
        }
        assert_same(&is_hit_at_last(&mut process.client(), &origin.url("/")), &body);
    }
}

#[test]
fn readers_at_any_pace_share_one_fetch() {
    let (folder, origin, body) = (Folder::new(), Origin::start(), noise(LENGTH));
    let gate = Gate::new();
    let begun = Answer::cached("max-age=600").field("Content-Length", &LENGTH.to_string()).end_of_head();
    let half = LENGTH / 2;
    origin.on_path("/", begun.send(&body[..half]).wait(&gate).send(&body[half..]));
    let process = start(&folder);
    let mut first = process.client();
    first.send(get(&origin.url("/")));
    origin.has_requests(1);
    // These take nothing at all until all has arrived.
    let mut slow: Vec<_> = (0..8).map(|_| process.client()).collect();
    for client in &mut slow {
        client.send(get(&origin.url("/")));
    }
    gate.open();
    assert_same(&first.response(), &body);
    for mut client in slow {
        assert_same(&client.response(), &body);
    }
    assert_eq!(origin.request_count(), 1);
}
